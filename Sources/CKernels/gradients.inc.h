// Activations ---------------------------------------------------------------------------------

SLK_INLINE vf SLK_NAME(gelu_erf_slope)(vf x) {
  // Phi(x) as in v_gelu_erf, and x phi(x).
  const vf bell = v_exp(-0.5f * x * x);
  const vf t = 1.0f / (1.0f + v_abs(x) * 0.231641888f);
  vf p = v_fma(v_set(0.530702715f), t, v_set(-0.726576014f));
  p = v_fma(p, t, v_set(0.710706871f));
  p = v_fma(p, t, v_set(-0.142248368f));
  p = v_fma(p, t, v_set(0.127414796f));
  const vf tail = p * t * bell;
  return (x < 0.0f ? tail : 1.0f - tail) + x * bell * 0.398942280f;
}

SLK_INLINE vf SLK_NAME(gelu_tanh_slope)(vf x) {
  const vf s = x * x;
  const vf t = v_tanh(0.797884561f * x * v_fma(v_set(0.044715f), s, v_set(1.0f)));
  const vf inner = 0.797884561f * v_fma(v_set(0.134145f), s, v_set(1.0f));
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

SLK_INLINE vf SLK_NAME(silu_slope)(vf x, float p) {
  const vf s = v_sigmoid(p * x);
  return s * (1.0f + p * x * (1.0f - s));
}

SLK_INLINE vf SLK_NAME(mish_slope)(vf x) {
  const vf t = v_tanh(v_softplus(x));
  return t + x * v_sigmoid(x) * (1.0f - t * t);
}

SLK_INLINE vf SLK_NAME(hard_swish_slope)(vf x) {
  const vf inside = x * (1.0f / 3.0f) + 0.5f;
  return x <= -3.0f ? v_set(0.0f) : x >= 3.0f ? v_set(1.0f) : inside;
}

#define SLK_SLOPE(expression)                                  \
  for (size_t at = 0; at < n; at += SLK_WIDTH) {               \
    const size_t left = n - at;                                \
    const vf u = SLK_AT(g), v = SLK_AT(x);                     \
    v_store_n(y + at, (expression), left);                     \
  }                                                            \
  break

static void SLK_NAME(unary_gradient)(int32_t op, const float *g, const float *x, float *y,
                                     size_t n, float p) {
  const vf zero = v_set(0.0f);
  switch (op) {
    case SLK_UNARY_RELU: SLK_SLOPE(v > zero ? u : zero);
    case SLK_UNARY_LEAKY_RELU: SLK_SLOPE(v > zero ? u : u * p);
    case SLK_UNARY_ELU: SLK_SLOPE(v > zero ? u : u * (v + p));
    case SLK_UNARY_SIGMOID: SLK_SLOPE(u * v * (1.0f - v));
    case SLK_UNARY_TANH: SLK_SLOPE(u * (1.0f - v * v));
    case SLK_UNARY_GELU_ERF: SLK_SLOPE(u * SLK_NAME(gelu_erf_slope)(v));
    case SLK_UNARY_GELU_TANH: SLK_SLOPE(u * SLK_NAME(gelu_tanh_slope)(v));
    case SLK_UNARY_SILU: SLK_SLOPE(u * SLK_NAME(silu_slope)(v, p));
    case SLK_UNARY_SOFTPLUS: SLK_SLOPE(u * v_sigmoid(v));
    case SLK_UNARY_HARD_SWISH: SLK_SLOPE(u * SLK_NAME(hard_swish_slope)(v));
    case SLK_UNARY_MISH: SLK_SLOPE(u * SLK_NAME(mish_slope)(v));
    default: memmove(y, g, n * sizeof *y);
  }
}

// Sums ----------------------------------------------------------------------------------------

static float SLK_NAME(gradient_sum)(const float *x, size_t n) {
  float result;
  SLK_SUM_OF(result, s + SLK_AT(x))
  return result;
}

static float SLK_NAME(dot_about)(const float *a, float a_mean, const float *b, float b_mean,
                                 size_t n) {
  float result;
  SLK_SUM_OF(result, (v_fma(v_keep(SLK_AT(a) - a_mean, left), SLK_AT(b) - b_mean, s)))
  return result;
}

static float SLK_NAME(dot_scaled)(const float *a, const float *b, float b_mean, const float *scale,
                                  size_t n) {
  float result;
  SLK_SUM_OF(result, (v_fma(SLK_AT(a) * SLK_AT(scale), SLK_AT(b) - b_mean, s)))
  return result;
}

static float SLK_NAME(gradient_dot)(const float *a, const float *b, size_t n) {
  float result;
  SLK_SUM_OF(result, v_fma(SLK_AT(a), SLK_AT(b), s))
  return result;
}

static void SLK_NAME(combine)(float a, const float *g, float b, const float *x, float c, float *y,
                              size_t n) {
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    v_store_n(y + at, v_fma(v_set(a), SLK_AT(g), v_fma(v_set(b), SLK_AT(x), v_set(c))), left);
  }
}

