// What flows back through operators, in float32.
#ifndef STACKLENS_SLK_GRADIENTS_H
#define STACKLENS_SLK_GRADIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// y = g f'(x) for the slk_unary `op`. `v` is f(x) for RELU, SIGMOID, TANH and ELU (whose `p` is above
/// 0), x for LEAKY_RELU, GELU_ERF, GELU_TANH, SILU, SOFTPLUS, HARD_SWISH and MISH; others give g.
void slk_unary_gradient_f32(int32_t op, const float *g, const float *v, float *y, size_t n,
                            float p);

/// Rows side by side: dx = y (g - sum(g y)), for y = softmax(x).
void slk_softmax_gradient_rows(const float *g, const float *y, float *dx, size_t rows,
                               size_t width);
/// dx = g - exp(y) sum(g), for y = log(softmax(x)).
void slk_log_softmax_gradient_rows(const float *g, const float *y, float *dx, size_t rows,
                                   size_t width);

/// Through slk_layer_norm, or slk_rms_norm where `is_centred` is false, over rows side by side. The
/// sums over the rows of g times the normalised x, and of g, are added to `gamma_sums` and `beta_sums`.
void slk_layer_norm_gradient(const float *g, const float *x, const float *gamma, float epsilon,
                             bool is_centred, float *dx, float *gamma_sums, float *beta_sums,
                             size_t rows, size_t width);

/// Sum of (a - a_mean) (b - b_mean).
float slk_dot_about(const float *a, float a_mean, const float *b, float b_mean, size_t n);
/// y = a g + b x + c.
void slk_combine(float a, const float *g, float b, const float *x, float c, float *y, size_t n);

/// One step of one item back through an LSTM with sigmoid gates and tanh. `gates` are i o f c after their
/// activations, n each; `cell` the state after the step, `previous` the one before or NULL for zeros.
/// `dh` and `dc` arrive at the states after the step; `dc` becomes what flows to the cell state before.
/// `sums` receives the gradients of the gates before their activations.
void slk_lstm_gradient(const float *gates, const float *cell, const float *previous,
                       const float *dh, float *dc, float *sums, size_t n);

#endif
