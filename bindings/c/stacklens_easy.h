/* StackLens in fewer lines: header-only helpers over stacklens.h, for C99 and C++.
 *
 *   SLE_TRY     goes to a label when a call fails, after printing why
 *   sle_open    loads and compiles a model in one call
 *   sle_floats  and sle_ints make tensors; sle_float_data and sle_int_data read them
 *   sle_fill    makes an input that fits a declaration
 *   sle_print   shows a value
 *
 * Every function returns an sl_status and follows the conventions of stacklens.h.
 */
#ifndef STACKLENS_EASY_H
#define STACKLENS_EASY_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stacklens.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Runs a call; on failure prints the status and the reason to stderr and goes to `label`. */
#define SLE_TRY(call, label)                                                       \
  do {                                                                             \
    sl_status sle_status_ = (call);                                                \
    if (sle_status_ != SL_OK) {                                                    \
      fprintf(stderr, "%s: %s\n", sl_status_name(sle_status_), sl_last_error_message()); \
      goto label;                                                                  \
    }                                                                              \
  } while (0)

/** A zero-terminated text as sl_text. */
static inline sl_text sle_text(const char *text) {
  sl_text result;
  result.bytes = text;
  result.byte_count = strlen(text);
  return result;
}

/** Loads an ONNX file and compiles it.
 *  @param threads  Threads of one run; 0 = usable processors. */
static inline sl_status sle_open(const char *path, int32_t threads, sl_session **out_session) {
  sl_session_options options = SL_SESSION_OPTIONS_INIT;
  sl_model *model = NULL;
  sl_status status = sl_model_load(path, &model);
  if (status != SL_OK) return status;
  options.thread_count = threads;
  status = sl_session_create(model, &options, out_session);
  sl_model_release(model);
  return status;
}

/** The number of elements of a shape; 0 when an extent is negative or the count is too large. */
static inline size_t sle_count(const int64_t *dims, size_t rank) {
  size_t count = 1, axis;
  for (axis = 0; axis < rank; axis++) {
    if (dims[axis] <= 0 || (uint64_t)dims[axis] > SIZE_MAX / count) return 0;
    count *= (size_t)dims[axis];
  }
  return count;
}

/** A float32 tensor with a copy of `data`, which has as many elements as the shape. */
static inline sl_status sle_floats(const float *data, const int64_t *dims, size_t rank,
                                   sl_tensor **out_tensor) {
  return sl_tensor_create(SL_FLOAT32, dims, rank, data, sle_count(dims, rank) * sizeof *data,
                          out_tensor);
}

/** An int64 tensor with a copy of `data`, which has as many elements as the shape. */
static inline sl_status sle_ints(const int64_t *data, const int64_t *dims, size_t rank,
                                 sl_tensor **out_tensor) {
  return sl_tensor_create(SL_INT64, dims, rank, data, sle_count(dims, rank) * sizeof *data,
                          out_tensor);
}

static inline sl_status sle_data_of(const sl_tensor *tensor, sl_type type, const void **out_data,
                                    size_t *out_count) {
  size_t byte_count = 0;
  sl_type found = SL_UNDEFINED;
  sl_status status = sl_tensor_type(tensor, &found);
  if (status != SL_OK) return status;
  if (found != type) return SL_TYPE_MISMATCH;
  status = sl_tensor_count(tensor, out_count);
  return status != SL_OK ? status : sl_tensor_data(tensor, out_data, &byte_count);
}

/** The elements of a float32 tensor, lent for the life of the handle; SL_TYPE_MISMATCH for other
 *  types. */
static inline sl_status sle_float_data(const sl_tensor *tensor, const float **out_data,
                                       size_t *out_count) {
  const void *data = NULL;
  sl_status status = sle_data_of(tensor, SL_FLOAT32, &data, out_count);
  if (status == SL_OK) *out_data = (const float *)data;
  return status;
}

/** The elements of an int64 tensor, lent for the life of the handle; SL_TYPE_MISMATCH for other
 *  types. */
static inline sl_status sle_int_data(const sl_tensor *tensor, const int64_t **out_data,
                                     size_t *out_count) {
  const void *data = NULL;
  sl_status status = sle_data_of(tensor, SL_INT64, &data, out_count);
  if (status == SL_OK) *out_data = (const int64_t *)data;
  return status;
}

