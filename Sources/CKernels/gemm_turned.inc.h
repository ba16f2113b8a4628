// The product of an A that lies by columns: SLK_TILE is its name, everything else as in
// gemm_tile.inc.h, with a light epilogue (gemm_store.inc.h).

/// acc[i][j] += sum over k of a[k * stride + i] b[k][j], B packed.
SLK_INLINE void SLK_NAME(accumulate_turned)(const int rows, const int vectors, size_t units,
                                            const SLK_UNIT *restrict a, size_t stride,
                                            const SLK_UNIT *restrict b,
                                            SLK_ACC acc[SLK_MOST_ROWS][SLK_MOST_VECTORS],
                                            slk_ahead ahead) {
  const size_t row = (size_t)vectors * SLK_LANES;
  _Pragma("clang loop unroll(disable)") for (size_t k = 0; k < units; k++, a += stride, b += row) {
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
                                           const SLK_UNIT *b, float *out, size_t ldo,         \
                                           const slk_ahead *ahead, const slk_epilogue *e,      \
                                           size_t row, size_t column) {                       \
    SLK_ACC acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};                                       \
    SLK_NAME(accumulate_turned)(rows, vectors, units, a, stride, b, acc, *ahead);             \
    SLK_NAME(store_finished)(rows, vectors, acc, out, ldo, e, row, column);                   \
  }
#define SLK_NAME_TILE(rows, vectors) \
  SLK_NAME(SLK_JOIN(SLK_JOIN(SLK_JOIN(tile, SLK_TILE), rows), vectors))
#include "gemm_table.inc.h"
#undef SLK_DEFINE_TILE

static void SLK_NAME(product_turned)(size_t units, size_t n, const SLK_UNIT *a, size_t stride,
                                     size_t row_step, const SLK_UNIT *packed, float *c, size_t ldc,
                                     const slk_epilogue *epilogue, size_t row_begin,
                                     size_t row_end, size_t panel_begin, size_t panel_end) {
  const size_t columns = SLK_TILE_VECTORS * SLK_WIDTH;
  const bool plain = slk_epilogue_is_light(epilogue);
  const size_t tiles = slk_divide_up(row_end - row_begin, SLK_TILE_ROWS);
  __attribute__((aligned(64))) float tile[SLK_TILE_ROWS * SLK_TILE_VECTORS * SLK_WIDTH];
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t vectors = slk_divide_up(width, SLK_WIDTH);
    const SLK_UNIT *b = packed + column * units;
    const slk_ahead share = slk_ahead_share(vectors * SLK_LANES * sizeof(SLK_UNIT), tiles);
    slk_ahead ahead = panel + 1 < panel_end ? share : (slk_ahead){0};
    ahead.next = (const char *)(b + units * columns);
    const bool direct = plain && width == vectors * SLK_WIDTH;
    for (size_t row = row_begin; row < row_end; row += SLK_TILE_ROWS) {
      const size_t rows = slk_min(SLK_TILE_ROWS, row_end - row);
      float *out = direct ? c + row * ldc + column : tile;
      const size_t ldo = direct ? ldc : vectors * SLK_WIDTH;
      if (direct) slk_fetch_tile(out, rows, ldo * sizeof *out, width * sizeof *out);
      SLK_NAME(table_turned)[rows - 1][vectors - 1](units, a + row * row_step, stride, b, out, ldo,
                                                    &ahead, direct ? epilogue : NULL, row, column);
      ahead.next += ahead.step * units;
      if (!direct) SLK_NAME(slk_finish)(epilogue, tile, ldo, rows, width, row, column, c, ldc);
    }
  }
}
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS
#undef SLK_NAME_TILE
