#include "include/slk_gemm.h"
#include "simd_names.h"

#define SLK_TEMPLATE "bf16.inc.h"
#include "tiers.h"

void slk_bf16_from_f32(const float *x, uint16_t *y, size_t n) {
  SLK_DISPATCH(bf16_from_f32, x, y, n);
}

void slk_f32_from_bf16(const uint16_t *x, float *y, size_t n) {
  SLK_DISPATCH(f32_from_bf16, x, y, n);
}

void slk_bf16_rows(const float *x, size_t rows, size_t k, size_t x_stride, uint16_t *y,
                   size_t y_stride) {
  for (size_t i = 0; i < rows; i++) {
    slk_bf16_from_f32(x + i * x_stride, y + i * y_stride, k);
    memset(y + i * y_stride + k, 0, (y_stride - k) * sizeof *y);
  }
}
