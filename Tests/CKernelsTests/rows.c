// Row kernels against double precision, at every width around the vector lengths.
#include "check.h"

static void norms(size_t rows, size_t width) {
  const size_t stride = width + 3;
  float *x = block(rows * stride * 4), *r = block(rows * width * 4), *y = block(rows * stride * 4);
  float *gamma = block(width * 4), *beta = block(width * 4), *mean = block(rows * 4);
  float *inverse = block(rows * 4);
  fill(x, rows * stride, 1), fill(r, rows * width, 2), fill(gamma, width, 3), fill(beta, width, 4);
  for (size_t i = 0; i < rows * stride; i++) x[i] += 5.0f;
  for (int variant = 0; variant < 4; variant++) {
    const float *residual = variant & 1 ? r : NULL, *g = variant & 2 ? gamma : NULL;
    const float *b = variant & 2 ? beta : NULL;
    slk_layer_norm(x, stride, residual, width, g, b, 1e-5f, y, stride, rows, width, mean, inverse);
    for (size_t i = 0; i < rows; i++) {
      double m = 0, v = 0;
      for (size_t j = 0; j < width; j++) {
        m += x[i * stride + j] + (residual ? r[i * width + j] : 0.0f);
      }
      m /= (double)width;
      for (size_t j = 0; j < width; j++) {
        const double d = x[i * stride + j] + (residual ? r[i * width + j] : 0.0f) - m;
        v += d * d;
      }
      const double s = 1.0 / sqrt(v / (double)width + 1e-5);
      CHECK(fabs(mean[i] - m) < 2e-6 && fabs(inverse[i] / s - 1) < 1e-4, "moments at width %zu",
            width);
      for (size_t j = 0; j < width; j++) {
        double e = (x[i * stride + j] + (residual ? r[i * width + j] : 0.0f) - m) * s;
        if (g) e = e * g[j] + b[j];
        const double bound = width < 8 ? 1e-3 : 1e-5;
        CHECK(fabs(y[i * stride + j] - e) < bound, "layer norm width %zu: %g, expected %g", width,
              y[i * stride + j], e);
      }
    }
  }
  slk_rms_norm(x, stride, gamma, 1e-5f, y, stride, rows, width);
  for (size_t i = 0; i < rows; i++) {
    double v = 0;
    for (size_t j = 0; j < width; j++) v += (double)x[i * stride + j] * x[i * stride + j];
    for (size_t j = 0; j < width; j++) {
      const double e = x[i * stride + j] * gamma[j] / sqrt(v / (double)width + 1e-5);
      CHECK(fabs(y[i * stride + j] - e) < 2e-6, "rms norm width %zu", width);
    }
  }
  free(x), free(r), free(y), free(gamma), free(beta), free(mean), free(inverse);
}

static void embedding(size_t width) {
  enum { WORDS = 9, ROWS = 5 };
  float *word = block(WORDS * width * 4), *position = block(ROWS * width * 4),
      *type = block(2 * width * 4);
  float *gamma = block(width * 4), *beta = block(width * 4), *y = block(ROWS * width * 4);
  float *sum = block(ROWS * width * 4);
  fill(word, WORDS * width, 1), fill(position, ROWS * width, 2), fill(type, 2 * width, 3);
  fill(gamma, width, 4), fill(beta, width, 5);
  const int32_t ids[] = {8, 0, 3, 3, 7}, positions[] = {0, 1, 2, 0, 1}, types[] = {0, 1, 0, 1, 1};
  for (int variant = 0; variant < 3; variant++) {
    const int32_t *t = variant == 1 ? NULL : types;
    const float *p = variant == 2 ? NULL : position;
    slk_embed_layer_norm(word, ids, p, positions, type, t, gamma, beta, 1e-12f, y, width, ROWS,
        width);
    for (size_t i = 0; i < ROWS * width; i++) {
      const size_t row = i / width, j = i % width;
      sum[i] = word[(size_t)ids[row] * width + j] + type[(t ? (size_t)t[row] : 0) * width + j];
      if (p) sum[i] += p[(size_t)positions[row] * width + j];
    }
    slk_layer_norm(sum, width, NULL, 0, gamma, beta, 1e-12f, sum, width, ROWS, width, NULL, NULL);
    CHECK(!memcmp(sum, y, ROWS * width * 4), "embedding differs from its layer norm, width %zu",
          width);
  }
  free(word), free(position), free(type), free(gamma), free(beta), free(y), free(sum);
}

