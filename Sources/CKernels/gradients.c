#include "include/slk_gradients.h"

#include "include/slk_elementwise.h"
#include "simd_names.h"
#include "sums.h"

#define SLK_TEMPLATE "gradients.inc.h"
#include "tiers.h"

void slk_unary_gradient_f32(int32_t op, const float *g, const float *v, float *y, size_t n,
                            float p) {
  SLK_DISPATCH(unary_gradient, op, g, v, y, n, p);
}

void slk_softmax_gradient_rows(const float *g, const float *y, float *dx, size_t rows,
                               size_t width) {
  SLK_DISPATCH(softmax_gradient, g, y, dx, rows, width);
}

void slk_log_softmax_gradient_rows(const float *g, const float *y, float *dx, size_t rows,
                                   size_t width) {
  SLK_DISPATCH(log_softmax_gradient, g, y, dx, rows, width);
}

void slk_layer_norm_gradient(const float *g, const float *x, const float *gamma, float epsilon,
                             bool is_centred, float *dx, float *gamma_sums, float *beta_sums,
                             size_t rows, size_t width) {
  SLK_DISPATCH(layer_norm_gradient, g, x, gamma, epsilon, is_centred, dx, gamma_sums, beta_sums,
               rows, width);
}

float slk_dot_about(const float *a, float a_mean, const float *b, float b_mean, size_t n) {
  return SLK_DISPATCH(dot_about, a, a_mean, b, b_mean, n);
}

void slk_combine(float a, const float *g, float b, const float *x, float c, float *y, size_t n) {
  SLK_DISPATCH(combine, a, g, b, x, c, y, n);
}

void slk_lstm_gradient(const float *gates, const float *cell, const float *previous,
                       const float *dh, float *dc, float *sums, size_t n) {
  SLK_DISPATCH(lstm_gradient, gates, cell, previous, dh, dc, sums, n);
}
