#if defined(SLK_IS_AVX512)
#define SLK_TILE bf16
#define SLK_UNIT uint32_t
#define SLK_ACC vf
#define SLK_B vi
#define SLK_LANES SLK_WIDTH
#define SLK_SPREAD(p) ((vi)(int32_t)(*(p)))
#define SLK_STEP(acc, a, b) \
  ((vf)_mm512_dpbf16_ps((__m512)(acc), (__m512bh)(a), (__m512bh)(b)))
#define SLK_OUT float
#define SLK_PRODUCT_C void
#define SLK_EPILOGUE slk_epilogue
#define SLK_IS_PLAIN slk_epilogue_is_light
#define SLK_FINISH SLK_NAME(slk_finish)
#include "gemm_tile.inc.h"
#include "gemm_store.inc.h"
#include "gemm_loop.inc.h"
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS
#undef SLK_TILE
#define SLK_TILE turned
#include "gemm_turned.inc.h"
#include "gemm_end.inc.h"

/// In one instruction, which takes subnormal numbers for 0 as the products do.
SLK_INLINE void SLK_NAME(halves_from_f32)(const float *x, uint16_t *y, size_t n) {
  size_t i = 0;
  for (; i + SLK_WIDTH <= n; i += SLK_WIDTH) {
    const __m256bh v = _mm512_cvtneps_pbh((__m512)v_load(x + i));
    __builtin_memcpy(y + i, &v, sizeof v);
  }
  if (i < n) {
    const __m256bh v = _mm512_cvtneps_pbh((__m512)v_load_n(x + i, n - i));
    memcpy(y + i, &v, (n - i) * sizeof *y);
  }
}

/// Rounded rows, filled up with 0. Rows that do not lie side by side are fetched ahead.
static void SLK_NAME(half_rows)(const float *x, size_t rows, size_t k, size_t x_stride, uint16_t *y,
                                size_t y_stride) {
  for (size_t i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    if (x_stride > k && i + SLK_ROWS_AHEAD < rows) slk_fetch(x + SLK_ROWS_AHEAD * x_stride, k);
    SLK_NAME(halves_from_f32)(x, y, k);
    for (size_t j = k; j < y_stride; j++) y[j] = 0;
  }
}

/// Units of two rows of K: y[i] = low[i] | high[i] << 16; `high` NULL: zeros.
static void SLK_NAME(pairs_from_f32)(const float *low, const float *high, uint32_t *y, size_t n) {
  for (size_t i = 0; i < n; i += SLK_WIDTH) {
    const __m512 second = high ? (__m512)v_load_n(high + i, n - i) : _mm512_setzero_ps();
    const __m512i a = _mm512_cvtepu16_epi32(
        (__m256i)_mm512_cvtneps_pbh((__m512)v_load_n(low + i, n - i)));
    const __m512i b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
    v_store_n((float *)y + i, (vf)_mm512_or_si512(a, _mm512_slli_epi32(b, 16)), n - i);
  }
}
#endif
