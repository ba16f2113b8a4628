static float SLK_NAME(sum)(const float *x, size_t n) {
  float result;
  SLK_SUM_OF(result, s + SLK_AT(x))
  return result;
}

static float SLK_NAME(dot)(const float *a, const float *b, size_t n) {
  float result;
  SLK_SUM_OF(result, v_fma(SLK_AT(a), SLK_AT(b), s))
  return result;
}

static float SLK_NAME(squares_about)(const float *x, float mean, size_t n) {
  float result;
  SLK_SUM_OF(result, (v_fma(v_keep(SLK_AT(x) - mean, left), v_keep(SLK_AT(x) - mean, left), s)))
  return result;
}

/// The largest of sign * x, NaN if there is one; n >= 1.
SLK_INLINE float SLK_NAME(extreme)(const float *x, size_t n, float sign) {
  vf most = v_set(-INFINITY), nan = v_set(0.0f);
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    const vf v = sign * SLK_AT(x);
    const vf shown = left >= SLK_WIDTH ? v : v_lanes(left) ? v : v_set(-INFINITY);
    most = shown > most ? shown : most;
    nan += v_keep(v == v ? v_set(0.0f) : v, left);
  }
  const float unordered = v_sum(nan);
  return unordered != unordered ? unordered : sign * v_largest(most);
}

static float SLK_NAME(largest)(const float *x, size_t n) { return SLK_NAME(extreme)(x, n, 1.0f); }
static float SLK_NAME(smallest)(const float *x, size_t n) { return SLK_NAME(extreme)(x, n, -1.0f); }

static void SLK_NAME(axpy)(float alpha, const float *x, float *y, size_t n) {
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    v_store_n(y + at, v_fma(v_set(alpha), SLK_AT(x), SLK_AT(y)), left);
  }
}

/// Adds rows of n elements, up to `count` vectors, and fetches the first `next` of as many rows behind.
SLK_INLINE void SLK_NAME(add_block)(const float *x, size_t stride, size_t rows, size_t next,
                                    float *y, const int count, size_t n) {
  vf sums[4];
  SLK_UNROLL for (int j = 0; j < count; j++) {
    sums[j] = v_load_n(y + j * SLK_WIDTH, n - (size_t)j * SLK_WIDTH);
  }
  for (size_t row = 0; row < rows; row++, x += stride) {
    if (row < next) slk_fetch(x + rows * stride, (size_t)count * SLK_WIDTH);
    SLK_UNROLL for (int j = 0; j < count; j++) {
      sums[j] += v_load_n(x + j * SLK_WIDTH, n - (size_t)j * SLK_WIDTH);
    }
  }
  SLK_UNROLL for (int j = 0; j < count; j++) {
    v_store_n(y + j * SLK_WIDTH, sums[j], n - (size_t)j * SLK_WIDTH);
  }
}

static void SLK_NAME(sum_rows)(const float *x, size_t stride, size_t rows, size_t more,
                               size_t width, float *y) {
  const size_t most = 32, wide = 4 * SLK_WIDTH;
  for (size_t count; rows > 0; rows -= count, x += count * stride) {
    count = slk_min(rows, most);
    const size_t next = slk_min(rows - count + more, count);
    size_t at = 0;
    for (; at + wide <= width; at += wide) {
      SLK_NAME(add_block)(x + at, stride, count, next, y + at, 4, wide);
    }
    for (; at < width; at += SLK_WIDTH) {
      SLK_NAME(add_block)(x + at, stride, count, next, y + at, 1, width - at);
    }
  }
}

static void SLK_NAME(scale)(float *x, size_t n, float by) {
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    v_store_n(x + at, by * SLK_AT(x), left);
  }
}

// Normalisation -------------------------------------------------------------------------------

/// Normalises one row in y, in place.
static void SLK_NAME(normalise)(float *y, size_t n, const float *gamma, const float *beta,
                                float epsilon, float *out_mean, float *out_inverse) {
  const float mean = SLK_NAME(sum)(y, n) / (float)n;
  const float variance = SLK_NAME(squares_about)(y, mean, n) / (float)n;
  const float inverse = 1.0f / sqrtf(variance + epsilon);
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    vf v = (SLK_AT(y) - mean) * inverse;
    if (gamma) v *= SLK_AT(gamma);
    if (beta) v += SLK_AT(beta);
    v_store_n(y + at, v, left);
  }
  if (out_mean) *out_mean = mean;
  if (out_inverse) *out_inverse = inverse;
}

