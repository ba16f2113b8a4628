#include "epilogue.h"
#include "include/slk_elementwise.h"
#include "include/slk_gemm.h"
#include "panels.h"
#include "transpose.h"

#define SLK_TEMPLATE "gemm_f32.inc.h"
#include "tiers.h"

size_t slk_gemm_tile_rows(void) { return slk_tile_shape_of(slk_cpu.tier).rows; }

size_t slk_gemm_f32_panel_columns(void) {
  slk_tile_shape shape = slk_tile_shape_of(slk_cpu.tier);
  return shape.vectors * shape.width;
}

size_t slk_gemm_f32_panel_count(size_t n) {
  return slk_divide_up(n, slk_gemm_f32_panel_columns());
}

size_t slk_gemm_f32_packed_bytes(size_t k, size_t n) {
  return k * slk_round_up(n, slk_tile_shape_of(slk_cpu.tier).width) * sizeof(float);
}

void slk_gemm_f32_pack(const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride,
                       void *packed, size_t panel_begin, size_t panel_end) {
  const size_t columns = slk_gemm_f32_panel_columns();
  const size_t lanes = slk_tile_shape_of(slk_cpu.tier).width;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, lanes);
    const float *source = b + column * column_stride;
    float *out = (float *)packed + column * k;
    if (column_stride == 1) {
      for (size_t i = 0; i < k; i++, out += stored) {
        memcpy(out, source + i * row_stride, width * sizeof *out);
        memset(out + width, 0, (stored - width) * sizeof *out);
      }
      continue;
    }
    for (size_t block = 0; block < k; block += 16, out += 16 * stored) {
      const size_t count = slk_min(16, k - block);
      if (row_stride == 1) {
        slk_transpose((const uint32_t *)(const void *)(source + block), column_stride, count, width,
                      (uint32_t *)(void *)out, stored);
      }
      for (size_t j = 0; j < width && row_stride != 1; j++) {
        const float *from = source + j * column_stride + block * row_stride;
        for (size_t i = 0; i < count; i++) out[i * stored + j] = from[i * row_stride];
      }
      for (size_t i = 0; i < count && stored > width; i++) {
        memset(out + i * stored + width, 0, (stored - width) * sizeof *out);
      }
    }
  }
}

void slk_gemm_f32(size_t k, size_t n, const float *a, size_t lda, const void *packed, float *c,
                  size_t ldc, const slk_epilogue *epilogue, size_t row_begin, size_t row_end,
                  size_t panel_begin, size_t panel_end) {
  SLK_DISPATCH(product_f32, k, n, a, lda, (const float *)packed, c, ldc, epilogue, row_begin,
               row_end, panel_begin, panel_end);
}
