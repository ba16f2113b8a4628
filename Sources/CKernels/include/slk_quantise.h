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
/// y = (x - zero_point) * scale for bytes, signed or not.
void slk_dequantise_bytes(const uint8_t *x, int is_signed, size_t n, float scale,
                          int32_t zero_point, float *y);

#endif
