// Unary and binary kernels against double precision, special values, tails and in-place use.
#include "check.h"

static double identity(double x) { return x; }
static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double silu(double x) { return x == -INFINITY ? NAN : x * sigmoid(x); }
static double gelu_erf(double x) { return 0.5 * x * erfc(-x / sqrt(2.0)); }
static double gelu_tanh(double x) {
  return 0.5 * x * (1.0 + tanh(sqrt(0.63661977236758134) * (x + 0.044715 * x * x * x)));
}
static double relu(double x) { return x < 0 ? 0 : x; }
static double negate(double x) { return -x; }
static double reciprocal(double x) { return 1.0 / x; }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double leaky(double x) { return x < 0 ? 0.1f * x : x; }
static double elu(double x) { return x < 0 ? 0.1f * expm1(x) : x; }
static double clip(double x) { return x < 0.1f ? 0.1f : x > 2.5f ? 2.5f : x; }
static double hard_swish(double x) {
  double h = x / 6 + 0.5;
  return x * (h < 0 ? 0 : h > 1 ? 1 : h);
}
static double hard_sigmoid(double x) {
  double h = 0.1f * x + 2.5f;
  return h < 0 ? 0 : h > 1 ? 1 : h;
}
static double mish(double x) { return x * tanh(softplus(x)); }
static double softsign(double x) { return x / (1 + fabs(x)); }
static double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double square(double x) { return x * x; }
static double affine(double x) { return 0.1f * x + 2.5f; }

typedef struct {
  int32_t op;
  const char *name;
  double (*exact)(double);
  float low, high;
  double ulps, absolute;  // either bound is enough
} unary_case;

static double ulp_of(double exact) {
  float magnitude = fabsf((float)exact);
  if (!isfinite(magnitude)) return 0;
  return (double)nextafterf(magnitude, INFINITY) - magnitude;
}

static bool close_enough(float found, double exact, double ulps, double absolute) {
  if (isnan(exact)) return isnan(found);
  if (isinf((float)exact) || isinf(found)) return found == (float)exact;
  const double error = fabs((double)found - exact);
  return error <= ulps * ulp_of(exact) || error <= absolute;
}

static const unary_case cases[] = {
    {SLK_UNARY_IDENTITY, "identity", identity, -9, 9, 0, 0},
    {SLK_UNARY_EXP, "exp", exp, -110, 95, 4, 0},
    {SLK_UNARY_EXP, "exp", exp, -1, 1, 4, 0},
    {SLK_UNARY_LOG, "log", log, 0, 4, 4, 0},
    {SLK_UNARY_LOG, "log", log, 0, 3e38f, 4, 0},
    {SLK_UNARY_TANH, "tanh", tanh, -12, 12, 4, 0},
    {SLK_UNARY_TANH, "tanh", tanh, -1, 1, 4, 0},
    {SLK_UNARY_SIGMOID, "sigmoid", sigmoid, -100, 30, 4, 0},
    {SLK_UNARY_ERF, "erf", erf, -5, 5, 4, 0},
    {SLK_UNARY_ERF, "erf", erf, -1.1f, 1.1f, 4, 0},
    {SLK_UNARY_GELU_ERF, "gelu", gelu_erf, -12, 12, 2, 5e-7},
    {SLK_UNARY_GELU_FAST, "gelu fast", gelu_erf, -12, 12, 2, 2e-4},
    {SLK_UNARY_GELU_TANH, "gelu tanh", gelu_tanh, -12, 12, 2, 5e-7},
    {SLK_UNARY_RELU, "relu", relu, -3, 3, 0, 0},
    {SLK_UNARY_SQRT, "sqrt", sqrt, 0, 100, 0.51, 0},
    {SLK_UNARY_ABS, "abs", fabs, -3, 3, 0, 0},
    {SLK_UNARY_NEGATE, "negate", negate, -3, 3, 0, 0},
    {SLK_UNARY_RECIPROCAL, "reciprocal", reciprocal, -3, 3, 0.51, 0},
    {SLK_UNARY_SOFTPLUS, "softplus", softplus, -80, 40, 6, 0},
    {SLK_UNARY_LEAKY_RELU, "leaky relu", leaky, -3, 3, 0.51, 0},
    {SLK_UNARY_ELU, "elu", elu, -20, 3, 5, 0},
    {SLK_UNARY_EXPM1, "expm1", expm1, -20, 90, 4, 0},
    {SLK_UNARY_EXPM1, "expm1", expm1, -1, 1, 4, 0},
    {SLK_UNARY_CLIP, "clip", clip, -3, 5, 0, 0},
    {SLK_UNARY_HARD_SWISH, "hard swish", hard_swish, -5, 5, 4, 5e-7},
    {SLK_UNARY_HARD_SIGMOID, "hard sigmoid", hard_sigmoid, -50, 5, 2, 5e-7},
    {SLK_UNARY_MISH, "mish", mish, -20, 20, 12, 1e-30},
    {SLK_UNARY_SOFTSIGN, "softsign", softsign, -9, 9, 2, 0},
    {SLK_UNARY_FLOOR, "floor", floor, -9, 9, 0, 0},
    {SLK_UNARY_CEIL, "ceil", ceil, -9, 9, 0, 0},
    {SLK_UNARY_ROUND, "round", rint, -9, 9, 0, 0},
    {SLK_UNARY_SIGN, "sign", sign, -1, 1, 0, 0},
    {SLK_UNARY_SQUARE, "square", square, -9, 9, 0.51, 0},
    {SLK_UNARY_AFFINE, "affine", affine, -9, 9, 2, 2e-7},
    {SLK_UNARY_SIN, "sin", sin, -9, 9, 1, 0},
    {SLK_UNARY_COS, "cos", cos, -9, 9, 1, 0},
    {SLK_UNARY_LOG1P, "log1p", log1p, -0.9f, 9, 2, 0},
    {SLK_UNARY_ATANH, "atanh", atanh, -0.9f, 0.9f, 3, 0},
};

