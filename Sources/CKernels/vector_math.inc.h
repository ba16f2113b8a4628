// Elementary functions on vectors, within 4 units in the last place of the exact value.
// The polynomials are weighted minimax fits (Lawson iteration on Chebyshev nodes) of the stated
// form.

/// exp(x); 0 below -104, infinity above 88.73, NaN for NaN.
SLK_INLINE vf v_exp(vf x) {
  vf bounded = x > 89.0f ? (vf)89.0f : x;
  bounded = bounded < -104.5f ? (vf)-104.5f : bounded;
  vf n = v_round(bounded * 1.44269504f);
  vf r = v_fma(n, v_set(-0.693359375f), bounded);
  r = v_fma(n, v_set(2.12194440e-4f), r);
  // exp(r) = 1 + r + r^2 P(r), |r| <= ln(2) / 2.
  vf p = v_fma(v_set(1.979004361e-04f), r, v_set(1.394496663e-03f));
  p = v_fma(p, r, v_set(8.333498929e-03f));
  p = v_fma(p, r, v_set(4.166629087e-02f));
  p = v_fma(p, r, v_set(1.666666586e-01f));
  p = v_fma(p, r, v_set(5.000000069e-01f));
  return v_pow2_scale(v_fma(p, r * r, r) + 1.0f, n);
}

/// exp(x) - 1, without cancellation near 0.
SLK_INLINE vf v_expm1(vf x) {
  vf p = v_fma(v_set(1.979004361e-04f), x, v_set(1.394496663e-03f));
  p = v_fma(p, x, v_set(8.333498929e-03f));
  p = v_fma(p, x, v_set(4.166629087e-02f));
  p = v_fma(p, x, v_set(1.666666586e-01f));
  p = v_fma(p, x, v_set(5.000000069e-01f));
  return v_abs(x) < 0.34f ? v_fma(p, x * x, x) : v_exp(x) - 1.0f;
}

/// log(2^e (1 + f)) for 1 + f in [sqrt(1/2), sqrt(2)).
SLK_INLINE vf v_log_of(vf e, vf f) {
  // log(1 + f) = f - f^2 / 2 + f^3 P(f).
  vf p = v_fma(v_set(6.746601324e-02f), f, v_set(-1.167564130e-01f));
  p = v_fma(p, f, v_set(1.188817460e-01f));
  p = v_fma(p, f, v_set(-1.240559142e-01f));
  p = v_fma(p, f, v_set(1.421955091e-01f));
  p = v_fma(p, f, v_set(-1.666799567e-01f));
  p = v_fma(p, f, v_set(2.000211873e-01f));
  p = v_fma(p, f, v_set(-2.500000960e-01f));
  p = v_fma(p, f, v_set(3.333331260e-01f));
  vf f2 = f * f;
  vf low = v_fma(p, f2 * f, e * -2.12194440e-4f);
  low = v_fma(v_set(-0.5f), f2, low);
  return v_fma(e, v_set(0.693359375f), f + low);
}

/// Natural logarithm; -infinity at 0, NaN below.
SLK_INLINE vf v_log(vf x) {
  vi tiny = x < 1.17549435e-38f;
  vf scaled = tiny ? x * 8388608.0f : x;
  // x = 2^e (1 + f).
  vi bits = (vi)scaled - (vi)0x3f3504f3;
  vf e = __builtin_convertvector(bits >> 23, vf) - (tiny ? (vf)23.0f : (vf)0.0f);
  vf f = (vf)((bits & (vi)0x007fffff) + (vi)0x3f3504f3) - 1.0f;
  vf y = v_log_of(e, f);
  vf infinity = (vf)INFINITY;
  y = x < infinity ? y : x;
  y = x == 0.0f ? -infinity : y;
  return x < 0.0f ? (vf)NAN : y;
}

/// log(1 + y) for y in [0, 1]: that of (1 + y) / 2 and log(2) where 1 + y is beyond sqrt(2).
SLK_INLINE vf v_log1p_unit(vf y) {
  const vi far = y > 0.414213562f;
  return v_log_of(far ? (vf)1.0f : (vf)0.0f, far ? v_fma(y, v_set(0.5f), v_set(-0.5f)) : y);
}

SLK_INLINE vf v_tanh(vf x) {
  vf t = v_abs(x), s = x * x;
  // tanh(x) = x + x^3 P(x^2) below 0.625, else 1 - 2 / (exp(2 |x|) + 1).
  vf p = v_fma(v_set(2.142958748e-03f), s, v_set(-8.177394590e-03f));
  p = v_fma(p, s, v_set(2.170070161e-02f));
  p = v_fma(p, s, v_set(-5.394676274e-02f));
  p = v_fma(p, s, v_set(1.333320601e-01f));
  p = v_fma(p, s, v_set(-3.333333080e-01f));
  vf small = v_fma(p * s, x, x);
  vf large = 1.0f - 2.0f / (v_exp(t + t) + 1.0f);
  vf y = t < 0.625f ? small : v_copysign(large, x);
  return x == x ? y : x;
}

SLK_INLINE vf v_sigmoid(vf x) {
  vf e = v_exp(-v_abs(x));
  vf y = (x >= 0.0f ? (vf)1.0f : e) / (1.0f + e);
  return x == x ? y : x;
}

