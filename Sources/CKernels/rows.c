#include "include/slk_rows.h"

#include "panels.h"
#include "simd_names.h"
#include "sums.h"

#define SLK_TEMPLATE "rows.inc.h"
#include "tiers.h"

void slk_layer_norm(const float *x, size_t x_stride, const float *residual, size_t residual_stride,
                    const float *gamma, const float *beta, float epsilon, float *y, size_t y_stride,
                    size_t rows, size_t width, float *out_mean, float *out_inverse) {
  SLK_DISPATCH(layer_norm, x, x_stride, residual, residual_stride, gamma, beta, epsilon, y,
               y_stride, rows, width, out_mean, out_inverse);
}

void slk_embed_layer_norm(const float *word, const int32_t *ids, const float *position,
                          const int32_t *positions, const float *type, const int32_t *types,
                          const float *gamma, const float *beta, float epsilon, float *y,
                          size_t y_stride, size_t rows, size_t width) {
  SLK_DISPATCH(embed_layer_norm, word, ids, position, positions, type, types, gamma, beta, epsilon,
               y, y_stride, rows, width);
}

void slk_rms_norm(const float *x, size_t x_stride, const float *gamma, float epsilon, float *y,
                  size_t y_stride, size_t rows, size_t width) {
  SLK_DISPATCH(rms_norm, x, x_stride, gamma, epsilon, y, y_stride, rows, width);
}

void slk_mean_rows(const float *x, size_t x_stride, size_t rows, size_t width, float *y) {
  memset(y, 0, width * sizeof *y);
  slk_sum_rows(x, x_stride, rows, 0, width, y);
  if (rows) SLK_DISPATCH(scale, y, width, 1.0f / (float)rows);
}

void slk_normalise_rows(float *x, size_t x_stride, size_t rows, size_t width, float epsilon) {
  for (size_t row = 0; row < rows; row++) {
    float *v = x + row * x_stride;
    const float norm = sqrtf(slk_sum_squares(v, width));
    SLK_DISPATCH(scale, v, width, 1.0f / (norm < epsilon ? epsilon : norm));
  }
}

void slk_softmax_rows(const float *x, size_t x_stride, float *y, size_t y_stride, size_t rows,
                      size_t width) {
  SLK_DISPATCH(softmax_rows, x, x_stride, y, y_stride, rows, width);
}

void slk_log_softmax_rows(const float *x, size_t x_stride, float *y, size_t y_stride, size_t rows,
                          size_t width) {
  SLK_DISPATCH(log_softmax_rows, x, x_stride, y, y_stride, rows, width);
}

float slk_dot(const float *a, const float *b, size_t n) { return SLK_DISPATCH(dot, a, b, n); }
float slk_sum(const float *x, size_t n) { return SLK_DISPATCH(sum, x, n); }
float slk_sum_squares(const float *x, size_t n) { return SLK_DISPATCH(dot, x, x, n); }
float slk_max_f32(const float *x, size_t n) { return SLK_DISPATCH(largest, x, n); }
float slk_min_f32(const float *x, size_t n) { return SLK_DISPATCH(smallest, x, n); }

void slk_sum_rows(const float *x, size_t x_stride, size_t rows, size_t more, size_t width,
                  float *y) {
  SLK_DISPATCH(sum_rows, x, x_stride, rows, more, width, y);
}

void slk_axpy(float alpha, const float *x, float *y, size_t n) {
  SLK_DISPATCH(axpy, alpha, x, y, n);
}

void slk_dot_rows(const float *query, const float *x, size_t x_stride, size_t rows, size_t width,
                  float *scores) {
  for (size_t row = 0; row < rows; row++) scores[row] = slk_dot(query, x + row * x_stride, width);
}

void slk_cosine_rows(const float *query, const float *x, size_t x_stride, size_t rows, size_t width,
                     float *scores) {
  const float length = sqrtf(slk_sum_squares(query, width));
  for (size_t row = 0; row < rows; row++) {
    const float *v = x + row * x_stride;
    const float both = length * sqrtf(slk_sum_squares(v, width));
    scores[row] = both == 0.0f ? 0.0f : slk_dot(query, v, width) / both;
  }
}
