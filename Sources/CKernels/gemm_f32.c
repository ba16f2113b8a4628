#include "epilogue.h"
#include "include/slk_elementwise.h"
#include "include/slk_gemm.h"
#include "include/slk_move.h"
#include "panels.h"

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
  enum { rows_ahead = 16, block_terms = 16 };
  const size_t columns = slk_gemm_f32_panel_columns();
  const size_t lanes = slk_tile_shape_of(slk_cpu.tier).width;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, lanes);
    const float *source = b + column * column_stride;
    float *out = (float *)packed + column * k;
    if (column_stride == 1) {
      for (size_t i = 0; i < k; i++, out += stored) {
        if (k - i > rows_ahead) slk_fetch(source + (i + rows_ahead) * row_stride, width);
        memcpy(out, source + i * row_stride, width * sizeof *out);
        memset(out + width, 0, (stored - width) * sizeof *out);
      }
      continue;
    }
    for (size_t block = 0; block < k; block += block_terms, out += block_terms * stored) {
      const size_t count = slk_min(block_terms, k - block);
      for (size_t j = 0; row_stride == 1 && k - block > 2 * block_terms && j < width; j++) {
        slk_fetch(source + j * column_stride + block + 2 * block_terms, 1);
      }
      if (row_stride == 1) {
        slk_transpose(source + block, column_stride, out, stored, width, count, sizeof *out);
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

void slk_gemm_f32_pack_turned(const float *a, size_t k, size_t stride, float *packed,
                              size_t row_begin, size_t row_end) {
  enum { block = 8 };  // rows of the source that stay in the cache while their tiles are written
  const size_t tile = slk_gemm_tile_rows();
  for (size_t first = 0; first < k; first += block) {
    const size_t end = slk_min(k, first + block);
    for (size_t i = end; i < slk_min(k, end + block); i++) {
      slk_fetch(a + i * stride + row_begin, row_end - row_begin);
    }
    for (size_t row = row_begin; row < row_end; row += tile) {
      const size_t rows = slk_min(tile, row_end - row);
      float *out = packed + row * k;
      for (size_t i = first; i < end; i++) {
        const float *source = a + i * stride + row;
        if (rows == 8) {
          memcpy(out + i * 8, source, 8 * sizeof *out);
        } else {
          for (size_t j = 0; j < rows; j++) out[i * tile + j] = source[j];
        }
      }
    }
  }
}

void slk_gemm_f32_turned(size_t k, size_t n, const float *a, size_t stride, size_t row_step,
                         const void *packed, float *c, size_t ldc, const slk_epilogue *epilogue,
                         size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end) {
  SLK_DISPATCH(product_turned, k, n, a, stride, row_step, (const float *)packed, 0, c, ldc,
               epilogue, row_begin, row_end, panel_begin, panel_end);
}

void slk_gemm_f32_outer(size_t k, size_t n, const float *a, size_t lda, const float *b, size_t ldb,
                        float *c, size_t ldc, const slk_epilogue *epilogue, size_t row_begin,
                        size_t row_end, size_t panel_begin, size_t panel_end) {
  SLK_DISPATCH(product_turned, k, n, a, lda, 1, b, ldb, c, ldc, epilogue, row_begin, row_end,
               panel_begin, panel_end);
}

void slk_gemm_f32_loose(size_t k, size_t n, const float *a, size_t lda, const float *b, size_t ldb,
                        float *c, size_t ldc, const slk_epilogue *epilogue, size_t row_begin,
                        size_t row_end, size_t column_begin, size_t column_end) {
  SLK_DISPATCH(product_loose, k, n, a, lda, b, ldb, c, ldc, epilogue, row_begin, row_end,
               column_begin, column_end);
}

/// Columns of C that one round of a swapped product makes.
enum { SWAPPED_COLUMNS = 48 };

size_t slk_gemm_f32_swapped_room(size_t m) {
  return 2 * SWAPPED_COLUMNS * slk_round_up(m, 16);
}

void slk_gemm_f32_swapped(size_t k, size_t m, const float *b, size_t b_stride,
                          const void *packed_a, float *c, size_t ldc,
                          const slk_epilogue *epilogue, size_t column_begin, size_t column_end,
                          float *room) {
  const slk_epilogue none = slk_epilogue_none();
  float *sums = room, *turned = room + SWAPPED_COLUMNS * slk_round_up(m, 16);
  for (size_t column = column_begin; column < column_end; column += SWAPPED_COLUMNS) {
    const size_t width = slk_min(SWAPPED_COLUMNS, column_end - column);
    const size_t stored = slk_round_up(width, 16);
    slk_gemm_f32(k, m, b + column * b_stride, b_stride, packed_a, sums, m, &none, 0, width, 0,
                 slk_gemm_f32_panel_count(m));
    slk_transpose(sums, m, turned, stored, width, m, sizeof *sums);
    SLK_DISPATCH(slk_finish, epilogue, turned, stored, m, width, 0, column, c, ldc);
  }
}
