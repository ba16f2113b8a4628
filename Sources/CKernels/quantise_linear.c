#include "include/slk_quantise.h"
#include "simd_names.h"

#define SLK_TEMPLATE "quantise_linear.inc.h"
#include "tiers.h"

void slk_quantise_f32(const float *x, size_t n, float scale, int32_t zero_point, int32_t low,
                      int32_t high, uint8_t *y) {
  SLK_DISPATCH(quantise_f32, x, n, scale, zero_point, low, high, y);
}

void slk_quantise_i32(const int32_t *sums, size_t n, int32_t offset, float scale,
                      int32_t zero_point, int32_t low, int32_t high, uint8_t *y) {
  SLK_DISPATCH(quantise_i32, sums, n, offset, scale, zero_point, low, high, y);
}

void slk_quantise_i32_by(const int32_t *sums, size_t n, const float *scales, int32_t zero_point,
                         int32_t low, int32_t high, uint8_t *y) {
  SLK_DISPATCH(quantise_i32_by, sums, n, scales, zero_point, low, high, y);
}

void slk_dequantise_bytes(const uint8_t *x, int is_signed, size_t n, float scale,
                          int32_t zero_point, float *y) {
  SLK_DISPATCH(dequantise_bytes, x, is_signed, n, scale, zero_point, y);
}

void slk_range_f32(const float *x, size_t n, float *least, float *largest) {
  SLK_DISPATCH(range, x, n, least, largest);
}

void slk_largest_bytes(const uint8_t *x, size_t row_stride, int is_signed, size_t rows, size_t n,
                       uint8_t *y) {
  SLK_DISPATCH(largest_bytes, x, row_stride, is_signed, rows, n, y);
}

int64_t slk_sum_bytes(const uint8_t *x, int is_signed, size_t n) {
  return SLK_DISPATCH(sum_bytes, x, is_signed, n);
}

void slk_look_up_bytes(const uint8_t *x, size_t n, const uint8_t table[256], uint8_t *y) {
  for (size_t i = 0; i < n; i++) y[i] = table[x[i]];
}

void slk_combine_bytes(const slk_byte_pairs *how, const uint8_t *a, size_t a_stride,
                       const uint8_t *b, size_t b_stride, uint8_t *y, size_t n) {
  SLK_DISPATCH(combine_bytes, how, a, a_stride, b, b_stride, y, n);
}
