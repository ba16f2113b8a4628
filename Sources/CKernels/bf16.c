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