static float parameter_p(int32_t op) { return op == SLK_UNARY_SILU ? 1.0f : 0.1f; }

static void one_unary(const unary_case *c) {
  enum { COUNT = 200003 };
  float *x = block(COUNT * 4), *y = block(COUNT * 4);
  double worst = 0;
  for (size_t i = 0; i < COUNT; i++) {
    x[i] = (float)(c->low + ((double)c->high - c->low) * (double)i / (COUNT - 1));
  }
  slk_unary_f32(c->op, x, y, COUNT, parameter_p(c->op), 2.5f);
  for (size_t i = 0; i < COUNT; i++) {
    const double exact = c->exact(x[i]), ulp = ulp_of(exact);
    if (isfinite(y[i]) && ulp > 0 && fabs(y[i] - exact) / ulp > worst) {
      worst = fabs(y[i] - exact) / ulp;
    }
    CHECK(close_enough(y[i], exact, c->ulps, c->absolute), "%s(%.9g) = %.9g, expected %.9g",
          c->name, x[i], y[i], exact);
  }
  if (c->absolute == 0 && c->ulps > 1) {
    printf("  %-10s [%g, %g] %.2f ulp\n", c->name, c->low, c->high, worst);
  }
  // Every length and both ways of storing give the same bits.
  for (size_t n = 0; n < 70; n++) {
    float part[72];
    memcpy(part, x + 1000, sizeof part);
    slk_unary_f32(c->op, part, part, n, parameter_p(c->op), 2.5f);
    CHECK(!memcmp(part, y + 1000, n * 4), "%s differs in place at length %zu", c->name, n);
    CHECK(!memcmp(part + n, x + 1000 + n, (72 - n) * 4), "%s writes past length %zu", c->name, n);
  }
  free(x), free(y);
}

static void special_values(void) {
  const float in[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-45f, -1e-40f, 1e-38f, 3.4e38f,
                      -3.4e38f, 88.72f, 88.73f, -87.4f, -103.9f, -104.1f, 1.0f, -1.0f};
  enum { COUNT = sizeof in / sizeof *in };
  float out[COUNT];
  const struct {
    int32_t op;
    const char *name;
    double (*exact)(double);
    double ulps, absolute;  // absolute: where a factor is subnormal
  } smooth[] = {
      {SLK_UNARY_EXP, "exp", exp, 4, 0},
      {SLK_UNARY_LOG, "log", log, 4, 0},
      {SLK_UNARY_TANH, "tanh", tanh, 4, 0},
      {SLK_UNARY_SIGMOID, "sigmoid", sigmoid, 4, 0},
      {SLK_UNARY_ERF, "erf", erf, 4, 0},
      {SLK_UNARY_RELU, "relu", relu, 0, 0},
      {SLK_UNARY_SILU, "silu", silu, 5, 1e-40},
      {SLK_UNARY_SOFTPLUS, "softplus", softplus, 6, 0},
      {SLK_UNARY_SIGN, "sign", sign, 0, 0},
      {SLK_UNARY_SQRT, "sqrt", sqrt, 1, 0},
      {SLK_UNARY_ABS, "abs", fabs, 0, 0},
      {SLK_UNARY_RECIPROCAL, "reciprocal", reciprocal, 1, 0},
      {SLK_UNARY_FLOOR, "floor", floor, 0, 0},
      {SLK_UNARY_ROUND, "round", rint, 0, 0},
      {SLK_UNARY_CLIP, "clip", clip, 0, 0},
      {SLK_UNARY_ELU, "elu", elu, 5, 1e-45},
      {SLK_UNARY_EXPM1, "expm1", expm1, 4, 0},
  };
  for (size_t c = 0; c < sizeof smooth / sizeof *smooth; c++) {
    slk_unary_f32(smooth[c].op, in, out, COUNT, parameter_p(smooth[c].op), 2.5f);
    for (size_t i = 0; i < COUNT; i++) {
      CHECK(close_enough(out[i], smooth[c].exact(in[i]), smooth[c].ulps, smooth[c].absolute),
            "%s(%g) = %g, expected %g", smooth[c].name, in[i], out[i], smooth[c].exact(in[i]));
    }
  }
  const int32_t gelus[] = {SLK_UNARY_GELU_ERF, SLK_UNARY_GELU_TANH, SLK_UNARY_MISH};
  for (int g = 0; g < 3; g++) {
    slk_unary_f32(gelus[g], in, out, COUNT, 0, 0);
    CHECK(out[0] == 0 && out[2] == INFINITY && isnan(out[4]), "gelu %d of special values", g);
  }
  CHECK(out[0] == 0, "mish(0)");
}

