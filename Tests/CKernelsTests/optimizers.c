// Steps of optimisers against double precision, at every length around the vector lengths.
#include "check.h"

typedef struct {
  double w, g, a, b, c;  ///< Weight, gradient, up to three states.
} element;

static const slk_gradient_terms terms = {
    .scale = 0.5f, .limit = 0.4f, .l1 = 0.02f, .l2 = 0.1f, .decay = 0.03f};

static double gradient(const element *e) {
  double g = e->g * terms.scale;
  g = g > terms.limit ? terms.limit : g < -terms.limit ? -terms.limit : g;
  return g + terms.l2 * e->w + (e->w > 0 ? terms.l1 : e->w < 0 ? -terms.l1 : 0);
}

static void move(element *e, double step) { e->w = e->w - terms.decay * e->w - step; }

static void sgd(element *e) {
  const double g = gradient(e);
  e->a = 0.9f * e->a + 0.7f * g;
  move(e, 0.1f * e->a);
}

static void nesterov(element *e) {
  const double g = gradient(e);
  e->a = 0.9f * e->a + 0.7f * g;
  move(e, 0.1f * (g + 0.9f * e->a));
}

static void plain(element *e) { move(e, 0.1f * gradient(e)); }

static const slk_adam_step adam_step = {0.1f, 0.0f, 0.2f, 0.8f, 0.2f, 1.5f, 0.01f};
static const slk_adam_step nadam_step = {0.1f, 0.05f, 0.2f, 0.8f, 0.2f, 1.5f, 0.01f};

static double moments(element *e, const slk_adam_step *s) {
  const double g = gradient(e);
  e->a += s->first * (g - e->a);
  e->b = s->kept * e->b + s->fresh * g * g;
  return g;
}

static void adam(element *e) {
  moments(e, &adam_step);
  move(e, adam_step.rate * e->a / (adam_step.root * sqrt(e->b) + adam_step.epsilon));
}

static void amsgrad(element *e) {
  moments(e, &adam_step);
  e->c = fmax(e->c, e->b);
  move(e, adam_step.rate * e->a / (adam_step.root * sqrt(e->c) + adam_step.epsilon));
}

static void nadam(element *e) {
  const slk_adam_step *s = &nadam_step;
  const double g = moments(e, s);
  move(e, (s->rate * e->a + s->direct * g) / (s->root * sqrt(e->b) + s->epsilon));
}

static void adamax(element *e) {
  const double g = gradient(e);
  e->a += 0.2f * (g - e->a);
  e->b = fmax(0.7f * e->b, fabs(g) + 0.01f);
  move(e, 0.1f * e->a / e->b);
}

static const slk_rmsprop_step rms_step = {0.1f, 0.8f, 0.2f, 0.05f, 0.6f};

static void rmsprop(element *e) {
  const double g = gradient(e);
  e->a = rms_step.kept * e->a + rms_step.fresh * g * g;
  move(e, rms_step.rate * g / (sqrt(e->a) + rms_step.epsilon));
}

static void centred(element *e) {
  const double g = gradient(e);
  e->a = rms_step.kept * e->a + rms_step.fresh * g * g;
  e->b += rms_step.fresh * (g - e->b);
  const double d = g / (sqrt(fmax(0, e->a - e->b * e->b)) + rms_step.epsilon);
  e->c = rms_step.momentum * e->c + d;
  move(e, rms_step.rate * e->c);
}

static void adagrad(element *e) {
  const double g = gradient(e);
  e->a += g * g;
  move(e, 0.1f * g / (sqrt(e->a) + 0.01f));
}

static void adadelta(element *e) {
  const double g = gradient(e);
  e->a = 0.8f * e->a + 0.2f * g * g;
  const double d = g * sqrt(e->b + 0.01f) / sqrt(e->a + 0.01f);
  e->b = 0.8f * e->b + 0.2f * d * d;
  move(e, 0.1f * d);
}

static void lion(element *e) {
  const double g = gradient(e), u = e->a + 0.1f * (g - e->a);
  e->a += 0.3f * (g - e->a);
  move(e, 0.1f * (u > 0 ? 1 : u < 0 ? -1 : 0));
}

static void run(int method, float *w, const float *g, float *a, float *b, float *c, size_t n) {
  switch (method) {
    case 0: slk_sgd_f32(&terms, 0.1f, 0.9f, 0.7f, false, w, g, a, n); break;
    case 1: slk_sgd_f32(&terms, 0.1f, 0.9f, 0.7f, true, w, g, a, n); break;
    case 2: slk_sgd_f32(&terms, 0.1f, 0.9f, 0.7f, false, w, g, NULL, n); break;
    case 3: slk_adam_f32(&terms, &adam_step, w, g, a, b, NULL, n); break;
    case 4: slk_adam_f32(&terms, &adam_step, w, g, a, b, c, n); break;
    case 5: slk_adam_f32(&terms, &nadam_step, w, g, a, b, NULL, n); break;
    case 6: slk_adamax_f32(&terms, 0.1f, 0.2f, 0.7f, 0.01f, w, g, a, b, n); break;
    case 7: slk_rmsprop_f32(&terms, &rms_step, w, g, a, NULL, NULL, n); break;
    case 8: slk_rmsprop_f32(&terms, &rms_step, w, g, a, b, c, n); break;
    case 9: slk_adagrad_f32(&terms, 0.1f, 0.01f, w, g, a, n); break;
    case 10: slk_adadelta_f32(&terms, 0.1f, 0.8f, 0.2f, 0.01f, w, g, a, b, n); break;
    case 11: slk_lion_f32(&terms, 0.1f, 0.1f, 0.3f, w, g, a, n); break;
  }
}

