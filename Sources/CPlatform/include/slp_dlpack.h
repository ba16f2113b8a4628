// The memory layout of DLPack's unversioned exchange structure.
#ifndef STACKLENS_SLP_DLPACK_H
#define STACKLENS_SLP_DLPACK_H

#include <stdint.h>

enum { SLP_DLPACK_CPU = 1 };

enum {
  SLP_DLPACK_INT = 0,
  SLP_DLPACK_UINT = 1,
  SLP_DLPACK_FLOAT = 2,
  SLP_DLPACK_BFLOAT = 4,
  SLP_DLPACK_COMPLEX = 5,
  SLP_DLPACK_BOOL = 6,
  SLP_DLPACK_FLOAT8_E4M3FN = 10,
  SLP_DLPACK_FLOAT8_E4M3FNUZ = 11,
  SLP_DLPACK_FLOAT8_E5M2 = 12,
  SLP_DLPACK_FLOAT8_E5M2FNUZ = 13,
  SLP_DLPACK_FLOAT8_E8M0FNU = 14
};

typedef struct {
  void *data;
  int32_t device_type, device_id;
  int32_t rank;
  uint8_t type_code, type_bits;
  uint16_t lanes;
  int64_t *dims;
  /// In elements; NULL for dense row-major memory.
  int64_t *strides;
  uint64_t byte_offset;
} slp_dlpack_tensor;

typedef struct slp_dlpack_managed {
  slp_dlpack_tensor tensor;
  void *context;
  /// Called once by whoever received the structure; may be NULL.
  void (*deleter)(struct slp_dlpack_managed *self);
} slp_dlpack_managed;

#endif
