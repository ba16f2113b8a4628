// float64 and bfloat16 products.
#include "check.h"

void test_gemm_f64(void) {
  uint32_t state = 5;
  for (size_t trial = 0; trial < 400; trial++) {
    const size_t m = random_bits(&state) % 20, k = random_bits(&state) % 66;
    const size_t n = random_bits(&state) % 66, transposed = trial & 1;
    double *a = block(m * k * 8), *b = block(k * n * 8), *c = block(m * n * 8),
        *d = block(m * n * 8);
    double *bias = block(n * 8);
    for (size_t i = 0; i < m * k; i++) a[i] = random_unit(&state);
    for (size_t i = 0; i < k * n; i++) b[i] = random_unit(&state);
    for (size_t i = 0; i < m * n; i++) c[i] = d[i] = random_unit(&state);
    for (size_t i = 0; i < n; i++) bias[i] = random_unit(&state);
    slk_epilogue_f64 e = {.alpha = 1.0, .beta = 1.0};
    if (trial & 2) e.alpha = 0.5, e.bias = bias;
    if (trial & 4) e.accumulate = true;
    if (trial & 8) {
      e.residual = d, e.residual_row_stride = n, e.residual_column_stride = 1, e.beta = 2.0;
    }
    void *packed = block(slk_gemm_f64_packed_bytes(k, n));
    const size_t panels = slk_gemm_f64_panel_count(n), cut = panels / 2;
    slk_gemm_f64_pack(b, k, n, transposed ? 1 : n, transposed ? k : 1, packed, 0, panels);
    slk_gemm_f64(k, n, a, k, packed, c, n, &e, 0, m / 2, 0, panels);
    slk_gemm_f64(k, n, a, k, packed, c, n, &e, m / 2, m, 0, cut);
    slk_gemm_f64(k, n, a, k, packed, c, n, &e, m / 2, m, cut, panels);
    for (size_t i = 0; i < m; i++) {
      for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t l = 0; l < k; l++) {
          sum += a[i * k + l] * (transposed ? b[j * k + l] : b[l * n + j]);
        }
        sum = e.alpha * sum + (e.bias ? bias[j] : 0);
        if (e.residual) sum += e.beta * d[i * n + j];
        if (e.accumulate) sum += d[i * n + j];
        CHECK(fabs(sum - c[i * n + j]) < 1e-13, "f64 %zux%zux%zu (%zu, %zu)", m, k, n, i, j);
      }
    }
    free(a), free(b), free(c), free(d), free(bias), free(packed);
  }
}

static float widened(uint16_t half) {
  float x;
  slk_f32_from_bf16(&half, &x, 1);
  return x;
}

static void test_bf16_conversion(void) {
  const float in[] = {1.0f, 1.00390625f, 1.01171875f, -0.0f, INFINITY, NAN, 3.4e38f, 1e-40f};
  const uint16_t expected[] = {0x3f80, 0x3f80, 0x3f82, 0x8000, 0x7f80, 0x7fc0, 0x7f80, 0x0001};
  uint16_t out[8];
  slk_bf16_from_f32(in, out, 8);
  for (int i = 0; i < 8; i++) CHECK(out[i] == expected[i], "bf16(%g) = %04x", in[i], out[i]);
  float many[70], back[70];
  uint16_t rounded[71], same[70];
  fill(many, 70, 3);
  for (size_t n = 0; n <= 70; n++) {
    rounded[n] = 77;
    slk_bf16_from_f32(many, rounded, n);
    slk_f32_from_bf16(rounded, back, n);
    slk_bf16_from_f32(back, same, n);
    CHECK(rounded[n] == 77 && !memcmp(rounded, same, n * 2), "bf16 does not survive length %zu", n);
    for (size_t i = 0; i < n; i++) {
      CHECK(fabsf(back[i] - many[i]) <= fabsf(many[i]) / 256, "bf16(%g) = %g", many[i], back[i]);
    }
  }
}

