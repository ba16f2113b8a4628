// Between numbers and the 8-bit integers that stand for them, by one scale and zero point.
#ifndef STACKLENS_SLK_QUANTISE_H
#define STACKLENS_SLK_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

/// y = saturate(round(x / scale) + zero_point), halves to even, into [low, high], which lie in one
/// byte. NaN counts as lowest.
void slk_quantise_f32(const float *x, size_t n, float scale, int32_t zero_point, int32_t low,
                      int32_t high, uint8_t *y);
/// The same for y = saturate(round((sum + offset) * scale) + zero_point); sum + offset wraps.
void slk_quantise_i32(const int32_t *sums, size_t n, int32_t offset, float scale,
                      int32_t zero_point, int32_t low, int32_t high, uint8_t *y);
/// The same with a scale for each element and no offset.
void slk_quantise_i32_by(const int32_t *sums, size_t n, const float *scales, int32_t zero_point,
                         int32_t low, int32_t high, uint8_t *y);
/// y = (x - zero_point) * scale for bytes, signed or not.
void slk_dequantise_bytes(const uint8_t *x, int is_signed, size_t n, float scale,
                          int32_t zero_point, float *y);
/// The least and the largest of x and 0; NaN is passed over.
void slk_range_f32(const float *x, size_t n, float *least, float *largest);
/// y[j] = the largest of the bytes x[i * row_stride + j], i < rows.
void slk_largest_bytes(const uint8_t *x, size_t row_stride, int is_signed, size_t rows, size_t n,
                       uint8_t *y);
/// The sum of bytes.
int64_t slk_sum_bytes(const uint8_t *x, int is_signed, size_t n);
/// y = table[x] for bytes.
void slk_look_up_bytes(const uint8_t *x, size_t n, const uint8_t table[256], uint8_t *y);
/// y = saturate(round(a_factor * (a - a_zero) + b_factor * (b - b_zero)) + zero) for bytes, signed or
/// not, into [low, high]; or of the product of both in parentheses times a_factor.
typedef struct {
  int is_signed, is_product;
  float a_factor, b_factor;
  int32_t a_zero, b_zero, zero, low, high;
} slk_byte_pairs;
/// `a_stride` and `b_stride` are 0 (one value for all) or 1.
void slk_combine_bytes(const slk_byte_pairs *how, const uint8_t *a, size_t a_stride,
                       const uint8_t *b, size_t b_stride, uint8_t *y, size_t n);

#endif
