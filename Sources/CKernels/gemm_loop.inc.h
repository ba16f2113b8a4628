// The product over a range of rows and panels, on top of gemm_tile.inc.h's accumulators. The
// includer also defines SLK_OUT, the type of an element of the tile, SLK_FINISH, the epilogue of a
// tile, SLK_RUN_TILE where a tile is more than its sums, and SLK_TILE_EPILOGUE where it must know
// whether it writes the result itself (SLK_IS_PLAIN holds and the tile is whole).

#define slk_accumulate SLK_NAME(SLK_JOIN(accumulate, SLK_TILE))
#define slk_store_sums SLK_NAME(SLK_JOIN(store_sums, SLK_TILE))

/// A tile that ends with its sums in `out`: SLK_RUN_TILE of most products.
SLK_INLINE void slk_store_sums(const int rows, const int vectors, size_t units, const SLK_UNIT *a,
                               size_t lda, const SLK_UNIT *b, SLK_OUT *out, size_t ldo,
                               slk_ahead ahead, const SLK_EPILOGUE *epilogue, size_t row,
                               size_t column) {
  (void)epilogue, (void)row, (void)column;
  SLK_ACC acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};
  slk_accumulate(rows, vectors, units, a, lda, b, acc, ahead);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      __builtin_memcpy(out + (size_t)i * ldo + (size_t)j * SLK_LANES, &acc[i][j], sizeof(SLK_ACC));
    }
  }
}
#ifndef SLK_RUN_TILE
#define SLK_RUN_TILE slk_store_sums
#endif
#ifndef SLK_TILE_EPILOGUE
#define SLK_TILE_EPILOGUE(epilogue, is_direct) (epilogue)
#endif

#define SLK_DEFINE_TILE(rows, vectors)                                                           \
  static void SLK_NAME_TILE(rows, vectors)(size_t units, const SLK_UNIT *a, size_t lda,          \
                                           const SLK_UNIT *b, SLK_OUT *out, size_t ldo,          \
                                           const slk_ahead *ahead, const SLK_EPILOGUE *epilogue, \
                                           size_t row, size_t column) {                          \
    SLK_RUN_TILE(rows, vectors, units, a, lda, b, out, ldo, *ahead, epilogue, row, column);      \
  }
#define SLK_NAME_TILE(rows, vectors) \
  SLK_NAME(SLK_JOIN(SLK_JOIN(SLK_JOIN(tile, SLK_TILE), rows), vectors))
#include "gemm_table.inc.h"

static void SLK_NAME(SLK_JOIN(product, SLK_TILE))(
    size_t units, size_t n, const SLK_UNIT *a, size_t lda, const SLK_UNIT *packed, SLK_PRODUCT_C *c,
    size_t ldc, const SLK_EPILOGUE *epilogue, size_t row_begin, size_t row_end, size_t panel_begin,
    size_t panel_end) {
  const size_t columns = SLK_TILE_VECTORS * SLK_LANES;
  const bool plain = SLK_IS_PLAIN(epilogue);
  const size_t tiles = slk_divide_up(row_end - row_begin, SLK_TILE_ROWS);
  __attribute__((aligned(64))) SLK_OUT tile[SLK_TILE_ROWS * SLK_TILE_VECTORS * SLK_LANES];
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t vectors = slk_divide_up(width, SLK_LANES);
    const SLK_UNIT *b = packed + column * units;
    const slk_ahead share = slk_ahead_share(vectors * SLK_LANES * sizeof(SLK_UNIT), tiles);
    slk_ahead ahead = panel + 1 < panel_end ? share : (slk_ahead){0};
    ahead.next = (const char *)(b + units * columns);
    // Tiles of nearly equal rows: one of few rows reads the panel faster than the cache gives it.
    for (size_t next = 1, row = row_begin, rows; row < row_end; next++, row += rows) {
      rows = row_begin + (row_end - row_begin) * next / tiles - row;
      const bool direct = plain && width == vectors * SLK_LANES;
      SLK_OUT *out = direct ? (SLK_OUT *)c + row * ldc + column : tile;
      const size_t ldo = direct ? ldc : vectors * SLK_LANES;
      if (direct) slk_fetch_tile(out, rows, ldo * sizeof *out, width * sizeof *out);
      SLK_NAME(SLK_JOIN(table, SLK_TILE))[rows - 1][vectors - 1](units, a + row * lda, lda, b, out,
                                                                 ldo, &ahead,
                                                                 SLK_TILE_EPILOGUE(epilogue, direct),
                                                                 row, column);
      ahead.next += ahead.step * units;
      if (!direct) SLK_FINISH(epilogue, tile, ldo, rows, width, row, column, c, ldc);
    }
  }
}

#undef SLK_DEFINE_TILE
#undef SLK_NAME_TILE
#undef SLK_RUN_TILE
#undef SLK_TILE_EPILOGUE
#undef slk_accumulate
#undef slk_store_sums
