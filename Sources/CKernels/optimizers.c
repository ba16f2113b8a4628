#include "include/slk_optimizers.h"

#include "simd_names.h"
#include "sums.h"

#define SLK_TEMPLATE "optimizers.inc.h"
#include "tiers.h"

void slk_sgd_f32(const slk_gradient_terms *terms, float rate, float momentum, float fresh,
                 bool nesterov, float *w, const float *g, float *velocity, size_t n) {
  SLK_DISPATCH(sgd, terms, rate, momentum, fresh, nesterov, w, g, velocity, n);
}

void slk_adam_f32(const slk_gradient_terms *terms, const slk_adam_step *step, float *w,
                  const float *g, float *m, float *v, float *largest, size_t n) {
  SLK_DISPATCH(adam, terms, step, w, g, m, v, largest, n);
}

void slk_adamax_f32(const slk_gradient_terms *terms, float rate, float first, float kept,
                    float epsilon, float *w, const float *g, float *m, float *u, size_t n) {
  SLK_DISPATCH(adamax, terms, rate, first, kept, epsilon, w, g, m, u, n);
}

void slk_rmsprop_f32(const slk_gradient_terms *terms, const slk_rmsprop_step *step, float *w,
                     const float *g, float *v, float *mean, float *velocity, size_t n) {
  SLK_DISPATCH(rmsprop, terms, step, w, g, v, mean, velocity, n);
}

void slk_adagrad_f32(const slk_gradient_terms *terms, float rate, float epsilon, float *w,
                     const float *g, float *s, size_t n) {
  SLK_DISPATCH(adagrad, terms, rate, epsilon, w, g, s, n);
}

void slk_adadelta_f32(const slk_gradient_terms *terms, float rate, float kept, float fresh,
                      float epsilon, float *w, const float *g, float *v, float *e, size_t n) {
  SLK_DISPATCH(adadelta, terms, rate, kept, fresh, epsilon, w, g, v, e, n);
}

void slk_lion_f32(const slk_gradient_terms *terms, float rate, float first, float second, float *w,
                  const float *g, float *m, size_t n) {
  SLK_DISPATCH(lion, terms, rate, first, second, w, g, m, n);
}

void slk_lamb_moments_f32(const slk_gradient_terms *terms, const slk_adam_step *step, float decay,
                          const float *w, const float *g, float *m, float *v, double sums[2],
                          size_t n) {
  SLK_DISPATCH(lamb_moments, terms, step, decay, w, g, m, v, sums, n);
}

void slk_lamb_apply_f32(const slk_adam_step *step, float decay, float rate, float *w,
                        const float *m, const float *v, size_t n) {
  SLK_DISPATCH(lamb_apply, step, decay, rate, w, m, v, n);
}

void slk_lerp_f32(float weight, const float *x, float *y, size_t n) {
  SLK_DISPATCH(lerp, weight, x, y, n);
}

void slk_norm_sums_f32(const float *x, size_t n, double sums[2]) {
  SLK_DISPATCH(norm_sums, x, n, sums);
}

double slk_square_sum_f32(const float *x, size_t n) { return SLK_DISPATCH(square_sum, x, n); }