static void test_binary(void) {
  enum { COUNT = 77 };
  const int32_t ops[] = {SLK_BINARY_ADD, SLK_BINARY_SUB, SLK_BINARY_MUL, SLK_BINARY_DIV,
                         SLK_BINARY_MIN, SLK_BINARY_MAX, SLK_BINARY_POW, SLK_BINARY_FMOD,
                         SLK_BINARY_MOD, SLK_BINARY_SQUARED_DIFFERENCE, SLK_BINARY_PRELU};
  float a[COUNT + 1], b[COUNT + 1], y[COUNT + 1];
  fill(a, COUNT, 1), fill(b, COUNT, 2);
  a[3] = NAN, b[5] = NAN, a[7] = INFINITY, b[9] = -INFINITY, a[11] = -0.0f, b[13] = 0.0f;
  for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
    for (unsigned strides = 0; strides < 4; strides++) {
      for (size_t n = 0; n <= COUNT; n++) {
        const size_t sa = strides & 1, sb = strides >> 1;
        y[n] = 1234.0f;
        slk_binary_f32(ops[o], a, sa, b, sb, y, n);
        CHECK(y[n] == 1234.0f, "binary %d writes past length %zu", ops[o], n);
        for (size_t i = 0; i < n; i++) {
          const float p = a[i * sa], q = b[i * sb];
          float e = 0;
          switch (ops[o]) {
            case SLK_BINARY_ADD: e = p + q; break;
            case SLK_BINARY_SUB: e = p - q; break;
            case SLK_BINARY_MUL: e = p * q; break;
            case SLK_BINARY_DIV: e = p / q; break;
            case SLK_BINARY_MIN: e = isnan(p) || isnan(q) ? NAN : fminf(p, q); break;
            case SLK_BINARY_MAX: e = isnan(p) || isnan(q) ? NAN : fmaxf(p, q); break;
            case SLK_BINARY_POW: e = powf(p, q); break;
            case SLK_BINARY_FMOD: e = fmodf(p, q); break;
            case SLK_BINARY_MOD: {
              e = fmodf(p, q);
              if (e != 0 && signbit(e) != signbit(q)) e += q;
              break;
            }
            case SLK_BINARY_SQUARED_DIFFERENCE: e = (p - q) * (p - q); break;
            default: e = p < 0 ? p * q : p;
          }
          CHECK(y[i] == e || (isnan(e) && isnan(y[i])), "binary %d (%g, %g) = %g, expected %g",
                ops[o], p, q, y[i], e);
        }
      }
    }
  }
  const float exponents[] = {2.0f, 0.5f, 1.0f, -1.0f, 3.0f};
  const float bases[] = {0.0f, -0.0f, 4.0f, INFINITY, -INFINITY, -2.0f, NAN, 0.3f};
  for (int x = 0; x < 5; x++) {
    slk_binary_f32(SLK_BINARY_POW, bases, 1, exponents + x, 0, y, 8);
    for (int i = 0; i < 8; i++) {
      const float e = powf(bases[i], exponents[x]);
      CHECK(close_enough(y[i], e, 1, 0) && (isnan(e) || signbit(e) == signbit(y[i])),
            "pow(%g, %g) = %g, expected %g", bases[i], exponents[x], y[i], e);
    }
  }
}

void test_elementwise(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) one_unary(cases + i);
  special_values();
  test_binary();
}
