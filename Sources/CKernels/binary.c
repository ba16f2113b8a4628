#include "include/slk_elementwise.h"
#include "simd_names.h"

#define SLK_TEMPLATE "binary.inc.h"
#include "tiers.h"

static float python_remainder(float a, float b) {
  const float r = fmodf(a, b);
  return r != 0.0f && (r < 0.0f) != (b < 0.0f) ? r + b : r;
}

static void power_by_constant(const float *a, size_t a_stride, float exponent, float *y, size_t n) {
  if (exponent == 1.0f) {
    for (size_t i = 0; i < n; i++) y[i] = a[i * a_stride];
  } else if (exponent == 2.0f) {
    for (size_t i = 0; i < n; i++) y[i] = a[i * a_stride] * a[i * a_stride];
  } else if (exponent == -1.0f) {
    for (size_t i = 0; i < n; i++) y[i] = 1.0f / a[i * a_stride];
  } else if (exponent == 0.5f) {
    for (size_t i = 0; i < n; i++) {
      const float x = a[i * a_stride];
      y[i] = x == -INFINITY ? INFINITY : sqrtf(x + 0.0f);
    }
  } else {
    for (size_t i = 0; i < n; i++) y[i] = powf(a[i * a_stride], exponent);
  }
}

void slk_binary_f32(int32_t op, const float *a, size_t a_stride, const float *b, size_t b_stride,
                    float *y, size_t n) {
  if (n == 0) return;
  switch (op) {
    case SLK_BINARY_POW:
      if (b_stride == 0) {
        power_by_constant(a, a_stride, *b, y, n);
        return;
      }
      for (size_t i = 0; i < n; i++) y[i] = powf(a[i * a_stride], b[i]);
      return;
    case SLK_BINARY_FMOD:
      for (size_t i = 0; i < n; i++) y[i] = fmodf(a[i * a_stride], b[i * b_stride]);
      return;
    case SLK_BINARY_MOD:
      for (size_t i = 0; i < n; i++) y[i] = python_remainder(a[i * a_stride], b[i * b_stride]);
      return;
    default:
      SLK_DISPATCH(binary, op, a, a_stride, b, b_stride, y, n);
  }
}
