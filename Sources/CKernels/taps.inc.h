// The product whose rows of A are lists of runs: the register tile of gemm_tile.inc.h with a pointer
// for each row.

SLK_INLINE void SLK_NAME(tile_taps)(const int rows, const int vectors, size_t taps, size_t units,
                                    const float *const *table, const float *b, float *out,
                                    size_t ldo, slk_ahead ahead) {
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
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      v_store(out + (size_t)i * ldo + (size_t)j * SLK_WIDTH, acc[i][j]);
    }
  }
}

#define SLK_TILE taps
#define SLK_DEFINE_TILE(rows, vectors)                                                           \
  static void SLK_NAME_TILE(rows, vectors)(size_t taps, size_t units, const float *const *table, \
                                           const float *b, float *out, size_t ldo,               \
                                           slk_ahead ahead) {                                    \
    SLK_NAME(tile_taps)(rows, vectors, taps, units, table, b, out, ldo, ahead);                  \
  }
#define SLK_NAME_TILE(rows, vectors) \
  SLK_NAME(SLK_JOIN(SLK_JOIN(SLK_JOIN(tile, SLK_TILE), rows), vectors))
#include "gemm_table.inc.h"

static void SLK_NAME(product_taps)(size_t taps, size_t units, size_t n, const float *const *table,
                                   const float *packed, float *c, size_t ldc,
                                   const slk_epilogue *epilogue, size_t row_begin, size_t row_end,
                                   size_t panel_begin, size_t panel_end) {
  const size_t columns = SLK_TILE_VECTORS * SLK_WIDTH, k = taps * units;
  const bool plain = slk_epilogue_is_plain(epilogue);
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
                                                  out, ldo, ahead);
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

/// `rows` pixels and 2 vectors of channels; `n` channels are left.
SLK_INLINE void SLK_NAME(depthwise_block)(const int rows, size_t taps, size_t channels, size_t at,
                                          const float *const *table, const float *w,
                                          const float *bias, float *y, size_t y_stride) {
  const size_t left = channels - at;
  const size_t rest = left > SLK_WIDTH ? left - SLK_WIDTH : 0;
  vf low[4], high[4];
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    low[i] = bias ? v_load_n(bias + at, left) : v_set(0.0f);
    high[i] = bias && rest ? v_load_n(bias + at + SLK_WIDTH, rest) : v_set(0.0f);
  }
  if (rest >= SLK_WIDTH) {
    for (size_t tap = 0; tap < taps; tap++) {
      const vf w0 = v_load(w + tap * channels + at);
      const vf w1 = v_load(w + tap * channels + at + SLK_WIDTH);
      SLK_UNROLL for (int i = 0; i < rows; i++) {
        const float *x = table[(size_t)i * taps + tap] + at;
        low[i] = v_fma(v_load(x), w0, low[i]);
        high[i] = v_fma(v_load(x + SLK_WIDTH), w1, high[i]);
      }
    }
  } else {
    for (size_t tap = 0; tap < taps; tap++) {
      const vf w0 = v_load_n(w + tap * channels + at, left);
      const vf w1 = rest ? v_load_n(w + tap * channels + at + SLK_WIDTH, rest) : v_set(0.0f);
      SLK_UNROLL for (int i = 0; i < rows; i++) {
        const float *x = table[(size_t)i * taps + tap] + at;
        low[i] = v_fma(v_load_n(x, left), w0, low[i]);
        if (rest) high[i] = v_fma(v_load_n(x + SLK_WIDTH, rest), w1, high[i]);
      }
    }
  }
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    float *out = y + (size_t)i * y_stride + at;
    v_store_n(out, low[i], left);
    if (rest) v_store_n(out + SLK_WIDTH, high[i], rest);
  }
}

static void SLK_NAME(depthwise_taps)(size_t taps, size_t channels, const float *const *table,
                                     const float *w, const float *bias, float *y, size_t y_stride,
                                     size_t rows) {
  size_t row = 0;
  for (; row + 4 <= rows; row += 4, table += 4 * taps, y += 4 * y_stride) {
    for (size_t at = 0; at < channels; at += 2 * SLK_WIDTH) {
      SLK_NAME(depthwise_block)(4, taps, channels, at, table, w, bias, y, y_stride);
    }
  }
  for (; row < rows; row++, table += taps, y += y_stride) {
    for (size_t at = 0; at < channels; at += 2 * SLK_WIDTH) {
      SLK_NAME(depthwise_block)(1, taps, channels, at, table, w, bias, y, y_stride);
    }
  }
}

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