static void softmaxes(size_t width) {
  float *x = block(width * 4), *y = block(width * 4), *l = block(width * 4);
  fill(x, width, 9);
  for (size_t i = 0; i < width; i++) x[i] = x[i] * 20 - 500;
  if (width > 2) x[1] = -INFINITY;
  double most = -INFINITY, sum = 0;
  for (size_t i = 0; i < width; i++) most = x[i] > most ? x[i] : most;
  for (size_t i = 0; i < width; i++) sum += exp(x[i] - most);
  slk_softmax_rows(x, width, y, width, 1, width);
  slk_log_softmax_rows(x, width, l, width, 1, width);
  for (size_t i = 0; i < width; i++) {
    const double e = exp(x[i] - most) / sum, g = x[i] - most - log(sum);
    CHECK(fabs(y[i] - e) <= 1e-6 * e + 1e-37, "softmax width %zu: %g, expected %g", width, y[i], e);
    CHECK(l[i] == g || fabs(l[i] - g) < 1e-5, "log softmax width %zu: %g, expected %g", width,
          l[i], g);
  }
  memcpy(l, x, width * 4);
  slk_softmax_rows(l, width, l, width, 1, width);
  CHECK(!memcmp(l, y, width * 4), "softmax in place differs");
  x[width / 2] = NAN;
  slk_softmax_rows(x, width, y, width, 1, width);
  CHECK(isnan(y[0]) && isnan(y[width - 1]), "softmax hides NaN at width %zu", width);
  CHECK(isnan(slk_max_f32(x, width)) && isnan(slk_min_f32(x, width)), "extremes hide NaN");
  free(x), free(y), free(l);
}

static void vectors(size_t n) {
  float *a = block(n * 4), *x = block(3 * n * 4), *y = block(n * 4), scores[3];
  fill(a, n, 1), fill(x, 3 * n, 2);
  double magnitude = 1, sum = 0, squares = 0, dots[3] = {0}, lengths[3] = {0}, most = -9, least = 9;
  for (size_t i = 0; i < n; i++) {
    magnitude += fabsf(a[i]), sum += a[i], squares += (double)a[i] * a[i];
    most = a[i] > most ? a[i] : most, least = a[i] < least ? a[i] : least;
    for (size_t r = 0; r < 3; r++) {
      dots[r] += (double)a[i] * x[r * n + i], lengths[r] += (double)x[r * n + i] * x[r * n + i];
    }
  }
  // |a| bounds |a a| and |a x|: all stay within [-1, 1].
  const double bound = 1e-6 * magnitude;
  CHECK(fabs(slk_sum(a, n) - sum) < bound && fabs(slk_sum_squares(a, n) - squares) < bound,
        "sum %zu", n);
  if (n) CHECK(slk_max_f32(a, n) == most && slk_min_f32(a, n) == least, "extremes of %zu", n);
  slk_dot_rows(a, x, n, 3, n, scores);
  for (int r = 0; r < 3; r++) CHECK(fabs(scores[r] - dots[r]) < bound, "dot of %zu", n);
  if (n) {
    slk_cosine_rows(a, x, n, 3, n, scores);
    for (int r = 0; r < 3; r++) {
      CHECK(fabs(scores[r] - dots[r] / sqrt(squares * lengths[r])) < 1e-6, "cosine of %zu", n);
    }
  }
  slk_mean_rows(x, n, 3, n, y);
  for (size_t i = 0; i < n; i++) {
    CHECK(fabs(y[i] - ((double)x[i] + x[n + i] + x[2 * n + i]) / 3) < 1e-6,
          "mean of rows, width %zu", n);
  }
  slk_mean_rows(x, n, 0, n, y);
  for (size_t i = 0; i < n; i++) CHECK(y[i] == 0, "mean of no rows");
  slk_normalise_rows(x, n, 3, n, 1e-12f);
  for (int r = 0; r < 3 && n; r++) {
    CHECK(fabs(slk_sum_squares(x + (size_t)r * n, n) - 1) < 1e-5,
          "length after normalising, width %zu", n);
  }
  free(a), free(x), free(y);
}

/// Rows are added in their order to what is there, the same bits as one after the other.
static void row_sums(size_t rows, size_t width, size_t more) {
  const size_t stride = width + 5, count = rows + more ? (rows + more - 1) * stride + width : 0;
  float *x = block(count * 4), *y = block(width * 4), *expected = block(width * 4);
  fill(x, count, 3), fill(y, width, 4);
  memcpy(expected, y, width * 4);
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < width; i++) expected[i] += x[r * stride + i];
  }
  slk_sum_rows(x, stride, rows, more, width, y);
  CHECK(!memcmp(expected, y, width * 4), "sum of %zu rows of %zu before %zu", rows, width, more);
  free(x), free(y), free(expected);
}

void test_rows(void) {
  for (size_t width = 1; width <= 150; width++) {
    row_sums(3, width, 0), row_sums(32, width, 40), row_sums(77, width, 2);
  }
  row_sums(0, 20, 3), row_sums(1, 700, 0);
  for (size_t width = 1; width <= 70; width++) norms(3, width), softmaxes(width);
  for (size_t width = 1; width <= 40; width += 3) embedding(width);
  for (size_t n = 0; n <= 150; n++) vectors(n);
  norms(4, 384), norms(2, 769), embedding(384), softmaxes(1000), vectors(4097);
}