/// x / (1 + exp(-x)). Absolute error 1e-40 where the quotient is subnormal; -infinity gives NaN.
SLK_INLINE vf v_silu(vf x) {
  vf t = x < -104.5f ? (vf)-104.5f : x;
  t = t > 87.0f ? (vf)87.0f : t;
  // exp(-t) = 2^n 2^f, f in [-1/2, 1/2]; 2^f = 1 + f Q(f).
  const vf n = v_round(t * -1.44269504f);
  vf f = v_fma(t, v_set(-1.44269502f), -n);
  f = v_fma(t, v_set(-1.92596299e-8f), f);
  vf p = v_fma(v_set(1.54035300e-4f), f, v_set(1.33335581e-3f));
  p = v_fma(p, f, v_set(9.61812911e-3f));
  p = v_fma(p, f, v_set(5.55041087e-2f));
  p = v_fma(p, f, v_set(2.40226507e-1f));
  p = v_fma(p, f, v_set(6.93147181e-1f));
  // What goes beyond 2^100 is kept apart: the sum is that power alone there.
  const vf held = n > 100.0f ? (vf)100.0f : n;
  const vf y = v_reciprocal(1.0f + v_pow2_scale(v_fma(p, f, v_set(1.0f)), held));
  return x * v_pow2_scale(y, held - n);
}

/// x min(max(x / 6 + 1 / 2, 0), 1).
SLK_INLINE vf v_hard_swish(vf x) {
  const vf zero = v_set(0.0f), one = v_set(1.0f);
  vf w = x * (1.0f / 6.0f) + 0.5f;
  w = w < zero ? zero : w;
  return x * (w > one ? one : w);
}

SLK_INLINE vf v_erf(vf x) {
  vf t = v_abs(x), s = x * x;
  // erf(x) = x + x P(x^2) below 0.9275, else 1 - exp(Q(|x|)).
  vf p = v_fma(v_set(8.333191474e-05f), s, v_set(-8.133943686e-04f));
  p = v_fma(p, s, v_set(5.200257436e-03f));
  p = v_fma(p, s, v_set(-2.685908471e-02f));
  p = v_fma(p, s, v_set(1.128368981e-01f));
  p = v_fma(p, s, v_set(-3.761263336e-01f));
  p = v_fma(p, s, v_set(1.283791666e-01f));
  vf small = v_fma(p, x, x);
  vf b = t < 4.0f ? t : (vf)4.0f;
  vf q = v_fma(v_set(1.949467617e-04f), b, v_set(-3.033692439e-03f));
  q = v_fma(q, b, v_set(2.218977684e-02f));
  q = v_fma(q, b, v_set(-1.038563745e-01f));
  q = v_fma(q, b, v_set(-6.372657523e-01f));
  q = v_fma(q, b, v_set(-1.127627401e+00f));
  q = v_fma(q, b, v_set(-2.070085080e-04f));
  vf y = t < 0.9275f ? small : v_copysign(1.0f - v_exp(q), x);
  return x == x ? y : x;
}

/// x Phi(x), exact to about 1e-7 of max(1, |x|): Phi(-|x|) = exp(-x^2 / 2) t P(t) / 2 with
/// t = 1 / (1 + 0.3275911 |x| / sqrt(2)). Abramowitz & Stegun, 7.1.26.
SLK_INLINE vf v_gelu_erf(vf x) {
  vf z = v_abs(x) * 0.231641888f;
  vf t = 1.0f / (1.0f + z);
  vf p = v_fma(v_set(0.530702715f), t, v_set(-0.726576014f));
  p = v_fma(p, t, v_set(0.710706871f));
  p = v_fma(p, t, v_set(-0.142248368f));
  p = v_fma(p, t, v_set(0.127414796f));
  vf tail = p * t * v_exp(-0.5f * x * x);
  vf y = x * (x < 0.0f ? tail : 1.0f - tail);
  return x == -INFINITY ? (vf)-0.0f : y;
}

/// x (1/2 + x P(x^2)) with x in P held to [-4, 4]: within 2e-4 of x Phi(x).
SLK_INLINE vf v_gelu_fast(vf x) {
  const vf low = v_set(-4.0f), high = v_set(4.0f);
  vf c = x < low ? low : x;
  c = c > high ? high : c;
  vf t = c * c;
  vf y = v_set(2.25883089e-8f);
  y = v_fma(y, t, v_set(-1.58883222e-6f));
  y = v_fma(y, t, v_set(4.77639842e-5f));
  y = v_fma(y, t, v_set(-8.12188315e-4f));
  y = v_fma(y, t, v_set(8.76369420e-3f));
  y = v_fma(y, t, v_set(-6.45544156e-2f));
  y = v_fma(y, t, v_set(3.97870272e-1f));
  return x * v_fma(c, y, v_set(0.5f));
}

/// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
SLK_INLINE vf v_gelu_tanh(vf x) {
  vf half = 0.5f * x;
  vf inner = 0.797884561f * v_fma(0.044715f * x * x, x, x);
  vf y = v_fma(half, v_tanh(inner), half);
  return x == -INFINITY ? (vf)-0.0f : y;
}

/// log(1 + exp(x)).
SLK_INLINE vf v_softplus(vf x) {
  vf y = (x > 0.0f ? x : (vf)0.0f) + v_log1p_unit(v_exp(-v_abs(x)));
  return x == x ? y : x;
}
