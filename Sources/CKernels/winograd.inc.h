// The points of interpolation are 0, +-1/sqrt 2, +-sqrt 2 and infinity: with 0, +-1, +-2 the largest
// error is five times as large.

/// y = Bt x.
SLK_INLINE void SLK_NAME(winograd_bt)(const vf x[6], vf y[6]) {
  const vf small = v_set(0.70710678f), large = v_set(1.41421356f);
  const vf a = v_fma(v_set(-2.0f), x[2], x[4]), b = v_fma(v_set(-2.0f), x[1], x[3]);
  const vf c = v_fma(v_set(-0.5f), x[2], x[4]), d = v_fma(v_set(-0.5f), x[1], x[3]);
  y[0] = v_fma(v_set(-2.5f), x[2], x[0] + x[4]);
  y[1] = v_fma(small, b, a);
  y[2] = v_fma(-small, b, a);
  y[3] = v_fma(large, d, c);
  y[4] = v_fma(-large, d, c);
  y[5] = v_fma(v_set(-2.5f), x[3], x[1] + x[5]);
}

/// y = At x.
SLK_INLINE void SLK_NAME(winograd_at)(const vf x[6], vf y[4]) {
  const vf small = v_set(0.70710678f), large = v_set(1.41421356f);
  const vf a = x[1] + x[2], b = small * (x[1] - x[2]);
  const vf c = x[3] + x[4], d = large * (x[3] - x[4]);
  y[0] = x[0] + a + c;
  y[1] = b + d;
  y[2] = v_fma(v_set(2.0f), c, 0.5f * a);
  y[3] = v_fma(v_set(2.0f), d, 0.5f * b) + x[5];
}

/// y = G x.
SLK_INLINE void SLK_NAME(winograd_g)(const vf x[3], vf y[6]) {
  const vf a = v_fma(v_set(-1.0f / 3.0f), x[2], v_set(-2.0f / 3.0f) * x[0]);
  const vf b = v_set(0.47140452f) * x[1];
  const vf c = v_fma(v_set(1.0f / 3.0f), x[2], v_set(1.0f / 6.0f) * x[0]);
  const vf d = v_set(0.23570226f) * x[1];
  y[0] = x[0];
  y[1] = a - b;
  y[2] = a + b;
  y[3] = c + d;
  y[4] = c - d;
  y[5] = x[2];
}

/// y = A x, the transpose of winograd_at.
SLK_INLINE void SLK_NAME(winograd_a)(const vf x[4], vf y[6]) {
  const vf half = v_set(0.5f), two = v_set(2.0f);
  const vf a = v_fma(half, x[2], x[0]), b = v_set(0.70710678f) * v_fma(half, x[3], x[1]);
  const vf c = v_fma(two, x[2], x[0]), d = v_set(1.41421356f) * v_fma(two, x[3], x[1]);
  y[0] = x[0];
  y[1] = a + b;
  y[2] = a - b;
  y[3] = c + d;
  y[4] = c - d;
  y[5] = x[3];
}

/// y = Gt x, the transpose of winograd_g.
SLK_INLINE void SLK_NAME(winograd_gt)(const vf x[6], vf y[3]) {
  const vf a = x[1] + x[2], c = x[3] + x[4];
  y[0] = v_fma(v_set(1.0f / 6.0f), c, v_fma(v_set(-2.0f / 3.0f), a, x[0]));
  y[1] = v_fma(v_set(0.23570226f), x[3] - x[4], v_set(0.47140452f) * (x[2] - x[1]));
  y[2] = v_fma(v_set(1.0f / 3.0f), c - a, x[5]);
}

/// Where columns from `column` on lie in row `row` of a packed matrix [k, n].
SLK_INLINE float *SLK_NAME(packed_place)(float *packed, size_t k, size_t n, size_t row,
                                         size_t column) {
  const slk_tile_shape tile = slk_tile_shape_of(slk_cpu.tier);
  const size_t first = column / (tile.vectors * tile.width) * (tile.vectors * tile.width);
  const size_t stored = slk_round_up(slk_min(tile.vectors * tile.width, n - first), tile.width);
  return packed + first * k + row * stored + (column - first);
}

static void SLK_NAME(winograd_filter)(const float *w, size_t k, size_t n, bool turned, float *packed,
                                      size_t point_stride, size_t begin, size_t end) {
  for (size_t row = begin; row < end; row++) {
    for (size_t column = 0; column < n; column += SLK_WIDTH) {
      const size_t left = n - column;
      vf half[6][3];
      for (size_t kx = 0; kx < 3; kx++) {
        vf x[3], y[6];
        SLK_UNROLL for (size_t ky = 0; ky < 3; ky++) {
          const size_t tap = turned ? 8 - ky * 3 - kx : ky * 3 + kx;
          x[ky] = v_load_n(w + (row * 9 + tap) * n + column, left);
        }
        SLK_NAME(winograd_g)(x, y);
        SLK_UNROLL for (size_t i = 0; i < 6; i++) half[i][kx] = y[i];
      }
      float *out = SLK_NAME(packed_place)(packed, k, n, row, column);
      for (size_t i = 0; i < 6; i++) {
        vf y[6];
        SLK_NAME(winograd_g)(half[i], y);
        SLK_UNROLL for (size_t j = 0; j < 6; j++) v_store(out + (i * 6 + j) * point_stride, y[j]);
      }
    }
  }
}

