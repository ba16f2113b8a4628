#include "check.h"

static float activated(int32_t op, double v) {
  switch (op) {
    case SLK_UNARY_RELU: return (float)(v > 0 ? v : 0);
    case SLK_UNARY_GELU_ERF: return (float)(0.5 * v * (1.0 + erf(v / sqrt(2.0))));
    case SLK_UNARY_SILU: return (float)(v / (1.0 + exp(-v)));
    default: return (float)v;
  }
}

/// One shape with every part of the epilogue that `variant` selects, against a loop in double.
static void one_shape(size_t m, size_t k, size_t n, unsigned variant) {
  const size_t lda = k + 3, ldc = n + 5;
  float *a = block(m * lda * 4), *b = block((k * n + 1) * 4), *c = block(m * ldc * 4);
  float *bias = block(n * 4), *residual = block(m * n * 4 + m * 4);
  fill(a, m * lda, 1), fill(b, k * n, 2), fill(bias, n, 3), fill(residual, m * n + m, 4);
  fill(c, m * ldc, 5);
  float *gate = block(m * (n + 1) * 4);
  fill(gate, m * (n + 1), 6);
  float *old = block(m * ldc * 4);
  memcpy(old, c, m * ldc * 4);
  const bool transposed = variant & 1;
  slk_epilogue e = slk_epilogue_none();
  if (variant & 2) e.bias = bias;
  if (variant & 4) e.alpha = 0.75f;
  if (variant & 8) {
    e.residual = residual, e.beta = 0.5f;
    e.residual_row_stride = variant & 16 ? n : 1;
    e.residual_column_stride = variant & 16 ? 1 : 0;
    e.residual_first = variant & 32;
  }
  const int32_t activations[] = {0, SLK_UNARY_RELU, SLK_UNARY_GELU_ERF, SLK_UNARY_SILU};
  e.activation = activations[(variant >> 6) & 3];
  e.activation_p = 1.0f;
  e.accumulate = variant & 256;
  if (variant & 512) e.gate = gate, e.gate_row_stride = n + 1;
  void *packed = block(slk_gemm_f32_packed_bytes(k, n));
  size_t panels = slk_gemm_f32_panel_count(n);
  slk_gemm_f32_pack(b, k, n, transposed ? 1 : n, transposed ? k : 1, packed, 0, panels);
  slk_gemm_f32(k, n, a, lda, packed, c, ldc, &e, 0, m, 0, panels);
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < ldc; j++) {
      float found = c[i * ldc + j];
      if (j >= n) {
        CHECK(found == old[i * ldc + j], "wrote beyond column %zu", n);
        continue;
      }
      double sum = 0;
      for (size_t l = 0; l < k; l++) {
        sum += (double)a[i * lda + l] * (transposed ? b[j * k + l] : b[l * n + j]);
      }
      double v = e.alpha * sum + (e.bias ? bias[j] : 0), r = 0;
      if (e.residual) {
        r = e.beta * (double)residual[i * e.residual_row_stride + j * e.residual_column_stride];
      }
      if (e.residual_first) v += r;
      v = activated(e.activation, v);
      if (!e.residual_first) v += r;
      if (e.gate && gate[i * (n + 1) + j] <= 0) v = 0;
      if (e.accumulate) v += old[i * ldc + j];
      double bound = 2e-7 * (4 + (double)k * 0.5);
      CHECK(fabs(found - v) <= bound, "%zux%zux%zu variant %u (%zu, %zu): %g, expected %g", m, k, n,
            variant, i, j, found, v);
    }
  }
  free(a), free(b), free(c), free(bias), free(residual), free(gate), free(old);
  free(packed);
}

