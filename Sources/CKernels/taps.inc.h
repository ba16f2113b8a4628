// The product whose rows of A are lists of runs: the register tile of gemm_tile.inc.h with a pointer
// for each row.

#include "gemm_finish.inc.h"

SLK_INLINE void SLK_NAME(tile_taps)(const int rows, const int vectors, size_t taps, size_t units,
                                    const float *const *table, const float *b, float *out,
                                    size_t ldo, slk_ahead ahead, const slk_epilogue *e, size_t row,
                                    size_t column) {
  vf acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};
  for (size_t tap = 0; tap < taps; tap++) {
    const float *a[SLK_MOST_ROWS];
    SLK_UNROLL for (int i = 0; i < rows; i++) a[i] = table[(size_t)i * taps + tap];
    _Pragma("clang loop unroll(disable)") for (size_t k = 0; k < units; k++) {
      _Pragma("clang loop unroll(disable)") for (size_t line = 0; line < ahead.lines; line++) {
        __builtin_prefetch(ahead.next + 64 * line, 0, 2);
      }
      ahead.next += ahead.step;
      vf right[SLK_MOST_VECTORS];
      SLK_UNROLL for (int j = 0; j < vectors; j++) right[j] = v_load(b + (size_t)j * SLK_WIDTH);
      b += (size_t)vectors * SLK_WIDTH;
      SLK_UNROLL for (int i = 0; i < rows; i++) {
        const vf left = v_set(a[i][k]);
        SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = v_fma(left, right[j], acc[i][j]);
      }
    }
  }
  SLK_NAME(store_finished)(rows, vectors, acc, out, ldo, e, row, column);
}

#define SLK_TILE taps
#define SLK_DEFINE_TILE(rows, vectors)                                                           \
  static void SLK_NAME_TILE(rows, vectors)(size_t taps, size_t units, const float *const *table, \
                                           const float *b, float *out, size_t ldo,               \
                                           const slk_ahead *ahead, const slk_epilogue *e,        \
                                           size_t row, size_t column) {                          \
    SLK_NAME(tile_taps)(rows, vectors, taps, units, table, b, out, ldo, *ahead, e, row, column); \
  }
#define SLK_NAME_TILE(rows, vectors) \
  SLK_NAME(SLK_JOIN(SLK_JOIN(SLK_JOIN(tile, SLK_TILE), rows), vectors))
#include "gemm_table.inc.h"

static void SLK_NAME(product_taps)(size_t taps, size_t units, size_t n, const float *const *table,
                                   const float *packed, float *c, size_t ldc,
                                   const slk_epilogue *epilogue, size_t row_begin, size_t row_end,
                                   size_t panel_begin, size_t panel_end) {
  const size_t columns = SLK_TILE_VECTORS * SLK_WIDTH, k = taps * units;
  const bool plain = slk_epilogue_is_light(epilogue);
  const size_t tiles = slk_divide_up(row_end - row_begin, SLK_TILE_ROWS);
  __attribute__((aligned(64))) float tile[SLK_TILE_ROWS * SLK_TILE_VECTORS * SLK_WIDTH];
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t vectors = slk_divide_up(width, SLK_WIDTH);
    const float *b = packed + column * k;
    const slk_ahead share = slk_ahead_share(vectors * SLK_WIDTH * sizeof(float), tiles);
    slk_ahead ahead = panel + 1 < panel_end ? share : (slk_ahead){0};
    ahead.next = (const char *)(b + k * columns);
    for (size_t row = row_begin; row < row_end; row += SLK_TILE_ROWS) {
      const size_t rows = slk_min(SLK_TILE_ROWS, row_end - row);
      const bool direct = plain && width == vectors * SLK_WIDTH;
      float *out = direct ? c + row * ldc + column : tile;
      const size_t ldo = direct ? ldc : vectors * SLK_WIDTH;
      SLK_NAME(table_taps)[rows - 1][vectors - 1](taps, units, table + (row - row_begin) * taps, b,
                                                  out, ldo, &ahead, direct ? epilogue : NULL, row,
                                                  column);
      ahead.next += ahead.step * k;
      if (!direct) SLK_NAME(slk_finish)(epilogue, tile, ldo, rows, width, row, column, c, ldc);
    }
  }
}
#undef SLK_TILE
#undef SLK_DEFINE_TILE
#undef SLK_NAME_TILE
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS

static void SLK_NAME(pool_taps)(bool maximum, size_t taps, size_t channels,
                                const float *const *table, const float *scales, float *y,
                                size_t rows) {
  for (size_t row = 0; row < rows; row++, table += taps, y += channels) {
    for (size_t at = 0; at < channels; at += SLK_WIDTH) {
      const size_t left = channels - at;
      vf total = maximum ? v_load_n(table[0] + at, left) : v_set(0.0f);
      for (size_t tap = 0; tap < taps; tap++) {
        const vf v = v_load_n(table[tap] + at, left);
        if (maximum) {
          total = total >= v || total != total ? total : v;
        } else {
          total += v;
        }
      }
      v_store_n(y + at, maximum ? total : total * v_set(scales[row]), left);
    }
  }
}

/// `place` is the tap that the gradient of each channel goes to.
static void SLK_NAME(pool_back_taps)(const slk_pool_back *s, const float *const *table, const float *g,
                                     float *dx, float share) {
  for (size_t at = 0; at < s->channels; at += SLK_WIDTH) {
    const size_t left = s->channels - at;
    const vf flowing = v_load_n(g + at, left), zero = v_set(0.0f);
    vf best = zero;
    vi place = (vi)-1;
    for (size_t tap = 0; s->maximum && tap < s->taps; tap++) {
      if (table[tap] == s->outside) continue;
      const vf next = v_load_n(table[tap] + at, left);
      const vi takes = (place < 0) | (next > best) | ((next != next) & (best == best));
      best = takes ? next : best;
      place = takes ? (vi)(int32_t)tap : place;
    }
    if (s->positive) place = best > zero ? place : (vi)-1;
    for (size_t tap = 0; tap < s->taps; tap++) {
      if (table[tap] == s->outside) continue;
      float *to = dx + (table[tap] - s->x) + at;
      vf v = s->maximum ? (place == (vi)(int32_t)tap ? flowing : zero) : flowing * share;
      if (s->adds) v += v_load_n(to, left);
      v_store_n(to, v, left);
    }
  }
}

/// Elements [first, first + count) of the list of runs of each pixel, side by side.
static void SLK_NAME(taps_copy)(size_t taps, size_t units, size_t first, size_t count,
                                const float *const *table, size_t pixels, float *out,
                                size_t stride) {
  for (size_t pixel = 0; pixel < pixels; pixel++, table += taps, out += stride) {
    float *to = out;
    size_t tap = first / units, from = first % units;
    for (size_t left = count; left > 0; tap++, from = 0) {
      const size_t run = slk_min(units - from, left);
      const float *source = table[tap] + from;
      size_t at = 0;
      for (; at + SLK_WIDTH <= run; at += SLK_WIDTH) v_store(to + at, v_load(source + at));
      if (at < run) v_store_n(to + at, v_load_n(source + at, run - at), run - at);
      to += run;
      left -= run;
    }
  }
}

static void SLK_NAME(scale_packed)(const float *packed, size_t k, size_t n, const float *scale,
                                   float *out, size_t panel_begin, size_t panel_end) {
  const slk_tile_shape tile = slk_tile_shape_of(slk_cpu.tier);
  const size_t columns = tile.vectors * tile.width;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns;
    const size_t stored = slk_round_up(slk_min(columns, n - column), tile.width);
    const float *from = packed + column * k;
    float *to = out + column * k;
    for (size_t row = 0; row < k; row++, from += stored, to += stored) {
      const vf factor = v_set(scale[row]);
      for (size_t j = 0; j < stored; j += SLK_WIDTH) v_store(to + j, factor * v_load(from + j));
    }
  }
}