/** Bytes of one element; 0 for SL_STRING and unknown types. */
static inline size_t sle_type_size(sl_type type) {
  switch (type) {
    case SL_UINT8: case SL_INT8: case SL_BOOL: case SL_FLOAT8E4M3FN: case SL_FLOAT8E4M3FNUZ:
    case SL_FLOAT8E5M2: case SL_FLOAT8E5M2FNUZ: case SL_FLOAT8E8M0: case SL_UINT4: case SL_INT4:
    case SL_UINT2: case SL_INT2: case SL_FLOAT4E2M1: case SL_FLOAT6E2M3: case SL_FLOAT6E3M2:
      return 1;
    case SL_UINT16: case SL_INT16: case SL_FLOAT16: case SL_BFLOAT16: return 2;
    case SL_FLOAT32: case SL_INT32: case SL_UINT32: return 4;
    case SL_FLOAT64: case SL_INT64: case SL_UINT64: case SL_COMPLEX64: return 8;
    case SL_COMPLEX128: return 16;
    default: return 0;
  }
}

/** The name of an element type, "float32". */
static inline const char *sle_type_name(sl_type type) {
  switch (type) {
    case SL_FLOAT32: return "float32";
    case SL_UINT8: return "uint8";
    case SL_INT8: return "int8";
    case SL_UINT16: return "uint16";
    case SL_INT16: return "int16";
    case SL_INT32: return "int32";
    case SL_INT64: return "int64";
    case SL_STRING: return "string";
    case SL_BOOL: return "bool";
    case SL_FLOAT16: return "float16";
    case SL_FLOAT64: return "float64";
    case SL_UINT32: return "uint32";
    case SL_UINT64: return "uint64";
    case SL_BFLOAT16: return "bfloat16";
    case SL_COMPLEX64: return "complex64";
    case SL_COMPLEX128: return "complex128";
    case SL_FLOAT8E4M3FN: return "float8e4m3fn";
    case SL_FLOAT8E4M3FNUZ: return "float8e4m3fnuz";
    case SL_FLOAT8E5M2: return "float8e5m2";
    case SL_FLOAT8E5M2FNUZ: return "float8e5m2fnuz";
    case SL_UINT4: return "uint4";
    case SL_INT4: return "int4";
    case SL_FLOAT4E2M1: return "float4e2m1";
    case SL_FLOAT8E8M0: return "float8e8m0";
    case SL_UINT2: return "uint2";
    case SL_INT2: return "int2";
    case SL_FLOAT6E2M3: return "float6e2m3";
    case SL_FLOAT6E3M2: return "float6e3m2";
    default: return "undefined";
  }
}

/** A tensor of zeros that fits a declaration; float32 and float64 ones get random numbers in
 *  [-1, 1) when `seed` is not 0.
 *  @param extent  Stands in for every extent that is not declared.
 *  @return SL_UNSUPPORTED for texts, sequences and maps, and where the rank is not declared. */
static inline sl_status sle_fill(const sl_value_info *info, int64_t extent, uint32_t seed,
                                 sl_tensor **out_tensor) {
  int64_t dims[32];
  size_t size = sle_type_size(info->type), count, axis, index;
  unsigned char *data;
  sl_status status;
  if (info->kind != SL_KIND_TENSOR || size == 0 || info->rank > 32) return SL_UNSUPPORTED;
  for (axis = 0; axis < info->rank; axis++) {
    dims[axis] = info->dims[axis] >= 0 ? info->dims[axis] : extent;
  }
  count = sle_count(dims, info->rank);
  data = (unsigned char *)calloc(count ? count : 1, size);
  if (!data) return SL_OUT_OF_MEMORY;
  for (index = 0; seed != 0 && index < count; index++) {
    seed = seed * 1664525u + 1013904223u;
    if (info->type == SL_FLOAT32) {
      ((float *)(void *)data)[index] = (float)(int32_t)seed / 2147483648.0f;
    } else if (info->type == SL_FLOAT64) {
      ((double *)(void *)data)[index] = (double)(int32_t)seed / 2147483648.0;
    }
  }
  status = sl_tensor_create(info->type, dims, info->rank, data, count * size, out_tensor);
  free(data);
  return status;
}

