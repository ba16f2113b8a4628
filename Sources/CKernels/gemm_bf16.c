// A unit of K is a pair of bfloat16, the lower index in the lower half.
#include "epilogue.h"
#include "include/slk_gemm.h"
#include "panels.h"

#define SLK_TEMPLATE "gemm_bf16.inc.h"
#define SLK_AVX512_EXTRA ",avx512bf16"
#include "tiers.h"

size_t slk_gemm_bf16_panel_columns(void) { return slk_gemm_f32_panel_columns(); }
size_t slk_gemm_bf16_panel_count(size_t n) { return slk_gemm_f32_panel_count(n); }

size_t slk_gemm_bf16_packed_bytes(size_t k, size_t n) {
  return slk_gemm_f32_packed_bytes(slk_divide_up(k, 2), n);
}

void slk_gemm_bf16_pack(const float *b, size_t k, size_t n, size_t row_stride,
                        size_t column_stride, void *packed, size_t panel_begin, size_t panel_end) {
  const size_t columns = slk_gemm_bf16_panel_columns(), units = slk_divide_up(k, 2);
  const size_t lanes = slk_tile_shape_of(slk_cpu.tier).width;
  enum { BLOCK = 16 };
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, lanes);
    for (size_t first = 0; first < k; first += BLOCK) {
      const size_t count = slk_min(BLOCK, k - first);
      uint16_t *out = (uint16_t *)packed + 2 * (column * units + first / 2 * stored);
      memset(out, 0, slk_divide_up(count, 2) * stored * 4);
      for (size_t j = 0; j < width; j++) {
        const float *source = b + first * row_stride + (column + j) * column_stride;
        float values[BLOCK];
        uint16_t halves[BLOCK];
        for (size_t i = 0; i < count; i++) values[i] = source[i * row_stride];
        slk_bf16_from_f32(values, halves, count);
        for (size_t i = 0; i < count; i++) out[2 * (i / 2 * stored + j) + i % 2] = halves[i];
      }
    }
  }
}

void slk_gemm_bf16(size_t k, size_t n, const uint16_t *a, size_t lda, const void *packed, void *c,
                   size_t ldc, const slk_epilogue *epilogue, size_t row_begin, size_t row_end,
                   size_t panel_begin, size_t panel_end) {
#if defined(__x86_64__)
  product_bf16_avx512(slk_divide_up(k, 2), n, (const uint32_t *)(const void *)a, lda / 2,
                      (const uint32_t *)packed, c, ldc, epilogue, row_begin, row_end, panel_begin,
                      panel_end);
#else
  (void)k, (void)n, (void)a, (void)lda, (void)packed, (void)c, (void)ldc, (void)epilogue;
  (void)row_begin, (void)row_end, (void)panel_begin, (void)panel_end;
#endif
}
