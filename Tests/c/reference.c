/* Holds a model against its reference cases:  reference MODEL.onnx CASES.npz
 *
 * Case k has the arrays c<k>.in.<input> and c<k>.out.<output>; an output that is a sequence of maps
 * has its values as a matrix and its keys as c<k>.out.<output>.keys. Floats may differ by 2e-5 of
 * max(1, largest reference), everything else must be equal.
 */
#include <math.h>

#include "check.h"
#include "npz.h"

static const double tolerance = 2e-5;

/* Largest difference over the allowed one; above 1 means wrong. */
static double difference(const npz_array *expected, const void *found) {
  size_t size = sle_type_size(expected->type), index;
  double largest = 1, worst = 0;
  if (expected->type != SL_FLOAT32) {
    return memcmp(expected->data, found, expected->count * size) == 0 ? 0 : INFINITY;
  }
  for (index = 0; index < expected->count; index++) {
    float number;
    memcpy(&number, expected->data + index * size, size);
    if (fabs((double)number) > largest) largest = fabs((double)number);
  }
  for (index = 0; index < expected->count; index++) {
    float number;
    memcpy(&number, expected->data + index * size, size);
    double gap = fabs((double)number - (double)((const float *)found)[index]);
    if (!(gap <= worst)) worst = gap;
  }
  return worst / (tolerance * largest);
}

static bool is_tensor_right(const sl_tensor *tensor, const npz_array *expected) {
  int64_t dims[npz_rank_limit];
  size_t rank = 0, bytes = 0;
  sl_type type = SL_UNDEFINED;
  const void *data = NULL;
  if (sl_tensor_type(tensor, &type) != SL_OK || type != expected->type) return false;
  if (sl_tensor_rank(tensor, &rank) != SL_OK || rank != expected->rank) return false;
  if (sl_tensor_dims(tensor, dims, npz_rank_limit) != SL_OK) return false;
  if (memcmp(dims, expected->dims, rank * sizeof *dims) != 0) return false;
  if (sl_tensor_data(tensor, &data, &bytes) != SL_OK) return false;
  return difference(expected, data) <= 1;
}

/* Row `index` of a matrix against a map. */
static bool is_map_right(const sl_value *map, const npz_array *matrix, const npz_array *keys,
                         size_t index) {
  npz_array row = *matrix;
  sl_tensor *found_keys = NULL, *found_values = NULL;
  bool is_right;
  row.rank = 1;
  row.dims[0] = matrix->dims[1];
  row.count = (size_t)matrix->dims[1];
  row.data += index * row.count * sle_type_size(row.type);
  if (sl_value_map(map, &found_keys, &found_values) != SL_OK) return false;
  is_right = is_tensor_right(found_values, &row) && is_tensor_right(found_keys, keys);
  sl_value_release(found_keys);
  sl_value_release(found_values);
  return is_right;
}

static bool is_sequence_right(const sl_value *sequence, const npz_array *matrix,
                              const npz_array *keys) {
  size_t count = 0, index;
  bool is_right = matrix->rank == 2 && keys != NULL &&
                  sl_value_count(sequence, &count) == SL_OK && count == (size_t)matrix->dims[0];
  for (index = 0; is_right && index < count; index++) {
    sl_value *map = NULL;
    is_right = sl_value_at(sequence, index, &map) == SL_OK &&
               is_map_right(map, matrix, keys, index);
    sl_value_release(map);
  }
  return is_right;
}

static bool is_value_right(const sl_value *value, const npz_array *expected,
                           const npz_array *keys) {
  sl_kind kind = SL_KIND_NONE;
  if (sl_value_kind(value, &kind) != SL_OK) return false;
  if (kind == SL_KIND_TENSOR) return is_tensor_right(value, expected);
  return kind == SL_KIND_SEQUENCE && is_sequence_right(value, expected, keys);
}

enum { value_limit = 32 };

/* False when there is no such case. */
static bool run_case(const sl_session *session, const npz_archive *archive, int number) {
  const char *names[value_limit];
  sl_value *inputs[value_limit] = {NULL}, *outputs[value_limit] = {NULL};
  size_t input_count = 0, output_count = 0, given = 0, compared = 0, index;
  char key[npz_name_limit + 32];
  CHECK_STATUS(sl_session_counts(session, &input_count, &output_count), SL_OK);
  if (input_count > value_limit || output_count > value_limit) return false;
  for (index = 0; index < input_count; index++) {
    sl_value_info info;
    const npz_array *array;
    CHECK_STATUS(sl_session_input(session, index, &info), SL_OK);
    snprintf(key, sizeof key, "c%d.in.%s", number, info.name);
    array = npz_find(archive, key);
    if (!array) continue; /* an input with a default */
    CHECK_STATUS(sl_tensor_create(array->type, array->dims, array->rank, array->data,
                                  array->count * sle_type_size(array->type), &inputs[given]),
                 SL_OK);
    names[given++] = info.name;
  }
  if (given == 0) return false;
  CHECK_STATUS(sl_session_run(session, names, (const sl_value *const *)inputs, given, NULL,
                              output_count, NULL, outputs),
               SL_OK);
  for (index = 0; index < output_count && outputs[index]; index++) {
    sl_value_info info;
    const npz_array *expected, *keys;
    CHECK_STATUS(sl_session_output(session, index, &info), SL_OK);
    snprintf(key, sizeof key, "c%d.out.%s.keys", number, info.name);
    keys = npz_find(archive, key);
    snprintf(key, sizeof key, "c%d.out.%s", number, info.name);
    expected = npz_find(archive, key);
    if (!expected) continue;
    compared++;
    if (!is_value_right(outputs[index], expected, keys)) {
      failure_count++;
      fprintf(stderr, "case %d: output %s is wrong\n", number, info.name);
    }
  }
  CHECK(compared > 0);
  for (index = 0; index < value_limit; index++) {
    sl_value_release(inputs[index]);
    sl_value_release(outputs[index]);
  }
  return true;
}

int main(int argc, char **argv) {
  sl_session *session = NULL;
  npz_archive archive;
  int number = 0;
  if (argc != 3 || !npz_open(argv[2], &archive)) {
    fprintf(stderr, "usage: %s MODEL.onnx CASES.npz\n", argv[0]);
    return 2;
  }
  CHECK_STATUS(sle_open(argv[1], 0, &session), SL_OK);
  while (session && run_case(session, &archive, number)) number++;
  CHECK(number > 0);
  printf("%d cases, %d failures\n", number, failure_count);
  sl_session_release(session);
  npz_close(&archive);
  return failure_count != 0;
}
