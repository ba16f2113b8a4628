// float32 products of few rows with a B that is read where it lies, by rows.

SLK_INLINE void SLK_NAME(accumulate_loose)(const int rows, const int vectors, size_t units,
                                           const float *restrict a, size_t lda,
                                           const float *restrict b, size_t ldb, bool fetches,
                                           vf acc[SLK_MOST_ROWS][SLK_MOST_VECTORS]) {
  _Pragma("clang loop unroll(disable)") for (size_t k = 0; k < units; k++, b += ldb) {
    if (fetches) {
      SLK_UNROLL for (int j = 0; j < vectors; j++) {
        __builtin_prefetch(b + SLK_ROWS_AHEAD * ldb + (size_t)j * SLK_WIDTH, 0, 3);
      }
    }
    vf right[SLK_MOST_VECTORS];
    SLK_UNROLL for (int j = 0; j < vectors; j++) right[j] = v_load(b + (size_t)j * SLK_WIDTH);
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      const vf left = v_set(a[(size_t)i * lda + k]);
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = v_fma(left, right[j], acc[i][j]);
    }
  }
}

// The last row of B comes as a copy, so that vectors may reach beyond its end.
#define SLK_TILE loose
#define SLK_DEFINE_TILE(rows, vectors)                                                           \
  static void SLK_NAME_TILE(rows, vectors)(size_t units, const float *a, size_t lda,             \
                                           const float *b, size_t ldb, bool fetches,             \
                                           const float *last, float *out, size_t ldo,            \
                                           const slk_epilogue *e, size_t row, size_t column) {   \
    vf acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};                                               \
    SLK_NAME(accumulate_loose)(rows, vectors, units - 1, a, lda, b, ldb, fetches, acc);          \
    SLK_NAME(accumulate_loose)(rows, vectors, 1, a + units - 1, lda, last, 0, false, acc);       \
    SLK_NAME(store_finished)(rows, vectors, acc, out, ldo, e, row, column);                      \
  }
#define SLK_NAME_TILE(rows, vectors) \
  SLK_NAME(SLK_JOIN(SLK_JOIN(SLK_JOIN(tile, SLK_TILE), rows), vectors))
#include "gemm_table.inc.h"
#undef SLK_DEFINE_TILE
#undef SLK_NAME_TILE

static void SLK_NAME(product_loose)(size_t units, size_t n, const float *a, size_t lda,
                                    const float *b, size_t ldb, float *c, size_t ldc,
                                    const slk_epilogue *epilogue, size_t row_begin, size_t row_end,
                                    size_t column_begin, size_t column_end) {
  const size_t columns = SLK_TILE_VECTORS * SLK_WIDTH;
  const bool plain = slk_epilogue_is_light(epilogue);
  __attribute__((aligned(64))) float tile[SLK_TILE_ROWS * SLK_TILE_VECTORS * SLK_WIDTH];
  __attribute__((aligned(64))) float last[SLK_TILE_VECTORS * SLK_WIDTH] = {0};
  for (size_t column = column_begin, width; column < column_end; column += width) {
    // Tiles of nearly equal width.
    const size_t left = column_end - column, runs = slk_divide_up(left, columns);
    const size_t vectors = slk_divide_up(slk_divide_up(left, SLK_WIDTH), runs);
    width = slk_min(vectors * SLK_WIDTH, left);
    memcpy(last, b + (units - 1) * ldb + column, width * sizeof *last);
    const bool direct = plain && width == vectors * SLK_WIDTH;
    for (size_t row = row_begin; row < row_end; row += SLK_TILE_ROWS) {
      const size_t rows = slk_min(SLK_TILE_ROWS, row_end - row);
      float *out = direct ? c + row * ldc + column : tile;
      const size_t ldo = direct ? ldc : vectors * SLK_WIDTH;
      if (direct) slk_fetch_tile(out, rows, ldo * sizeof *out, width * sizeof *out);
      SLK_NAME(table_loose)[rows - 1][vectors - 1](units, a + row * lda, lda, b + column, ldb,
                                                   row == row_begin, last, out, ldo,
                                                   direct ? epilogue : NULL, row, column);
      if (!direct) SLK_NAME(slk_finish)(epilogue, tile, ldo, rows, width, row, column, c, ldc);
    }
  }
}
