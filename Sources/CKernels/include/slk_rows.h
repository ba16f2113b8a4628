// Kernels over the rows of a float32 matrix. Strides count elements; x and y may be the same memory
// with equal strides unless a function says otherwise.
#ifndef STACKLENS_SLK_ROWS_H
#define STACKLENS_SLK_ROWS_H

#include <stddef.h>
#include <stdint.h>

/// y = (v - mean(v)) / sqrt(variance(v) + epsilon) * gamma + beta, with v = x + residual.
/// `residual`, `gamma` and `beta` may be NULL; the residual has rows of `residual_stride`. The
/// variance comes from a second pass. `out_mean` and `out_inverse` receive [rows] mean and 1 /
/// sqrt(...), or are NULL.
void slk_layer_norm(const float *x, size_t x_stride, const float *residual, size_t residual_stride,
                    const float *gamma, const float *beta, float epsilon, float *y, size_t y_stride,
                    size_t rows, size_t width, float *out_mean, float *out_inverse);

/// y[t] = layer norm of word[ids[t]] + position[positions[t]] + type[types[t]]. `position` and
/// `type` may be NULL with their indices; `types` alone NULL means type 0. Indices are in range.
void slk_embed_layer_norm(const float *word, const int32_t *ids, const float *position,
                          const int32_t *positions, const float *type, const int32_t *types,
                          const float *gamma, const float *beta, float epsilon, float *y,
                          size_t y_stride, size_t rows, size_t width);

/// y = x * gamma / sqrt(mean(x^2) + epsilon).
void slk_rms_norm(const float *x, size_t x_stride, const float *gamma, float epsilon, float *y,
                  size_t y_stride, size_t rows, size_t width);

/// y[0..width) = mean of `rows` rows of x, of zeros where there are none.
void slk_mean_rows(const float *x, size_t x_stride, size_t rows, size_t width, float *y);
/// x *= 1 / max(L2 norm, epsilon) for each row.
void slk_normalise_rows(float *x, size_t x_stride, size_t rows, size_t width, float epsilon);

/// y = exp(x - max) / sum(exp(x - max)) along each row. A row of -infinity gives NaN.
void slk_softmax_rows(const float *x, size_t x_stride, float *y, size_t y_stride, size_t rows,
                      size_t width);
/// y = x - max - log(sum(exp(x - max))).
void slk_log_softmax_rows(const float *x, size_t x_stride, float *y, size_t y_stride, size_t rows,
                          size_t width);

/// Dot product in a fixed order of summation.
float slk_dot(const float *a, const float *b, size_t n);
/// scores[r] = dot(query, row r of x).
void slk_dot_rows(const float *query, const float *x, size_t x_stride, size_t rows, size_t width,
                  float *scores);
/// scores[r] = dot / (|query| |row r|); 0 where a length is 0.
void slk_cosine_rows(const float *query, const float *x, size_t x_stride, size_t rows, size_t width,
                     float *scores);

/// Reductions of one contiguous vector in a fixed order. Maximum and minimum propagate NaN; n >= 1
/// for them.
float slk_sum(const float *x, size_t n);
float slk_sum_squares(const float *x, size_t n);
float slk_max_f32(const float *x, size_t n);
float slk_min_f32(const float *x, size_t n);
/// y += row 0 of x + row 1 ..., in that order. The `more` rows behind them are what comes next: those
/// are fetched meanwhile, as rows far apart are not foreseen.
void slk_sum_rows(const float *x, size_t x_stride, size_t rows, size_t more, size_t width,
                  float *y);
/// y += alpha x.
void slk_axpy(float alpha, const float *x, float *y, size_t n);

#endif