/// Any cut into rows and panels, and any position of a row, gives the same bits.
static void same_bits(size_t m, size_t k, size_t n) {
  float *a = block(m * k * 4), *b = block(k * n * 4), *bias = block(n * 4);
  float *whole = block(m * n * 4), *cut = block(m * n * 4);
  fill(a, m * k, 7), fill(b, k * n, 8), fill(bias, n, 9);
  void *packed = block(slk_gemm_f32_packed_bytes(k, n));
  size_t panels = slk_gemm_f32_panel_count(n);
  for (size_t p = 0; p < panels; p++) slk_gemm_f32_pack(b, k, n, n, 1, packed, p, p + 1);
  for (int plain = 0; plain < 2; plain++) {
    slk_epilogue e = slk_epilogue_none();
    if (!plain) e.bias = bias, e.activation = SLK_UNARY_GELU_ERF;
    slk_gemm_f32(k, n, a, k, packed, whole, n, &e, 0, m, 0, panels);
    uint32_t state = 99;
    for (int round = 0; round < 4; round++) {
      memset(cut, 0xff, m * n * 4);
      for (size_t row = 0; row < m;) {
        size_t row_end = row + 1 + random_bits(&state) % 13;
        if (row_end > m) row_end = m;
        for (size_t panel = 0; panel < panels;) {
          size_t panel_end = panel + 1 + random_bits(&state) % 3;
          if (panel_end > panels) panel_end = panels;
          slk_gemm_f32(k, n, a, k, packed, cut, n, &e, row, row_end, panel, panel_end);
          panel = panel_end;
        }
        row = row_end;
      }
      CHECK(!memcmp(whole, cut, m * n * 4), "bits differ by partition at %zux%zux%zu", m, k, n);
    }
    for (size_t i = 0; i < m; i++) {
      slk_gemm_f32(k, n, a + i * k, k, packed, cut, n, &e, 0, 1, 0, panels);
      CHECK(!memcmp(whole + i * n, cut, n * 4), "row %zu alone differs at %zux%zux%zu", i, m, k, n);
    }
  }
  free(a), free(b), free(bias), free(whole), free(cut), free(packed);
}