// Rows ----------------------------------------------------------------------------------------

static void SLK_NAME(softmax_gradient)(const float *g, const float *y, float *dx, size_t rows,
                                       size_t n) {
  for (size_t row = 0; row < rows; row++, g += n, y += n, dx += n) {
    const float dot = SLK_NAME(gradient_dot)(g, y, n);
    for (size_t at = 0; at < n; at += SLK_WIDTH) {
      const size_t left = n - at;
      v_store_n(dx + at, SLK_AT(y) * (SLK_AT(g) - dot), left);
    }
  }
}

static void SLK_NAME(log_softmax_gradient)(const float *g, const float *y, float *dx, size_t rows,
                                           size_t n) {
  for (size_t row = 0; row < rows; row++, g += n, y += n, dx += n) {
    const float sum = SLK_NAME(gradient_sum)(g, n);
    for (size_t at = 0; at < n; at += SLK_WIDTH) {
      const size_t left = n - at;
      v_store_n(dx + at, SLK_AT(g) - v_exp(SLK_AT(y)) * sum, left);
    }
  }
}

static void SLK_NAME(layer_norm_gradient)(const float *g, const float *x, const float *gamma,
                                          float epsilon, bool is_centred, float *dx,
                                          float *gamma_sums, float *beta_sums, size_t rows,
                                          size_t n) {
  const float count = (float)n;
  for (size_t row = 0; row < rows; row++, g += n, x += n, dx += n) {
    const float mean = is_centred ? SLK_NAME(gradient_sum)(x, n) / count : 0.0f;
    const float variance = SLK_NAME(dot_about)(x, mean, x, mean, n) / count;
    const float inverse = 1.0f / sqrtf(variance + epsilon);
    const float whole = is_centred ? SLK_NAME(gradient_dot)(g, gamma, n) / count : 0.0f;
    const float along = SLK_NAME(dot_scaled)(g, x, mean, gamma, n) / count * inverse * inverse;
    for (size_t at = 0; at < n; at += SLK_WIDTH) {
      const size_t left = n - at;
      const vf flowing = SLK_AT(g), distance = SLK_AT(x) - mean;
      v_store_n(dx + at, inverse * (flowing * SLK_AT(gamma) - whole - distance * along), left);
      v_store_n(gamma_sums + at, v_fma(flowing, distance * inverse, SLK_AT(gamma_sums)), left);
      if (beta_sums) v_store_n(beta_sums + at, flowing + SLK_AT(beta_sums), left);
    }
  }
}
#undef SLK_SLOPE

// Recurrent layers ----------------------------------------------------------------------------

static void SLK_NAME(lstm_gradient)(const float *gates, const float *cell, const float *previous,
                                    const float *dh, float *dc, float *sums, size_t n) {
  const float *input = gates, *output = gates + n, *forget = gates + 2 * n;
  const float *candidate = gates + 3 * n;
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const size_t left = n - at;
    const vf i = SLK_AT(input), o = SLK_AT(output), f = SLK_AT(forget), g = SLK_AT(candidate);
    const vf shown = v_tanh(SLK_AT(cell)), flowing = SLK_AT(dh);
    const vf d = v_fma(flowing * o, 1.0f - shown * shown, SLK_AT(dc));
    const vf before = previous ? SLK_AT(previous) : v_set(0.0f);
    v_store_n(sums + at, d * g * i * (1.0f - i), left);
    v_store_n(sums + n + at, flowing * shown * o * (1.0f - o), left);
    v_store_n(sums + 2 * n + at, d * before * f * (1.0f - f), left);
    v_store_n(sums + 3 * n + at, d * i * (1.0f - g * g), left);
    v_store_n(dc + at, d * f, left);
  }
}
