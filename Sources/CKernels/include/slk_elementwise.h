// Element-wise float32 kernels.
#ifndef STACKLENS_SLK_ELEMENTWISE_H
#define STACKLENS_SLK_ELEMENTWISE_H

#include <stddef.h>
#include <stdint.h>

/// y = f(x). `p` and `q` are the parameters; operators that name none ignore them.
/// exp, expm1, log, tanh, sigmoid and erf stay within 4 units in the last place. NaN gives NaN.
typedef enum {
  SLK_UNARY_IDENTITY = 0,
  SLK_UNARY_RELU = 1,
  SLK_UNARY_GELU_ERF = 2,   ///< x Phi(x), within 1e-6 of exact.
  SLK_UNARY_GELU_TANH = 3,  ///< The tanh approximation of it.
  SLK_UNARY_TANH = 4,
  SLK_UNARY_SIGMOID = 5,
  SLK_UNARY_SILU = 6,  ///< x sigmoid(p x); p is 1 for SiLU. Absolute error 1e-40 where
                         ///< the sigmoid is subnormal.
  SLK_UNARY_EXP = 7,
  SLK_UNARY_LOG = 8,
  SLK_UNARY_ERF = 9,
  SLK_UNARY_SQRT = 10,
  SLK_UNARY_ABS = 11,
  SLK_UNARY_NEGATE = 12,
  SLK_UNARY_RECIPROCAL = 13,
  SLK_UNARY_SOFTPLUS = 14,
  SLK_UNARY_LEAKY_RELU = 15,    ///< x >= 0 ? x : p x
  SLK_UNARY_ELU = 16,           ///< x >= 0 ? x : p (exp(x) - 1)
  SLK_UNARY_SELU = 17,          ///< q (x > 0 ? x : p (exp(x) - 1))
  SLK_UNARY_CLIP = 18,          ///< min(max(x, p), q)
  SLK_UNARY_HARD_SIGMOID = 19,  ///< min(max(p x + q, 0), 1)
  SLK_UNARY_HARD_SWISH = 20,    ///< x min(max(x / 6 + 1 / 2, 0), 1)
  SLK_UNARY_MISH = 21,          ///< x tanh(softplus(x))
  SLK_UNARY_SOFTSIGN = 22,      ///< x / (1 + |x|)
  SLK_UNARY_FLOOR = 23,
  SLK_UNARY_CEIL = 24,
  SLK_UNARY_ROUND = 25,  ///< Halves to even.
  SLK_UNARY_SIGN = 26,   ///< -1, 0, 1; NaN for NaN.
  SLK_UNARY_SQUARE = 27,
  SLK_UNARY_AFFINE = 28,  ///< p x + q
  SLK_UNARY_THRESHOLDED_RELU = 29,  ///< x > p ? x : 0
  SLK_UNARY_EXPM1 = 30,
  SLK_UNARY_GELU_FAST = 31,  ///< x Phi(x) within 2e-4, for products of reduced precision.
  // From here on by the C library, one element at a time.
  SLK_UNARY_SIN = 40,
  SLK_UNARY_COS = 41,
  SLK_UNARY_TAN = 42,
  SLK_UNARY_ASIN = 43,
  SLK_UNARY_ACOS = 44,
  SLK_UNARY_ATAN = 45,
  SLK_UNARY_SINH = 46,
  SLK_UNARY_COSH = 47,
  SLK_UNARY_ASINH = 48,
  SLK_UNARY_ACOSH = 49,
  SLK_UNARY_ATANH = 50,
  SLK_UNARY_LOG1P = 51,
} slk_unary;

/// y[0..n) = op(x[0..n)). y may be x. `op` is a slk_unary; any other number copies.
void slk_unary_f32(int32_t op, const float *x, float *y, size_t n, float p, float q);

/// NaN in either operand gives NaN, for minimum and maximum too.
typedef enum {
  SLK_BINARY_ADD = 0,
  SLK_BINARY_SUB = 1,
  SLK_BINARY_MUL = 2,
  SLK_BINARY_DIV = 3,
  SLK_BINARY_MIN = 4,
  SLK_BINARY_MAX = 5,
  SLK_BINARY_POW = 6,   ///< C's powf; exponents 2, 0.5 (as sqrt for x >= 0), 1 and -1 are fast.
  SLK_BINARY_FMOD = 7,  ///< Sign of the dividend.
  SLK_BINARY_MOD = 8,   ///< Sign of the divisor, as Python's %.
  SLK_BINARY_SQUARED_DIFFERENCE = 9,
  SLK_BINARY_PRELU = 10,  ///< a >= 0 ? a : a b
} slk_binary;

/// y[i] = op(a[i * a_stride], b[i * b_stride]), strides 0 (one value for all) or 1. y may be a or b
/// where its stride is 1.
void slk_binary_f32(int32_t op, const float *a, size_t a_stride, const float *b, size_t b_stride,
                    float *y, size_t n);

#endif
