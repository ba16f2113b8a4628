/* Reads NumPy archives (.npz) whose members are stored uncompressed. */
#ifndef STACKLENS_TESTS_NPZ_H
#define STACKLENS_TESTS_NPZ_H

#include <stdbool.h>

#include "stacklens_easy.h"

enum { npz_rank_limit = 8, npz_name_limit = 256 };

typedef struct npz_array {
  char name[npz_name_limit];
  sl_type type;
  int64_t dims[npz_rank_limit];
  size_t rank, count;
  const unsigned char *data; /* inside the archive's bytes, not aligned */
} npz_array;

typedef struct npz_archive {
  unsigned char *bytes;
  size_t byte_count, array_count;
  npz_array *arrays;
} npz_archive;

static inline uint32_t npz_number(const unsigned char *bytes, int size) {
  uint32_t number = 0;
  while (size-- > 0) number = number << 8 | bytes[size];
  return number;
}

static inline sl_type npz_type(const char *descr) {
  static const struct {
    const char *name;
    sl_type type;
  } types[] = {{"<f4", SL_FLOAT32}, {"<f8", SL_FLOAT64}, {"<f2", SL_FLOAT16}, {"<i8", SL_INT64},
               {"<i4", SL_INT32},   {"<i2", SL_INT16},   {"|i1", SL_INT8},    {"|u1", SL_UINT8},
               {"<u2", SL_UINT16},  {"<u4", SL_UINT32},  {"<u8", SL_UINT64},  {"|b1", SL_BOOL}};
  size_t index;
  for (index = 0; index < sizeof types / sizeof *types; index++) {
    if (strncmp(descr, types[index].name, 3) == 0) return types[index].type;
  }
  return SL_UNDEFINED;
}

/* Reads a member's .npy header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. */
static inline bool npz_read_array(const unsigned char *bytes, size_t byte_count, npz_array *array) {
  char header[1024];
  size_t length = npz_number(bytes + 8, 2);
  const char *at;
  if (byte_count < 10 + length || length >= sizeof header || memcmp(bytes, "\x93NUMPY\x01", 7)) {
    return false;
  }
  memcpy(header, bytes + 10, length);
  header[length] = 0;
  at = strstr(header, "'descr': '");
  array->type = at ? npz_type(at + 10) : SL_UNDEFINED;
  at = strstr(header, "'shape': (");
  if (array->type == SL_UNDEFINED || !at || strstr(header, "'fortran_order': True")) return false;
  array->rank = 0;
  array->count = 1;
  for (at += 10; *at != ')' && *at != 0; at += strspn(at, ", ")) {
    char *end;
    int64_t extent = strtoll(at, &end, 10);
    if (end == at || array->rank == npz_rank_limit) return false;
    array->dims[array->rank++] = extent;
    array->count *= (size_t)extent;
    at = end;
  }
  array->data = bytes + 10 + length;
  return array->count * sle_type_size(array->type) <= byte_count - 10 - length;
}

/* Walks the archive's directory, which lies at its end. */
static inline bool npz_read_directory(npz_archive *archive) {
  const unsigned char *bytes = archive->bytes, *entry;
  size_t end = archive->byte_count < 22 ? 0 : archive->byte_count - 22, index;
  if (end == 0 || npz_number(bytes + end, 4) != 0x06054b50) return false;
  archive->array_count = npz_number(bytes + end + 10, 2);
  archive->arrays = (npz_array *)calloc(archive->array_count + 1, sizeof *archive->arrays);
  entry = bytes + npz_number(bytes + end + 16, 4);
  for (index = 0; archive->arrays && index < archive->array_count; index++) {
    npz_array *array = &archive->arrays[index];
    size_t size = npz_number(entry + 24, 4), name_length = npz_number(entry + 28, 2);
    const unsigned char *member = bytes + npz_number(entry + 42, 4);
    size_t skipped = 30 + npz_number(member + 26, 2) + npz_number(member + 28, 2);
    if (npz_number(entry + 10, 2) != 0 || name_length < 5 || name_length >= npz_name_limit) {
      return false;
    }
    memcpy(array->name, entry + 46, name_length - 4); /* without .npy */
    if (!npz_read_array(member + skipped, size, array)) return false;
    entry += 46 + name_length + npz_number(entry + 30, 2) + npz_number(entry + 32, 2);
  }
  return archive->arrays != NULL;
}

static inline void npz_close(npz_archive *archive) {
  free(archive->bytes);
  free(archive->arrays);
}

/* False where the file cannot be read or holds more than this reader knows. */
static inline bool npz_open(const char *path, npz_archive *archive) {
  FILE *file = fopen(path, "rb");
  long length = 0;
  bool is_read;
  memset(archive, 0, sizeof *archive);
  if (!file) return false;
  is_read = fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0 &&
            fseek(file, 0, SEEK_SET) == 0;
  archive->byte_count = (size_t)length;
  archive->bytes = is_read ? (unsigned char *)malloc(archive->byte_count) : NULL;
  is_read = archive->bytes &&
            fread(archive->bytes, 1, archive->byte_count, file) == archive->byte_count;
  fclose(file);
  return is_read && npz_read_directory(archive);
}

/* The array of a name; NULL where there is none. */
static inline const npz_array *npz_find(const npz_archive *archive, const char *name) {
  size_t index;
  for (index = 0; index < archive->array_count; index++) {
    if (strcmp(archive->arrays[index].name, name) == 0) return &archive->arrays[index];
  }
  return NULL;
}

#endif
