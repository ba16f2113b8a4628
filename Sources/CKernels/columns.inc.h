// Columns, a vector of them at a time; four sums of every fourth row each.

static void SLK_NAME(column_sums)(const float *x, size_t stride, size_t rows, size_t width, float *y) {
  for (size_t at = 0; at < width; at += SLK_WIDTH) {
    const size_t left = width - at;
    vf sums[4] = {0};
    size_t row = 0;
    for (; row + 4 <= rows; row += 4) {
      SLK_UNROLL for (size_t i = 0; i < 4; i++) {
        sums[i] += v_load_n(x + (row + i) * stride + at, left);
      }
    }
    for (; row < rows; row++) sums[0] += v_load_n(x + row * stride + at, left);
    v_store_n(y + at, (sums[0] + sums[1]) + (sums[2] + sums[3]), left);
  }
}

static void SLK_NAME(column_dots)(const float *a, const float *a_mean, const float *b,
                                  const float *b_mean, size_t rows, size_t width, float *y) {
  for (size_t at = 0; at < width; at += SLK_WIDTH) {
    const size_t left = width - at;
    const vf low = a_mean ? v_load_n(a_mean + at, left) : v_set(0.0f);
    const vf high = v_load_n(b_mean + at, left);
    vf sums[4] = {0};
    size_t row = 0;
    for (; row + 4 <= rows; row += 4) {
      SLK_UNROLL for (size_t i = 0; i < 4; i++) {
        const size_t place = (row + i) * width + at;
        sums[i] = v_fma(v_load_n(a + place, left) - low, v_load_n(b + place, left) - high, sums[i]);
      }
    }
    for (; row < rows; row++) {
      const size_t place = row * width + at;
      sums[0] = v_fma(v_load_n(a + place, left) - low, v_load_n(b + place, left) - high, sums[0]);
    }
    v_store_n(y + at, (sums[0] + sums[1]) + (sums[2] + sums[3]), left);
  }
}

static void SLK_NAME(column_combine)(const float *p, const float *g, const float *q, const float *x,
                                     const float *s, float *y, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; row++) {
    const size_t start = row * width;
    for (size_t at = 0; at < width; at += SLK_WIDTH) {
      const size_t left = width - at;
      vf v = v_fma(v_load_n(q + at, left), v_load_n(x + start + at, left), v_load_n(s + at, left));
      if (g) v = v_fma(v_load_n(p + at, left), v_load_n(g + start + at, left), v);
      v_store_n(y + start + at, v, left);
    }
  }
}
