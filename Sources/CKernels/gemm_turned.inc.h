// The product of an A that lies by columns: SLK_TILE is its name, everything else as in
// gemm_tile.inc.h, with a light epilogue (gemm_store.inc.h). B is packed, or read where it lies.

/// acc[i][j] += sum over k of a[k * stride + i] b[k * ldb + j].
SLK_INLINE void SLK_NAME(accumulate_turned)(const int rows, const int vectors, size_t units,
                                            const SLK_UNIT *restrict a, size_t stride,
                                            const SLK_UNIT *restrict b, size_t ldb,
                                            SLK_ACC acc[SLK_MOST_ROWS][SLK_MOST_VECTORS],
                                            slk_ahead ahead) {
  _Pragma("clang loop unroll(disable)") for (size_t k = 0; k < units; k++, a += stride, b += ldb) {
    _Pragma("clang loop unroll(disable)") for (size_t line = 0; line < ahead.lines; line++) {
      __builtin_prefetch(ahead.next + 64 * line, 0, 2);
    }
    ahead.next += ahead.step;
    SLK_B right[SLK_MOST_VECTORS];
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      __builtin_memcpy(&right[j], b + (size_t)j * SLK_LANES, sizeof(SLK_B));
    }
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      const SLK_B left = SLK_SPREAD(a + i);
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = SLK_STEP(acc[i][j], left, right[j]);
    }
  }
}

#define SLK_DEFINE_TILE(rows, vectors)                                                        \
  static void SLK_NAME_TILE(rows, vectors)(size_t units, const SLK_UNIT *a, size_t stride,    \
                                           const SLK_UNIT *b, size_t ldb, float *out,         \
                                           size_t ldo, const slk_ahead *ahead,                \
                                           const slk_epilogue *e, size_t row, size_t column) { \
    SLK_ACC acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};                                       \
    SLK_NAME(accumulate_turned)(rows, vectors, units, a, stride, b, ldb, acc, *ahead);        \
    SLK_NAME(store_finished)(rows, vectors, acc, out, ldo, e, row, column);                   \
  }
#define SLK_NAME_TILE(rows, vectors) \
  SLK_NAME(SLK_JOIN(SLK_JOIN(SLK_JOIN(tile, SLK_TILE), rows), vectors))
#include "gemm_table.inc.h"
#undef SLK_DEFINE_TILE

/// `ldb`: how far apart the rows of a B lie that is read in place, whole vectors of it; 0 for a packed
/// one.
static void SLK_NAME(product_turned)(size_t units, size_t n, const SLK_UNIT *a, size_t stride,
                                     size_t row_step, const SLK_UNIT *b, size_t ldb, float *c,
                                     size_t ldc, const slk_epilogue *epilogue, size_t row_begin,
                                     size_t row_end, size_t panel_begin, size_t panel_end) {
  const size_t columns = SLK_TILE_VECTORS * SLK_WIDTH;
  const bool plain = slk_epilogue_is_light(epilogue);
  const size_t tiles = slk_divide_up(row_end - row_begin, SLK_TILE_ROWS);
  __attribute__((aligned(64))) float tile[SLK_TILE_ROWS * SLK_TILE_VECTORS * SLK_WIDTH];
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t vectors = slk_divide_up(width, SLK_WIDTH);
    const SLK_UNIT *rows_of_b = b + column * (ldb ? 1 : units);
    const size_t step = ldb ? ldb : vectors * SLK_LANES;
    slk_ahead ahead = {0};
    if (panel + 1 < panel_end && !ldb) {
      ahead = slk_ahead_share(vectors * SLK_LANES * sizeof(SLK_UNIT), tiles);
      ahead.next = (const char *)(rows_of_b + units * columns);
    }
    const bool direct = plain && width == vectors * SLK_WIDTH;
    for (size_t row = row_begin; row < row_end; row += SLK_TILE_ROWS) {
      const size_t rows = slk_min(SLK_TILE_ROWS, row_end - row);
      if (ldb) {
        // The last tile fetches the next panel, the first one its own, some rows before it gets there,
        // the others of the first panel columns of A.
        const bool is_last = row_end - row <= SLK_TILE_ROWS && panel + 1 < panel_end;
        const size_t b_step = ldb * sizeof *b, a_step = stride * sizeof *a;
        if (is_last) {
          ahead = (slk_ahead){(const char *)(rows_of_b + columns), b_step, vectors};
        } else if (panel > panel_begin) {
          ahead = (slk_ahead){0};
        } else if (row == row_begin) {
          ahead = (slk_ahead){(const char *)(rows_of_b + SLK_ROWS_AHEAD * ldb), b_step, vectors};
        } else {
          ahead = (slk_ahead){(const char *)(a + row + 2 * SLK_TILE_ROWS), a_step, 1};
        }
      }
      float *out = direct ? c + row * ldc + column : tile;
      const size_t ldo = direct ? ldc : vectors * SLK_WIDTH;
      if (direct) slk_fetch_tile(out, rows, ldo * sizeof *out, width * sizeof *out);
      SLK_NAME(table_turned)[rows - 1][vectors - 1](units, a + row * row_step, stride, rows_of_b,
                                                    step, out, ldo, &ahead,
                                                    direct ? epilogue : NULL, row, column);
      ahead.next += ahead.step * units;
      if (!direct) SLK_NAME(slk_finish)(epilogue, tile, ldo, rows, width, row, column, c, ldc);
    }
  }
}
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS
#undef SLK_NAME_TILE
