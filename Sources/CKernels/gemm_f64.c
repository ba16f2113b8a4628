#include "include/slk_gemm.h"
#include "panels.h"
#include "simd_names.h"

static bool is_plain_f64(const slk_epilogue_f64 *e) {
  return e->alpha == 1.0 && !e->bias && !e->residual && !e->accumulate;
}

static void finish_f64(const slk_epilogue_f64 *e, const double *tile, size_t ld, size_t rows,
                       size_t width, size_t row, size_t column, double *c, size_t ldc) {
  for (size_t i = 0; i < rows; i++) {
    double *out = c + (row + i) * ldc + column;
    const double *residual = e->residual ? e->residual + (row + i) * e->residual_row_stride : NULL;
    for (size_t j = 0; j < width; j++) {
      double v = e->alpha * tile[i * ld + j];
      if (e->bias) v += e->bias[column + j];
      if (residual) v += e->beta * residual[(column + j) * e->residual_column_stride];
      if (e->accumulate) v += out[j];
      out[j] = v;
    }
  }
}

#define SLK_TEMPLATE "gemm_f64.inc.h"
#include "tiers.h"

static size_t lanes_f64(void) { return slk_tile_shape_of(slk_cpu.tier).width / 2; }

size_t slk_gemm_f64_panel_columns(void) {
  return slk_tile_shape_of(slk_cpu.tier).vectors * lanes_f64();
}

size_t slk_gemm_f64_panel_count(size_t n) {
  return slk_divide_up(n, slk_gemm_f64_panel_columns());
}

size_t slk_gemm_f64_packed_bytes(size_t k, size_t n) {
  return k * slk_round_up(n, lanes_f64()) * sizeof(double);
}

void slk_gemm_f64_pack(const double *b, size_t k, size_t n, size_t row_stride, size_t column_stride,
                       void *packed, size_t panel_begin, size_t panel_end) {
  const size_t columns = slk_gemm_f64_panel_columns(), lanes = lanes_f64();
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, lanes);
    double *out = (double *)packed + column * k;
    for (size_t i = 0; i < k; i++, out += stored) {
      const double *source = b + i * row_stride + column * column_stride;
      for (size_t j = 0; j < width; j++) out[j] = source[j * column_stride];
      for (size_t j = width; j < stored; j++) out[j] = 0;
    }
  }
}

void slk_gemm_f64(size_t k, size_t n, const double *a, size_t lda, const void *packed, double *c,
                  size_t ldc, const slk_epilogue_f64 *epilogue, size_t row_begin, size_t row_end,
                  size_t panel_begin, size_t panel_end) {
  SLK_DISPATCH(product_f64, k, n, a, lda, (const double *)packed, c, ldc, epilogue, row_begin,
               row_end, panel_begin, panel_end);
}