/// y = a + b + c; b and c may be NULL.
static void SLK_NAME(add_rows)(const float *a, const float *b, const float *c, float *y, size_t n) {
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    vf v = SLK_AT(a);
    if (b) v += SLK_AT(b);
    if (c) v += SLK_AT(c);
    v_store_n(y + at, v, left);
  }
}

static void SLK_NAME(layer_norm)(const float *x, size_t x_stride, const float *residual,
                                 size_t residual_stride, const float *gamma, const float *beta,
                                 float epsilon, float *y, size_t y_stride, size_t rows,
                                 size_t width, float *out_mean, float *out_inverse) {
  for (size_t row = 0; row < rows; row++) {
    float *out = y + row * y_stride;
    const float *other = residual ? residual + row * residual_stride : NULL;
    SLK_NAME(add_rows)(x + row * x_stride, other, NULL, out, width);
    SLK_NAME(normalise)(out, width, gamma, beta, epsilon, out_mean ? out_mean + row : NULL,
                        out_inverse ? out_inverse + row : NULL);
  }
}

static void SLK_NAME(embed_layer_norm)(const float *word, const int32_t *ids, const float *position,
                                       const int32_t *positions, const float *type,
                                       const int32_t *types, const float *gamma, const float *beta,
                                       float epsilon, float *y, size_t y_stride, size_t rows,
                                       size_t width) {
  for (size_t row = 0; row < rows; row++) {
    float *out = y + row * y_stride;
    const float *p = position ? position + (size_t)positions[row] * width : NULL;
    const float *t = type ? type + (types ? (size_t)types[row] : 0) * width : NULL;
    SLK_NAME(add_rows)(word + (size_t)ids[row] * width, t, p, out, width);
    SLK_NAME(normalise)(out, width, gamma, beta, epsilon, NULL, NULL);
  }
}

static void SLK_NAME(rms_norm)(const float *x, size_t x_stride, const float *gamma, float epsilon,
                               float *y, size_t y_stride, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; row++) {
    const float *in = x + row * x_stride;
    float *out = y + row * y_stride;
    const float inverse = 1.0f / sqrtf(SLK_NAME(dot)(in, in, width) / (float)width + epsilon);
    for (size_t at = 0; at < width; at += SLK_WIDTH) {
      const size_t left = width - at;
      const vf v = SLK_AT(in) * inverse;
      v_store_n(out + at, gamma ? v * SLK_AT(gamma) : v, left);
    }
  }
}

// Softmax ---------------------------------------------------------------------------------------

/// y = exp(x - most); returns the sum.
static float SLK_NAME(exponentials)(const float *x, float most, float *y, size_t n) {
  vf s0 = v_set(0.0f), s1 = s0;
  size_t at = 0;
  for (; at + 2 * SLK_WIDTH <= n; at += 2 * SLK_WIDTH) {
    const vf first = v_exp(v_load(x + at) - most);
    const vf second = v_exp(v_load(x + at + SLK_WIDTH) - most);
    v_store(y + at, first);
    v_store(y + at + SLK_WIDTH, second);
    s0 += first;
    s1 += second;
  }
  for (; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    const vf v = v_exp(SLK_AT(x) - most);
    v_store_n(y + at, v, left);
    s0 += v_keep(v, left);
  }
  return v_sum(s0 + s1);
}

static void SLK_NAME(softmax_rows)(const float *x, size_t x_stride, float *y, size_t y_stride,
                                   size_t rows, size_t width) {
  for (size_t row = 0; row < rows && width; row++) {
    const float *in = x + row * x_stride;
    float *out = y + row * y_stride;
    const float most = SLK_NAME(largest)(in, width);
    const float sum = SLK_NAME(exponentials)(in, most, out, width);
    SLK_NAME(scale)(out, width, 1.0f / sum);
  }
}

static void SLK_NAME(log_softmax_rows)(const float *x, size_t x_stride, float *y, size_t y_stride,
                                       size_t rows, size_t width) {
  for (size_t row = 0; row < rows && width; row++) {
    const float *in = x + row * x_stride;
    float *out = y + row * y_stride;
    const float most = SLK_NAME(largest)(in, width);
    vf s = v_set(0.0f);
    for (size_t at = 0; at < width; at += SLK_WIDTH) {
      const size_t left = width - at;
      s += v_keep(v_exp(SLK_AT(in) - most), left);
    }
    const float log_sum = logf(v_sum(s));
    for (size_t at = 0; at < width; at += SLK_WIDTH) {
      const size_t left = width - at;
      v_store_n(out + at, SLK_AT(in) - most - log_sum, left);
    }
  }
}