static inline void sle_print_element(FILE *file, sl_type type, const void *data, size_t index) {
  switch (type) {
    case SL_FLOAT32: fprintf(file, " %g", (double)((const float *)data)[index]); break;
    case SL_FLOAT64: fprintf(file, " %g", ((const double *)data)[index]); break;
    case SL_UINT8: case SL_BOOL: fprintf(file, " %u", ((const uint8_t *)data)[index]); break;
    case SL_INT8: fprintf(file, " %d", ((const int8_t *)data)[index]); break;
    case SL_INT16: fprintf(file, " %d", ((const int16_t *)data)[index]); break;
    case SL_INT32: fprintf(file, " %" PRId32, ((const int32_t *)data)[index]); break;
    case SL_INT64: fprintf(file, " %" PRId64, ((const int64_t *)data)[index]); break;
    case SL_UINT32: fprintf(file, " %" PRIu32, ((const uint32_t *)data)[index]); break;
    case SL_UINT64: fprintf(file, " %" PRIu64, ((const uint64_t *)data)[index]); break;
    case SL_COMPLEX64:
      fprintf(file, " %g%+gi", (double)((const float *)data)[2 * index],
              (double)((const float *)data)[2 * index + 1]);
      break;
    case SL_COMPLEX128:
      fprintf(file, " %g%+gi", ((const double *)data)[2 * index],
              ((const double *)data)[2 * index + 1]);
      break;
    case SL_FLOAT16: case SL_BFLOAT16:
      fprintf(file, " 0x%04x", ((const uint16_t *)data)[index]);
      break;
    default: fprintf(file, " 0x%02x", ((const uint8_t *)data)[index]); break;
  }
}

static inline sl_status sle_print_tensor(FILE *file, const sl_tensor *tensor, size_t limit) {
  int64_t dims[64];
  char text[256];
  size_t rank = 0, count = 0, bytes = 0, length = 0, index;
  const void *data = NULL;
  sl_type type = SL_UNDEFINED;
  sl_status status = sl_tensor_type(tensor, &type);
  if (status == SL_OK) status = sl_tensor_rank(tensor, &rank);
  if (status == SL_OK) status = sl_tensor_dims(tensor, dims, 64);
  if (status == SL_OK) status = sl_tensor_count(tensor, &count);
  if (status == SL_OK && type != SL_STRING) status = sl_tensor_data(tensor, &data, &bytes);
  if (status != SL_OK) return status;
  fprintf(file, "%s[", sle_type_name(type));
  for (index = 0; index < rank; index++) {
    fprintf(file, "%s%" PRId64, index ? ", " : "", dims[index]);
  }
  fprintf(file, "]");
  for (index = 0; index < count && index < limit; index++) {
    if (type != SL_STRING) {
      sle_print_element(file, type, data, index);
    } else if (sl_tensor_string(tensor, index, text, sizeof text, &length) == SL_OK) {
      fprintf(file, " \"%s\"", text);
    } else {
      fprintf(file, " (a text of %zu bytes)", length);
    }
  }
  fprintf(file, "%s\n", count > limit ? " ..." : "");
  return SL_OK;
}

/** Prints a value on one line: type, shape and the first `limit` elements; of sequences and maps
 *  the kind and the number of entries. */
static inline sl_status sle_print(FILE *file, const sl_value *value, size_t limit) {
  size_t count = 0;
  sl_kind kind = SL_KIND_NONE;
  sl_status status = sl_value_kind(value, &kind);
  if (status != SL_OK) return status;
  if (kind == SL_KIND_TENSOR) return sle_print_tensor(file, value, limit);
  if (kind == SL_KIND_NONE) {
    fprintf(file, "nothing\n");
    return SL_OK;
  }
  status = sl_value_count(value, &count);
  if (status != SL_OK) return status;
  fprintf(file, "%s of %zu\n", kind == SL_KIND_MAP ? "map" : "sequence", count);
  return SL_OK;
}

#ifdef __cplusplus
}
#endif

#endif
