// How B lies in memory once packed. A matrix is cut into panels of `vectors * width` columns; a
// panel stores, for each unit of K, one row of its columns. A unit is 4 bytes (one float, two
// bfloat16, four bytes, two 16-bit integers) or one double. The last panel is only as many vectors
// wide as it needs; its missing columns are zero.
#ifndef STACKLENS_PANELS_H
#define STACKLENS_PANELS_H

#include <stddef.h>

#include "cpu.h"

enum { SLK_MOST_ROWS = 8, SLK_MOST_VECTORS = 3 };

/// Rows of a B that is read where it lies that are fetched before they are needed.
enum { SLK_ROWS_AHEAD = 8 };

/// Register tile of a tier: `rows` x (`vectors` * `width` four-byte lanes).
typedef struct {
  size_t rows, vectors, width;
} slk_tile_shape;

static inline slk_tile_shape slk_tile_shape_of(slk_tier tier) {
  switch (tier) {
    case SLK_TIER_AVX512: return (slk_tile_shape){8, 3, 16};
    case SLK_TIER_AVX2: return (slk_tile_shape){6, 2, 8};
    default: return (slk_tile_shape){4, 2, 4};
  }
}

static inline size_t slk_divide_up(size_t a, size_t b) { return a / b + (a % b != 0); }
static inline size_t slk_round_up(size_t a, size_t b) { return slk_divide_up(a, b) * b; }
static inline size_t slk_min(size_t a, size_t b) { return a < b ? a : b; }

/// Fetches `count` floats from `from` on to the second-level cache: a matrix that is packed tends to come
/// from memory, and the processor does not foresee strides as long as its rows.
static inline void slk_fetch(const float *from, size_t count) {
  for (size_t i = 0; i < count; i += 16) __builtin_prefetch(from + i, 0, 2);
}

/// Fetches where a tile of `rows` rows, `stride` bytes apart, is to be written: its stores come all
/// at once, and would wait for memory together.
static inline void slk_fetch_tile(const void *tile, size_t rows, size_t stride, size_t row_bytes) {
  for (const char *row = tile; rows > 0; rows--, row += stride) {
    for (size_t i = 0; i < row_bytes; i += 64) __builtin_prefetch(row + i, 1, 3);
  }
}

/// What a tile fetches from the next panel at each unit of K: `lines` cache lines at `next`, which
/// then moves on by `step` bytes. Tiles that are called take its address: a copy in vectors of what was
/// just written in words would wait until all sums of the tile before have reached the cache.
typedef struct {
  const char *next;
  size_t step, lines;
} slk_ahead;

/// The share of one of `tiles` tiles that together fetch a panel with rows of `row_bytes`.
static inline slk_ahead slk_ahead_share(size_t row_bytes, size_t tiles) {
  const size_t step = slk_divide_up(row_bytes, tiles ? tiles : 1);
  return (slk_ahead){NULL, step, slk_divide_up(step, 64)};
}

#endif
