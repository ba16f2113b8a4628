// Quantised and exact products over bytes.
#include "check.h"

/// The exact product for every signedness, with zero points, at extreme values.
static void exact(size_t m, size_t k, size_t n, unsigned variant) {
  const size_t lda = k + 1;
  uint8_t *a = block(m * lda), *b = block(k * n);
  int32_t *c = block(m * n * 4), *za = block(m * 4), *zb = block(n * 4), *sums = block(m * 4);
  uint32_t state = variant + 17;
  const bool extreme = variant & 32;
  for (size_t i = 0; i < m * lda; i++) a[i] = extreme ? 255 : (uint8_t)random_bits(&state);
  for (size_t i = 0; i < k * n; i++) b[i] = extreme ? 128 : (uint8_t)random_bits(&state);
  for (size_t i = 0; i < m; i++) za[i] = (int32_t)(random_bits(&state) % 100);
  for (size_t i = 0; i < n; i++) zb[i] = (int32_t)(random_bits(&state) % 100);
  slk_integer_product p = {.a_signed = variant & 1, .b_signed = variant & 2};
  if (variant & 4) p.a_zero_points = za, p.a_zero_point_stride = variant & 64 ? 1 : 0;
  if (variant & 8) p.b_zero_points = zb, p.b_zero_point_stride = variant & 64 ? 1 : 0;
  const bool transposed = variant & 16;
  uint8_t *rows = block(m * slk_gemm_i8_row_bytes(k));
  void *packed = block(slk_gemm_i8_packed_bytes(k, n, 1));
  const size_t panels = slk_gemm_i8_panel_count(n), cut = panels / 2;
  slk_integer_rows(a, p.a_signed, m, k, lda, rows, sums);
  slk_gemm_integer_pack(b, p.b_signed, k, n, transposed ? 1 : n, transposed ? k : 1, packed, 0,
                        panels);
  slk_gemm_integer(k, n, rows, sums, packed, &p, c, n, 0, m, 0, cut);
  slk_gemm_integer(k, n, rows, sums, packed, &p, c, n, 0, m, cut, panels);
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < n; j++) {
      int64_t sum = 0;
      for (size_t l = 0; l < k; l++) {
        const uint8_t x = a[i * lda + l], y = transposed ? b[j * k + l] : b[l * n + j];
        const int64_t left = p.a_signed ? (int8_t)x : x, right = p.b_signed ? (int8_t)y : y;
        sum += (left - (p.a_zero_points ? za[i * p.a_zero_point_stride] : 0)) *
               (right - (p.b_zero_points ? zb[j * p.b_zero_point_stride] : 0));
      }
      CHECK(c[i * n + j] == (int32_t)sum, "integer %zux%zux%zu variant %u: %d, expected %lld", m, k,
            n, variant, c[i * n + j], (long long)sum);
    }
  }
  free(a), free(b), free(c), free(za), free(zb), free(sums), free(rows), free(packed);
}

static int32_t steps(float x, float largest) {
  return largest == 0 ? 0 : (int32_t)lrintf(x * (127.0f / largest));
}