static void SLK_NAME(winograd_back)(size_t n, const float *const *table, size_t tiles, float *packed,
                                    size_t point_stride, size_t begin, size_t end) {
  for (size_t tile = begin; tile < end; tile++, table += 16) {
    for (size_t column = 0; column < n; column += SLK_WIDTH) {
      const size_t left = n - column;
      vf half[6][4];
      for (size_t j = 0; j < 4; j++) {
        vf x[4], y[6];
        SLK_UNROLL for (size_t i = 0; i < 4; i++) x[i] = v_load_n(table[i * 4 + j] + column, left);
        SLK_NAME(winograd_a)(x, y);
        SLK_UNROLL for (size_t i = 0; i < 6; i++) half[i][j] = y[i];
      }
      float *out = SLK_NAME(packed_place)(packed, tiles, n, tile, column);
      for (size_t i = 0; i < 6; i++) {
        vf y[6];
        SLK_NAME(winograd_a)(half[i], y);
        SLK_UNROLL for (size_t j = 0; j < 6; j++) v_store(out + (i * 6 + j) * point_stride, y[j]);
      }
    }
  }
}

static void SLK_NAME(winograd_filter_back)(const float *u, size_t k, size_t n, float *w, size_t begin,
                                           size_t end) {
  for (size_t row = begin; row < end; row++) {
    for (size_t column = 0; column < n; column += SLK_WIDTH) {
      const size_t left = n - column;
      vf half[3][6];
      for (size_t j = 0; j < 6; j++) {
        vf x[6], y[3];
        SLK_UNROLL for (size_t i = 0; i < 6; i++) {
          x[i] = v_load_n(u + ((i * 6 + j) * k + row) * n + column, left);
        }
        SLK_NAME(winograd_gt)(x, y);
        SLK_UNROLL for (size_t i = 0; i < 3; i++) half[i][j] = y[i];
      }
      for (size_t i = 0; i < 3; i++) {
        vf y[3];
        SLK_NAME(winograd_gt)(half[i], y);
        SLK_UNROLL for (size_t j = 0; j < 3; j++) {
          v_store_n(w + (row * 9 + i * 3 + j) * n + column, y[j], left);
        }
      }
    }
  }
}

static void SLK_NAME(winograd_input)(size_t channels, const float *const *table, size_t tiles,
                                     float *v, size_t plane) {
  for (size_t tile = 0; tile < tiles; tile++, table += 36, v += channels) {
    for (size_t c = 0; c < channels; c += SLK_WIDTH) {
      const size_t left = channels - c;
      vf half[6][6];
      for (int column = 0; column < 6; column++) {
        vf x[6], y[6];
        SLK_UNROLL for (int row = 0; row < 6; row++) {
          const float *p = table[row * 6 + column] + c;
          x[row] = left >= SLK_WIDTH ? v_load(p) : v_load_n(p, left);
        }
        SLK_NAME(winograd_bt)(x, y);
        SLK_UNROLL for (int row = 0; row < 6; row++) half[row][column] = y[row];
      }
      for (int row = 0; row < 6; row++) {
        vf y[6];
        SLK_NAME(winograd_bt)(half[row], y);
        SLK_UNROLL for (int column = 0; column < 6; column++) {
          v_store_n(v + (size_t)(row * 6 + column) * plane + c, y[column], left);
        }
      }
    }
  }
}

static void SLK_NAME(winograd_output)(size_t n, const float *m, size_t plane,
                                      const slk_winograd_tiles *tiles, size_t first, size_t count,
                                      const slk_epilogue *epilogue, float *y, float *room) {
  const size_t stride = slk_round_up(n, SLK_WIDTH);
  for (size_t tile = first; tile < first + count; tile++, m += n) {
    for (size_t c = 0; c < n; c += SLK_WIDTH) {
      const size_t left = n - c;
      vf half[4][6];
      for (int column = 0; column < 6; column++) {
        vf x[6], z[4];
        SLK_UNROLL for (int row = 0; row < 6; row++) {
          x[row] = v_load_n(m + (size_t)(row * 6 + column) * plane + c, left);
        }
        SLK_NAME(winograd_at)(x, z);
        SLK_UNROLL for (int row = 0; row < 4; row++) half[row][column] = z[row];
      }
      SLK_UNROLL for (int row = 0; row < 4; row++) {
        vf z[4];
        SLK_NAME(winograd_at)(half[row], z);
        SLK_UNROLL for (int column = 0; column < 4; column++) {
          v_store(room + (size_t)(row * 4 + column) * stride + c, z[column]);
        }
      }
    }
    const size_t per_image = tiles->rows * tiles->columns;
    const size_t image = tile / per_image, place = tile % per_image;
    const size_t top = place / tiles->columns * 4, side = place % tiles->columns * 4;
    const size_t width = slk_min(4, tiles->width - side);
    for (size_t row = 0; row < 4 && top + row < tiles->height; row++) {
      const size_t pixel = (image * tiles->height + top + row) * tiles->width + side;
      SLK_NAME(slk_finish)(epilogue, room + row * 4 * stride, stride, width, n, pixel, 0, y, n);
    }
  }
}
