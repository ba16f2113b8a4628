// y = f(x) over whole vectors, then one partial vector through the same arithmetic.

#define SLK_EACH(expression)                                   \
  for (; i + SLK_WIDTH <= n; i += SLK_WIDTH) {                 \
    vf v = v_load(x + i);                                      \
    v_store(y + i, (expression));                              \
  }                                                            \
  if (i < n) {                                                 \
    vf v = v_load_n(x + i, n - i);                             \
    v_store_n(y + i, (expression), n - i);                     \
  }                                                            \
  break

#define SLK_EACH_SCALAR(function)                              \
  for (; i < n; i++) y[i] = function(x[i]);                    \
  break

SLK_HIDDEN void SLK_NAME(slk_unary)(int32_t op, const float *x, float *y, size_t n, float p,
                                    float q) {
  const vf zero = v_set(0.0f), one = v_set(1.0f);
  size_t i = 0;
  switch (op) {
    case SLK_UNARY_RELU: SLK_EACH(v < zero ? zero : v);
    case SLK_UNARY_GELU_ERF: SLK_EACH(v_gelu_erf(v));
    case SLK_UNARY_GELU_FAST: SLK_EACH(v_gelu_fast(v));
    case SLK_UNARY_GELU_TANH: SLK_EACH(v_gelu_tanh(v));
    case SLK_UNARY_TANH: SLK_EACH(v_tanh(v));
    case SLK_UNARY_SIGMOID: SLK_EACH(v_sigmoid(v));
    case SLK_UNARY_SILU:
      if (p == 1.0f) {
        SLK_EACH(v_silu(v));
      } else {
        SLK_EACH(v * v_sigmoid(p * v));
      }
    case SLK_UNARY_EXP: SLK_EACH(v_exp(v));
    case SLK_UNARY_LOG: SLK_EACH(v_log(v));
    case SLK_UNARY_ERF: SLK_EACH(v_erf(v));
    case SLK_UNARY_SQRT: SLK_EACH(__builtin_elementwise_sqrt(v));
    case SLK_UNARY_ABS: SLK_EACH(v_abs(v));
    case SLK_UNARY_NEGATE: SLK_EACH(-v);
    case SLK_UNARY_RECIPROCAL: SLK_EACH(one / v);
    case SLK_UNARY_SOFTPLUS: SLK_EACH(v_softplus(v));
    case SLK_UNARY_LEAKY_RELU: SLK_EACH(v < zero ? p * v : v);
    case SLK_UNARY_ELU: SLK_EACH(v < zero ? p * v_expm1(v) : v);
    case SLK_UNARY_SELU: SLK_EACH(q * (v <= zero ? p * v_expm1(v) : v));
    case SLK_UNARY_CLIP: {
      const vf low = v_set(p), high = v_set(q);
      vf w;
      SLK_EACH((w = v < low ? low : v, w > high ? high : w));
    }
    case SLK_UNARY_HARD_SIGMOID: {
      vf w;
      SLK_EACH((w = p * v + q, w = w < zero ? zero : w, w > one ? one : w));
    }
    case SLK_UNARY_HARD_SWISH: SLK_EACH(v_hard_swish(v));
    case SLK_UNARY_MISH: SLK_EACH(v * v_tanh(v_softplus(v)));
    case SLK_UNARY_SOFTSIGN: SLK_EACH(v / (one + v_abs(v)));
    case SLK_UNARY_FLOOR: SLK_EACH(__builtin_elementwise_floor(v));
    case SLK_UNARY_CEIL: SLK_EACH(__builtin_elementwise_ceil(v));
    case SLK_UNARY_ROUND: SLK_EACH(__builtin_elementwise_roundeven(v));
    case SLK_UNARY_SIGN: SLK_EACH(v > zero ? one : v < zero ? -one : v);
    case SLK_UNARY_SQUARE: SLK_EACH(v * v);
    case SLK_UNARY_AFFINE: SLK_EACH(v_fma(v_set(p), v, v_set(q)));
    case SLK_UNARY_THRESHOLDED_RELU: SLK_EACH(v <= p ? zero : v);
    case SLK_UNARY_SIN: SLK_EACH_SCALAR(sinf);
    case SLK_UNARY_COS: SLK_EACH_SCALAR(cosf);
    case SLK_UNARY_TAN: SLK_EACH_SCALAR(tanf);
    case SLK_UNARY_ASIN: SLK_EACH_SCALAR(asinf);
    case SLK_UNARY_ACOS: SLK_EACH_SCALAR(acosf);
    case SLK_UNARY_ATAN: SLK_EACH_SCALAR(atanf);
    case SLK_UNARY_SINH: SLK_EACH_SCALAR(sinhf);
    case SLK_UNARY_COSH: SLK_EACH_SCALAR(coshf);
    case SLK_UNARY_ASINH: SLK_EACH_SCALAR(asinhf);
    case SLK_UNARY_ACOSH: SLK_EACH_SCALAR(acoshf);
    case SLK_UNARY_ATANH: SLK_EACH_SCALAR(atanhf);
    case SLK_UNARY_LOG1P: SLK_EACH_SCALAR(log1pf);
    case SLK_UNARY_EXPM1: SLK_EACH(v_expm1(v));
    default:
      if (x != y) memmove(y, x, n * sizeof *y);
  }
}

#undef SLK_EACH
#undef SLK_EACH_SCALAR
