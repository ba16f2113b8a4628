// A unit of K is a pair of bfloat16, the lower index in the lower half.
#include "epilogue.h"
#include "include/slk_gemm.h"
#include "include/slk_move.h"
#include "panels.h"

/// Rows that are fetched before they are needed.
#define SLK_ROWS_AHEAD 16

#define SLK_TEMPLATE "gemm_bf16.inc.h"
#define SLK_AVX512_EXTRA ",avx512bf16"
#include "tiers.h"

size_t slk_gemm_bf16_panel_columns(void) { return slk_gemm_f32_panel_columns(); }
size_t slk_gemm_bf16_panel_count(size_t n) { return slk_gemm_f32_panel_count(n); }

size_t slk_gemm_bf16_packed_bytes(size_t k, size_t n) {
  return slk_gemm_f32_packed_bytes(slk_divide_up(k, 2), n);
}

// Factors of a product: where they are small they count as 0 in it, so that the rounding may do so.
void slk_bf16_rows(const float *x, size_t rows, size_t k, size_t x_stride, uint16_t *y,
                   size_t y_stride) {
#if defined(__x86_64__)
  if (slk_cpu_has_bf16()) {
    half_rows_avx512(x, rows, k, x_stride, y, y_stride);
    return;
  }
#endif
  for (size_t i = 0; i < rows; i++) {
    slk_bf16_from_f32(x + i * x_stride, y + i * y_stride, k);
    memset(y + i * y_stride + k, 0, (y_stride - k) * sizeof *y);
  }
}

enum { BLOCK = 32, CHUNK = 64 };

/// Units of two rows of K, `n` <= CHUNK of them; `high` NULL: the second row is 0.
static void round_pairs(const float *low, const float *high, uint32_t *y, size_t n) {
#if defined(__x86_64__)
  if (slk_cpu_has_bf16()) {
    pairs_from_f32_avx512(low, high, y, n);
    return;
  }
#endif
  uint16_t halves[2][CHUNK] = {{0}};
  slk_bf16_from_f32(low, halves[0], n);
  if (high) slk_bf16_from_f32(high, halves[1], n);
  for (size_t i = 0; i < n; i++) y[i] = halves[0][i] | (uint32_t)halves[1][i] << 16;
}

/// The pairs of `count` <= BLOCK elements of K, of the `width` <= CHUNK columns that begin at
/// `column`; there are `behind` more elements to come.
static void pack_block(const float *column, size_t count, size_t behind, size_t width,
                       size_t row_stride, size_t column_stride, uint32_t *out, size_t stored) {
  if (column_stride == 1) {
    for (size_t i = 0; i < count; i += 2) {
      const float *row = column + i * row_stride;
      for (size_t j = 0; j < 2 && i + j + SLK_ROWS_AHEAD < count + behind; j++) {
        slk_fetch(row + (j + SLK_ROWS_AHEAD) * row_stride, width);
      }
      round_pairs(row, i + 1 < count ? row + row_stride : NULL, out + i / 2 * stored, width);
    }
    return;
  }
  __attribute__((aligned(64))) uint16_t halves[CHUNK * BLOCK];
  float gathered[CHUNK * BLOCK];
  const float *lines = column;
  size_t line_stride = column_stride;
  if (row_stride != 1) {
    lines = gathered, line_stride = BLOCK;
    for (size_t j = 0; j < width; j++) {
      for (size_t i = 0; i < count; i++) {
        gathered[j * BLOCK + i] = column[j * column_stride + i * row_stride];
      }
    }
  } else if (behind > 0) {
    for (size_t j = 0; j < width; j++) slk_fetch(column + j * column_stride + BLOCK, BLOCK);
  }
  slk_bf16_rows(lines, width, count, line_stride, halves, BLOCK);
  slk_transpose(halves, BLOCK / 2, out, stored, width, slk_divide_up(count, 2), sizeof *out);
}

void slk_gemm_bf16_pack(const float *b, size_t k, size_t n, size_t row_stride,
                        size_t column_stride, void *packed, size_t panel_begin, size_t panel_end) {
  const size_t columns = slk_gemm_bf16_panel_columns(), units = slk_divide_up(k, 2);
  const size_t lanes = slk_tile_shape_of(slk_cpu.tier).width;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, lanes);
    for (size_t first = 0; first < k; first += BLOCK) {
      const size_t count = slk_min(BLOCK, k - first);
      uint32_t *out = (uint32_t *)packed + column * units + first / 2 * stored;
      pack_block(b + first * row_stride + column * column_stride, count, k - first - count,
                 width, row_stride, column_stride, out, stored);
      for (size_t i = 0; i < slk_divide_up(count, 2) && width < stored; i++) {
        memset(out + i * stored + width, 0, (stored - width) * sizeof *out);
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

void slk_gemm_bf16_pack_turned(const float *a, size_t k, size_t stride, void *packed,
                               size_t row_begin, size_t row_end) {
  const size_t tile = slk_gemm_tile_rows(), units = slk_divide_up(k, 2);
  uint32_t pairs[CHUNK];
  for (size_t row = row_begin; row < row_end; row += CHUNK) {
    const size_t rows = slk_min(CHUNK, row_end - row);
    for (size_t unit = 0; unit < units; unit++) {
      const float *low = a + 2 * unit * stride + row;
      for (size_t j = 0; j < 2 && 2 * unit + j + SLK_ROWS_AHEAD < k; j++) {
        slk_fetch(low + (j + SLK_ROWS_AHEAD) * stride, rows);
      }
      round_pairs(low, 2 * unit + 1 < k ? low + stride : NULL, pairs, rows);
      for (size_t first = 0; first < rows; first += tile) {
        uint32_t *out = (uint32_t *)packed + (row + first) * units + unit * tile;
        if (tile == 8 && rows - first >= 8) {
          memcpy(out, pairs + first, 8 * sizeof *out);
        } else {
          memcpy(out, pairs + first, slk_min(tile, rows - first) * sizeof *out);
        }
      }
    }
  }
}

void slk_gemm_bf16_turned(size_t k, size_t n, const void *packed_a, const void *packed, float *c,
                          size_t ldc, const slk_epilogue *epilogue, size_t row_begin,
                          size_t row_end, size_t panel_begin, size_t panel_end) {
#if defined(__x86_64__)
  product_turned_avx512(slk_divide_up(k, 2), n, packed_a, slk_gemm_tile_rows(),
                        slk_divide_up(k, 2), (const uint32_t *)packed, 0, c, ldc, epilogue, row_begin,
                        row_end, panel_begin, panel_end);
#else
  (void)k, (void)n, (void)packed_a, (void)packed, (void)c, (void)ldc, (void)epilogue;
  (void)row_begin, (void)row_end, (void)panel_begin, (void)panel_end;
#endif
}
