#include "include/slk_gemm.h"

#include <string.h>

static inline uint16_t rounded(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t nan = (bits >> 16) | 0x40u;
  uint32_t even = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : even);
}

__attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
void slk_bf16_from_f32(const float *x, uint16_t *y, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = rounded(x[i]);
}

void slk_f32_from_bf16(const uint16_t *x, float *y, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits = (uint32_t)x[i] << 16;
    memcpy(y + i, &bits, sizeof bits);
  }
}

void slk_bf16_rows(const float *x, size_t rows, size_t k, size_t x_stride, uint16_t *y,
                   size_t y_stride) {
  for (size_t i = 0; i < rows; i++) {
    slk_bf16_from_f32(x + i * x_stride, y + i * y_stride, k);
    memset(y + i * y_stride + k, 0, (y_stride - k) * sizeof *y);
  }
}