/// The products that read a factor where it lies give the bits of the packed one.
static void in_place(size_t m, size_t k, size_t n, unsigned variant) {
  const size_t lda = k + 3, turned_lda = m + 2, ldb = n + 1, b_stride = k + 2, ldc = n + 5;
  float *a = block(m * lda * 4), *turned = block(k * turned_lda * 4);
  float *b = block(((k - 1) * ldb + n) * 4), *columns = block(n * b_stride * 4);
  float *bias = block(n * 4), *residual = block(m * n * 4);
  float *expected = block(m * ldc * 4), *found = block(m * ldc * 4);
  fill(a, m * lda, 1), fill(b, (k - 1) * ldb + n, 2), fill(bias, n, 3), fill(residual, m * n, 4);
  for (size_t i = 0; i < m; i++) {
    for (size_t l = 0; l < k; l++) turned[l * turned_lda + i] = a[i * lda + l];
  }
  for (size_t l = 0; l < k; l++) {
    for (size_t j = 0; j < n; j++) columns[j * b_stride + l] = b[l * ldb + j];
  }
  slk_epilogue e = slk_epilogue_none();
  if (variant & 1) e.bias = bias;
  if (variant & 2) e.alpha = 0.75f;
  if (variant & 4) {
    e.residual = residual, e.residual_first = true;
    e.residual_row_stride = n, e.residual_column_stride = 1;
  }
  const int32_t activations[] = {0, SLK_UNARY_RELU, SLK_UNARY_GELU_ERF, SLK_UNARY_SILU};
  e.activation = activations[(variant >> 3) & 3], e.activation_p = 1.0f;
  if (variant & 32) e.gate = residual, e.gate_row_stride = n;
  const size_t panels = slk_gemm_f32_panel_count(n), tile = slk_gemm_tile_rows();
  const size_t tiles = (m + tile - 1) / tile;
  void *packed = block(slk_gemm_f32_packed_bytes(k, n));
  slk_gemm_f32_pack(b, k, n, ldb, 1, packed, 0, panels);
  slk_gemm_f32(k, n, a, lda, packed, expected, ldc, &e, 0, m, 0, panels);

  slk_gemm_f32_turned(k, n, turned, turned_lda, 1, packed, found, ldc, &e, 0, m, 0, panels);
  CHECK(!memcmp(expected, found, m * ldc * 4), "turned %zux%zux%zu variant %u", m, k, n, variant);
  float *packed_a = block(tiles * tile * k * 4);
  slk_gemm_f32_pack_turned(turned, k, turned_lda, packed_a, 0, m / 2 / tile * tile);
  slk_gemm_f32_pack_turned(turned, k, turned_lda, packed_a, m / 2 / tile * tile, m);
  memset(found, 0xff, m * ldc * 4);
  slk_gemm_f32_turned(k, n, packed_a, tile, k, packed, found, ldc, &e, 0, m, 0, panels);
  CHECK(!memcmp(expected, found, m * ldc * 4), "tiles %zux%zux%zu variant %u", m, k, n, variant);
  if (n >= 16) {
    memset(found, 0xff, m * ldc * 4);
    const size_t cut = n / 3 / 16 * 16;
    slk_gemm_f32_loose(k, n, a, lda, b, ldb, found, ldc, &e, 0, m, 0, cut);
    slk_gemm_f32_loose(k, n, a, lda, b, ldb, found, ldc, &e, 0, m, cut, n);
    CHECK(!memcmp(expected, found, m * ldc * 4), "loose %zux%zux%zu variant %u", m, k, n, variant);
  }
  if (n % 16 == 0) {
    memset(found, 0xff, m * ldc * 4);
    slk_gemm_f32_outer(k, n, turned, turned_lda, b, ldb, found, ldc, &e, 0, m, 0, panels / 2);
    slk_gemm_f32_outer(k, n, turned, turned_lda, b, ldb, found, ldc, &e, 0, m, panels / 2, panels);
    CHECK(!memcmp(expected, found, m * ldc * 4), "outer %zux%zux%zu variant %u", m, k, n, variant);
  }
  void *rows = block(slk_gemm_f32_packed_bytes(k, m));
  float *room = block(slk_gemm_f32_swapped_room(m) * 4);
  slk_gemm_f32_pack(a, k, m, 1, lda, rows, 0, slk_gemm_f32_panel_count(m));
  memset(found, 0xff, m * ldc * 4);
  slk_gemm_f32_swapped(k, m, columns, b_stride, rows, found, ldc, &e, 0, n / 2, room);
  slk_gemm_f32_swapped(k, m, columns, b_stride, rows, found, ldc, &e, n / 2, n, room);
  CHECK(!memcmp(expected, found, m * ldc * 4), "swapped %zux%zux%zu variant %u", m, k, n, variant);
  free(a), free(turned), free(b), free(columns), free(bias), free(residual), free(expected);
  free(found), free(packed), free(packed_a), free(rows), free(room);
}

void test_gemm_f32(void) {
  for (unsigned variant = 0; variant < 64; variant++) {
    in_place(9, 21, 67, variant), in_place(1 + variant, 40, 16 + variant, variant);
    in_place(50, 1 + variant, 96, variant), in_place(24, 33, 1 + variant, variant);
    in_place(1 + variant, 32, 16 * (1 + variant % 13), variant);
  }
  unsigned variant = 0;
  for (size_t m = 0; m <= 65; m += m < 18 ? 1 : 47) {
    for (size_t n = 0; n <= 65; n++) one_shape(m, 1 + (m * 7 + n * 3) % 65, n, variant++ % 1024);
  }
  for (size_t k = 0; k <= 65; k++) one_shape(11, k, 53, variant++ % 1024);
  for (variant = 0; variant < 1024; variant++) one_shape(9, 21, 67, variant);
  one_shape(17, 384, 1536, 2 + 128);
  same_bits(37, 65, 150), same_bits(64, 384, 384), same_bits(5, 1, 3);
}
