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

#if defined(__x86_64__)
/// The table lies in four registers; a byte's highest bit tells which half to take.
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static void look_up_in_registers(
    const uint8_t *x, size_t n, const uint8_t *table, uint8_t *y) {
  __m512i quarters[4];
  SLK_UNROLL for (int i = 0; i < 4; i++) quarters[i] = _mm512_loadu_si512(table + 64 * i);
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 mask = n - i < 64 ? ~(~0ull << (n - i)) : ~0ull;
    const __m512i at = _mm512_maskz_loadu_epi8(mask, x + i);
    const __m512i low = _mm512_permutex2var_epi8(quarters[0], at, quarters[1]);
    const __m512i high = _mm512_permutex2var_epi8(quarters[2], at, quarters[3]);
    const __m512i found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high);
    _mm512_mask_storeu_epi8(y + i, mask, found);
  }
}
#endif

void slk_look_up_bytes(const uint8_t *x, size_t n, const uint8_t table[256], uint8_t *y) {
#if defined(__x86_64__)
  if (slk_cpu.vbmi) return look_up_in_registers(x, n, table, y);
#endif
  for (size_t i = 0; i < n; i++) y[i] = table[x[i]];
}

void slk_combine_bytes(const slk_byte_pairs *how, const uint8_t *a, size_t a_stride,
                       const uint8_t *b, size_t b_stride, uint8_t *y, size_t n) {
  SLK_DISPATCH(combine_bytes, how, a, a_stride, b, b_stride, y, n);
}