/// The quantised product against the same quantisation done one number at a time.
static void quantised(size_t m, size_t k, size_t n, size_t groups, unsigned variant) {
  const size_t length = slk_gemm_i8_group_length(k, groups);
  float *a = block(m * k * 4), *b = block(k * n * 4), *c = block(m * n * 4), *bias = block(n * 4);
  float *scales = block(m * groups * 4), *alone = block(n * 4);
  fill(a, m * k, variant), fill(b, k * n, variant + 1), fill(bias, n, 3);
  const bool transposed = variant & 1;
  uint8_t *rows = block(m * slk_gemm_i8_row_bytes(k));
  void *packed = block(slk_gemm_i8_packed_bytes(k, n, groups));
  const size_t panels = slk_gemm_i8_panel_count(n), cut = panels / 2;
  slk_i8_quantise_rows(a, m, k, k, groups, rows, scales);
  slk_gemm_i8_pack(b, k, n, transposed ? 1 : n, transposed ? k : 1, groups, packed, 0, panels);
  slk_epilogue e = slk_epilogue_none();
  if (variant & 2) e.bias = bias;
  if (variant & 4) e.activation = SLK_UNARY_RELU;
  slk_gemm_i8(k, n, groups, rows, scales, 128, packed, c, n, &e, 0, m, 0, cut);
  slk_gemm_i8(k, n, groups, rows, scales, 128, packed, c, n, &e, 0, m, cut, panels);
  for (size_t i = 0; i < m; i++) {
    slk_gemm_i8(k, n, groups, rows + i * slk_gemm_i8_row_bytes(k), scales + i * groups, 128, packed,
                alone, n, &e, 0, 1, 0, panels);
    CHECK(!memcmp(alone, c + i * n, n * 4), "int8 row %zu alone differs", i);
    for (size_t j = 0; j < n; j++) {
      double total = 0;
      for (size_t begin = 0; begin < k; begin += length) {
        const size_t end = begin + length < k ? begin + length : k;
        float most_a = 0, most_b = 0;
        for (size_t l = begin; l < end; l++) {
          most_a = fmaxf(most_a, fabsf(a[i * k + l]));
          most_b = fmaxf(most_b, fabsf(transposed ? b[j * k + l] : b[l * n + j]));
        }
        int64_t sum = 0;
        for (size_t l = begin; l < end; l++) {
          sum += (int64_t)steps(a[i * k + l], most_a) *
                 steps(transposed ? b[j * k + l] : b[l * n + j], most_b);
        }
        total += (double)sum * (most_a / 127.0) * (most_b / 127.0);
      }
      if (e.bias) total += bias[j];
      if (e.activation && total < 0) total = 0;
      CHECK(fabs(total - c[i * n + j]) <= 1e-5, "int8 %zux%zux%zu groups %zu: %g, expected %g", m,
            k, n, groups, c[i * n + j], total);
    }
  }
  free(a), free(b), free(c), free(bias), free(scales), free(alone), free(rows), free(packed);
}

static void not_finite(void) {
  float a[16] = {1, 2, 3, 4, 5, 6, 7, NAN, 0, 0, 0, 0, 0, 0, 0, 0}, b[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  float scales[2], c[2];
  uint8_t rows[64];
  void *packed = block(slk_gemm_i8_packed_bytes(8, 1, 1));
  slk_i8_quantise_rows(a, 2, 8, 8, 1, rows, scales);
  slk_gemm_i8_pack(b, 8, 1, 1, 1, 1, packed, 0, 1);
  slk_epilogue e = slk_epilogue_none();
  slk_gemm_i8(8, 1, 1, rows, scales, 128, packed, c, 1, &e, 0, 2, 0, 1);
  CHECK(isnan(c[0]) && c[1] == 0, "NaN in, %g out; zeros in, %g out", c[0], c[1]);
  b[3] = INFINITY;
  slk_gemm_i8_pack(b, 8, 1, 1, 1, 1, packed, 0, 1);
  slk_gemm_i8(8, 1, 1, rows, scales, 128, packed, c, 1, &e, 0, 2, 0, 1);
  CHECK(isnan(c[1]), "an infinite weight gives %g", c[1]);
  free(packed);
}

void test_gemm_i8(void) {
  uint32_t state = 8;
  for (unsigned variant = 0; variant < 512; variant++) {
    exact(1 + random_bits(&state) % 19, random_bits(&state) % 70, 1 + random_bits(&state) % 100,
          variant);
  }
  exact(3, 4096, 5, 32), exact(3, 4096, 5, 33), exact(3, 4096, 5, 35), exact(9, 300, 50, 95);
  for (unsigned variant = 0; variant < 256; variant++) {
    quantised(1 + random_bits(&state) % 19, variant % 70, 1 + random_bits(&state) % 100,
              1 + variant % 5, variant);
  }
  quantised(9, 600, 100, 2, 3), quantised(9, 513, 100, 3, 2);
  not_finite();
}
