// Steps of optimisers over plain float32 arrays: weights w, gradients g and what a method keeps of the
// past are each read and written once.
#ifndef STACKLENS_SLK_OPTIMIZERS_H
#define STACKLENS_SLK_OPTIMIZERS_H

#include <stdbool.h>
#include <stddef.h>

/// What happens to a gradient before a method sees it, and to a weight beside the method's step.
typedef struct {
  float scale;  ///< Factor of the gradient.
  float limit;  ///< Bound of its magnitude after that; INFINITY for none.
  float l1;     ///< l1 sign(w) is added then,
  float l2;     ///< and l2 w.
  float decay;  ///< Share of the weight that goes before the step.
} slk_gradient_terms;

/// u = momentum u + fresh g; w -= rate u, or rate (g + momentum u) where `nesterov` is set.
/// @param velocity  u, or NULL for none: w -= rate g.
void slk_sgd_f32(const slk_gradient_terms *terms, float rate, float momentum, float fresh,
                 bool nesterov, float *w, const float *g, float *velocity, size_t n);

/// m += first (g - m); v = kept v + fresh g^2; w -= (rate m + direct g) / (root sqrt(v) + epsilon).
typedef struct {
  float rate, direct;
  float first, kept, fresh;
  float root, epsilon;
} slk_adam_step;

/// @param largest  The largest v so far, which takes its place in the denominator, or NULL.
void slk_adam_f32(const slk_gradient_terms *terms, const slk_adam_step *step, float *w,
                  const float *g, float *m, float *v, float *largest, size_t n);

/// m += first (g - m); u = max(kept u, |g| + epsilon); w -= rate m / u.
void slk_adamax_f32(const slk_gradient_terms *terms, float rate, float first, float kept,
                    float epsilon, float *w, const float *g, float *m, float *u, size_t n);

/// v = kept v + fresh g^2; a += fresh (g - a); d = g / (sqrt(v - a^2) + epsilon);
/// u = momentum u + d; w -= rate u.
typedef struct {
  float rate, kept, fresh, epsilon, momentum;
} slk_rmsprop_step;

/// @param mean      a, or NULL for 0.
/// @param velocity  u, or NULL for none: w -= rate d.
void slk_rmsprop_f32(const slk_gradient_terms *terms, const slk_rmsprop_step *step, float *w,
                     const float *g, float *v, float *mean, float *velocity, size_t n);

/// s += g^2; w -= rate g / (sqrt(s) + epsilon).
void slk_adagrad_f32(const slk_gradient_terms *terms, float rate, float epsilon, float *w,
                     const float *g, float *s, size_t n);

/// v = kept v + fresh g^2; d = g sqrt(e + epsilon) / sqrt(v + epsilon); e = kept e + fresh d^2;
/// w -= rate d.
void slk_adadelta_f32(const slk_gradient_terms *terms, float rate, float kept, float fresh,
                      float epsilon, float *w, const float *g, float *v, float *e, size_t n);

/// w -= rate sign(m + first (g - m)); m += second (g - m).
void slk_lion_f32(const slk_gradient_terms *terms, float rate, float first, float second, float *w,
                  const float *g, float *m, size_t n);

/// The moments of slk_adam_step, and with d = rate m / (root sqrt(v) + epsilon) + decay w: sums[0] +=
/// sum of w^2, sums[1] += sum of d^2. `terms->decay` is not read.
void slk_lamb_moments_f32(const slk_gradient_terms *terms, const slk_adam_step *step, float decay,
                          const float *w, const float *g, float *m, float *v, double sums[2],
                          size_t n);
/// w -= rate d for the same d.
void slk_lamb_apply_f32(const slk_adam_step *step, float decay, float rate, float *w,
                        const float *m, const float *v, size_t n);

/// y += weight (x - y).
void slk_lerp_f32(float weight, const float *x, float *y, size_t n);

/// sums[0] = sum of |x|, sums[1] = sum of x^2, both in double precision.
void slk_norm_sums_f32(const float *x, size_t n, double sums[2]);
/// The sum of x^2 in double precision.
double slk_square_sum_f32(const float *x, size_t n);

#endif