static void (*const exact[])(element *) = {sgd,    nesterov, plain,   adam,    amsgrad,  nadam,
                                           adamax, rmsprop,  centred, adagrad, adadelta, lion};

static void method_of(int method, size_t n) {
  float *x[5];
  element *e = block(n * sizeof *e);
  for (int i = 0; i < 5; i++) x[i] = block(n * 4), fill(x[i], n, (uint32_t)(n + 7 * (size_t)i));
  for (size_t i = 0; i < n; i++) {
    // States that are squares are not negative, and as large as averages of squares are.
    for (int s = 2; s < 5; s++) x[s][i] = 0.1f + 0.1f * fabsf(x[s][i]);
    if (i % 5 == 3) x[0][i] = 0.0f;
    e[i] = (element){x[0][i], x[1][i], x[2][i], x[3][i], x[4][i]};
  }
  for (int step = 0; step < 3; step++) {
    run(method, x[0], x[1], x[2], x[3], x[4], n);
    for (size_t i = 0; i < n; i++) {
      exact[method](&e[i]);
      const double expected[] = {e[i].w, e[i].g, e[i].a, e[i].b, e[i].c};
      for (int k = 0; k < 5; k++) {
        CHECK(fabs(x[k][i] - expected[k]) < 2e-6, "method %d, value %d of %zu: %g, expected %g",
              method, k, n, x[k][i], expected[k]);
      }
    }
  }
  for (int i = 0; i < 5; i++) free(x[i]);
  free(e);
}

static void lamb(size_t n) {
  float *w = block(n * 4), *g = block(n * 4), *m = block(n * 4), *v = block(n * 4);
  fill(w, n, 1), fill(g, n, 2), memset(m, 0, n * 4), memset(v, 0, n * 4);
  double sums[2] = {1, 2}, expected[2] = {1, 2};
  element *e = block(n * sizeof *e);
  for (size_t i = 0; i < n; i++) {
    e[i] = (element){w[i], g[i], 0, 0, 0};
    moments(&e[i], &adam_step);
    e[i].c = adam_step.rate * e[i].a / (adam_step.root * sqrt(e[i].b) + adam_step.epsilon) +
             0.3f * e[i].w;
    expected[0] += e[i].w * e[i].w, expected[1] += e[i].c * e[i].c;
  }
  slk_lamb_moments_f32(&terms, &adam_step, 0.3f, w, g, m, v, sums, n);
  for (int i = 0; i < 2; i++) {
    CHECK(fabs(sums[i] / expected[i] - 1) < 1e-6, "sum %d of lamb, length %zu", i, n);
  }
  slk_lamb_apply_f32(&adam_step, 0.3f, 0.7f, w, m, v, n);
  for (size_t i = 0; i < n; i++) {
    CHECK(fabs(w[i] - (e[i].w - 0.7f * e[i].c)) < 1e-6, "lamb, length %zu", n);
  }
  free(w), free(g), free(m), free(v), free(e);
}

static void sums(size_t n) {
  float *x = block(n * 4), *y = block(n * 4);
  fill(x, n, 1), fill(y, n, 2);
  double found[2], absolute = 0, squares = 0;
  for (size_t i = 0; i < n; i++) absolute += fabs(x[i]), squares += (double)x[i] * x[i];
  slk_norm_sums_f32(x, n, found);
  CHECK(fabs(found[0] - absolute) <= 1e-12 * absolute, "sum of magnitudes, length %zu", n);
  CHECK(fabs(found[1] - squares) <= 1e-12 * squares, "sum of squares, length %zu", n);
  float *z = block(n * 4);
  if (n) memcpy(z, y, n * 4);
  slk_lerp_f32(0.3f, x, z, n);
  for (size_t i = 0; i < n; i++) {
    CHECK(fabs(z[i] - (y[i] + 0.3f * ((double)x[i] - y[i]))) < 2e-7, "lerp, length %zu", n);
  }
  free(x), free(y), free(z);
}

void test_optimizers(void) {
  for (int method = 0; method < 12; method++) {
    for (size_t n = 0; n <= 50; n++) method_of(method, n);
    method_of(method, 1003);
  }
  for (size_t n = 0; n <= 50; n++) lamb(n), sums(n);
  lamb(1003), sums(100003);
}