/// An A that lies by columns gives the bits of the same rows.
static void turned_bf16(size_t m, size_t k, size_t n) {
  const size_t stride = m + 3, lda = k + k % 2, tile = slk_gemm_tile_rows();
  float *columns = block(k * stride * 4), *a = block(m * k * 4), *b = block(k * n * 4);
  float *expected = block(m * n * 4), *found = block(m * n * 4);
  fill(columns, k * stride, 1), fill(b, k * n, 2);
  for (size_t i = 0; i < m; i++) {
    for (size_t l = 0; l < k; l++) a[i * k + l] = columns[l * stride + i];
  }
  uint16_t *rows = block(m * lda * 2);
  void *tiles = block((m + tile - 1) / tile * tile * lda * 2);
  void *packed = block(slk_gemm_bf16_packed_bytes(k, n));
  const size_t panels = slk_gemm_bf16_panel_count(n), cut = m / 2 / tile * tile;
  const slk_epilogue none = slk_epilogue_none();
  slk_gemm_bf16_pack(b, k, n, n, 1, packed, 0, panels);
  slk_bf16_rows(a, m, k, k, rows, lda);
  slk_gemm_bf16(k, n, rows, lda, packed, expected, n, &none, 0, m, 0, panels);
  slk_gemm_bf16_pack_turned(columns, k, stride, tiles, 0, cut);
  slk_gemm_bf16_pack_turned(columns, k, stride, tiles, cut, m);
  slk_gemm_bf16_turned(k, n, tiles, packed, found, n, &none, 0, m, 0, panels);
  CHECK(!memcmp(expected, found, m * n * 4), "bf16 turned %zux%zux%zu", m, k, n);
  free(columns), free(a), free(b), free(expected), free(found), free(rows), free(tiles);
  free(packed);
}

/// What fills an odd K up counts nothing, beside infinities too: their product with it would be NaN.
static void infinite_bf16(size_t k, size_t n) {
  const size_t lda = k + k % 2, tile = slk_gemm_tile_rows(), panels = slk_gemm_bf16_panel_count(n);
  const slk_epilogue none = slk_epilogue_none();
  float *a = block(k * 4), *b = block(k * n * 4), *c = block(n * 4);
  uint16_t *row = block(lda * 2);
  void *tiles = block(tile * lda * 2), *packed = block(slk_gemm_bf16_packed_bytes(k, n));
  for (size_t i = 0; i < k; i++) a[i] = i + 1 < k ? 1 : INFINITY;
  for (size_t i = 0; i < k * n; i++) b[i] = INFINITY;
  for (size_t transposed = 0; transposed < 2; transposed++) {
    slk_gemm_bf16_pack(b, k, n, transposed ? 1 : n, transposed ? k : 1, packed, 0, panels);
    slk_bf16_rows(a, 1, k, k, row, lda);
    slk_gemm_bf16(k, n, row, lda, packed, c, n, &none, 0, 1, 0, panels);
    for (size_t j = 0; j < n; j++) CHECK(isinf(c[j]), "bf16 rows %zu: %g", k, c[j]);
    slk_gemm_bf16_pack_turned(a, k, 1, tiles, 0, 1);
    slk_gemm_bf16_turned(k, n, tiles, packed, c, n, &none, 0, 1, 0, panels);
    for (size_t j = 0; j < n; j++) CHECK(isinf(c[j]), "bf16 turned %zu: %g", k, c[j]);
  }
  free(a), free(b), free(c), free(row), free(tiles), free(packed);
}

/// Rounded rows that lie apart are what each number becomes by itself, with zeros behind.
static void rounded_rows(size_t rows, size_t k, size_t gap, size_t room) {
  const size_t stride = k + gap, count = rows ? (rows - 1) * stride + k : 0;
  float *x = block(count * 4);
  uint16_t *y = block(rows * (k + room) * 2), *expected = block(k * 2);
  fill(x, count, 7);
  slk_bf16_rows(x, rows, k, stride, y, k + room);
  for (size_t i = 0; i < rows; i++) {
    const uint16_t *row = y + i * (k + room);
    slk_bf16_from_f32(x + i * stride, expected, k);
    CHECK(!memcmp(row, expected, k * 2), "row %zu of %zux%zu, %zu apart", i, rows, k, stride);
    for (size_t j = 0; j < room; j++) CHECK(row[k + j] == 0, "%zu behind row %zu of %zu", j, i, k);
  }
  free(x), free(y), free(expected);
}

