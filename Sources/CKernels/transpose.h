// Copies columns that lie contiguous in memory into the rows of a panel.
#ifndef STACKLENS_TRANSPOSE_H
#define STACKLENS_TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint32_t slk_four __attribute__((ext_vector_type(4)));

static inline slk_four slk_load_four(const uint32_t *p) {
  slk_four v;
  memcpy(&v, p, sizeof v);
  return v;
}

/// out[i * out_stride + j] = in[j * in_stride + i] for i < count, j < columns; 4-byte elements.
static inline void slk_transpose(const uint32_t *in, size_t in_stride, size_t count, size_t columns,
                                 uint32_t *out, size_t out_stride) {
  size_t j = 0;
  for (; j + 4 <= columns; j += 4) {
    const uint32_t *source = in + j * in_stride;
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const slk_four a = slk_load_four(source + i), b = slk_load_four(source + in_stride + i);
      const slk_four c = slk_load_four(source + 2 * in_stride + i);
      const slk_four d = slk_load_four(source + 3 * in_stride + i);
      const slk_four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const slk_four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const slk_four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const slk_four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      const slk_four rows[4] = {
          __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
          __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
          __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
          __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7),
      };
      for (size_t row = 0; row < 4; row++) {
        memcpy(out + (i + row) * out_stride + j, &rows[row], sizeof rows[row]);
      }
    }
    for (; i < count; i++) {
      for (size_t l = 0; l < 4; l++) out[i * out_stride + j + l] = source[l * in_stride + i];
    }
  }
  for (; j < columns; j++) {
    for (size_t i = 0; i < count; i++) out[i * out_stride + j] = in[j * in_stride + i];
  }
}

#endif