/// A B whose elements lie apart both ways is packed as one that lies by rows.
static void scattered_bf16(size_t k, size_t n) {
  const size_t row = 3, column = 3 * k + 2, bytes = slk_gemm_bf16_packed_bytes(k, n);
  float *b = block(k * n * 4), *scattered = block((n * column + k * row) * 4);
  fill(b, k * n, 8);
  for (size_t i = 0; i < k * n; i++) scattered[i / n * row + i % n * column] = b[i];
  void *expected = block(bytes), *found = block(bytes);
  const size_t panels = slk_gemm_bf16_panel_count(n);
  slk_gemm_bf16_pack(b, k, n, n, 1, expected, 0, panels);
  slk_gemm_bf16_pack(scattered, k, n, row, column, found, 0, panels);
  CHECK(!memcmp(expected, found, bytes), "bf16 pack of a scattered %zux%zu", k, n);
  free(b), free(scattered), free(expected), free(found);
}

void test_gemm_bf16(void) {
  test_bf16_conversion();
  for (size_t k = 0; k <= 70; k++) rounded_rows(40, k, k % 3 * 5, k % 4), rounded_rows(1, k, 0, 1);
  if (!slk_cpu_has_bf16()) return;
  turned_bf16(1, 1, 1), turned_bf16(70, 33, 53), turned_bf16(130, 64, 96), turned_bf16(9, 7, 200);
  infinite_bf16(1, 5), infinite_bf16(33, 70), infinite_bf16(4, 50);
  scattered_bf16(1, 1), scattered_bf16(33, 53), scattered_bf16(64, 96), scattered_bf16(7, 100);
  uint32_t state = 6;
  for (size_t trial = 0; trial < 600; trial++) {
    const size_t m = 1 + random_bits(&state) % 20, k = trial % 66, n = random_bits(&state) % 100;
    const size_t lda = (k + 1) / 2 * 2 + 2 * (trial % 2), transposed = trial & 2;
    float *a = block(m * k * 4), *b = block(k * n * 4), *c = block(m * n * 4), *bias = block(n * 4);
    fill(a, m * k, (uint32_t)trial), fill(b, k * n, (uint32_t)trial + 1), fill(bias, n, 3);
    uint16_t *rows = block(m * lda * 2), *chained = block(m * n * 2);
    slk_bf16_rows(a, m, k, k, rows, lda);
    void *packed = block(slk_gemm_bf16_packed_bytes(k, n));
    const size_t panels = slk_gemm_bf16_panel_count(n), cut = panels / 2;
    slk_gemm_bf16_pack(b, k, n, transposed ? 1 : n, transposed ? k : 1, packed, 0, panels);
    slk_epilogue e = slk_epilogue_none();
    e.bias = trial & 4 ? bias : NULL;
    slk_gemm_bf16(k, n, rows, lda, packed, c, n, &e, 0, m, 0, cut);
    slk_gemm_bf16(k, n, rows, lda, packed, c, n, &e, 0, m, cut, panels);
    e.store_bf16 = true;
    slk_gemm_bf16(k, n, rows, lda, packed, chained, n, &e, 0, m, 0, panels);
    float *alone = block(n * 4);
    e.store_bf16 = false;
    for (size_t i = 0; i < m; i++) {
      slk_gemm_bf16(k, n, rows + i * lda, lda, packed, alone, n, &e, 0, 1, 0, panels);
      CHECK(!memcmp(alone, c + i * n, n * 4), "bf16 row %zu alone differs", i);
      for (size_t j = 0; j < n; j++) {
        double sum = e.bias ? bias[j] : 0;
        for (size_t l = 0; l < k; l++) {
          uint16_t right;
          slk_bf16_from_f32(transposed ? b + j * k + l : b + l * n + j, &right, 1);
          sum += (double)widened(rows[i * lda + l]) * widened(right);
        }
        float found = c[i * n + j];
        uint16_t rounded;
        slk_bf16_from_f32(&found, &rounded, 1);
        CHECK(fabs(sum - found) < 2e-6 * (1 + (double)k / 8), "bf16 %zux%zux%zu: %g, expected %g",
              m, k, n, found, sum);
        CHECK(chained[i * n + j] == rounded, "bf16 output differs from the rounded float");
      }
    }
    free(a), free(b), free(c), free(bias), free(rows), free(chained), free(packed), free(alone);
  }
}
