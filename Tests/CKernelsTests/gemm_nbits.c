// Products with weights of 2, 4 and 8 bits against the same sums taken one by one.
#include "check.h"

static float code_value(const uint32_t *row, size_t index, int bits, const float *codebook) {
  const int code =
      (int)(row[index * (size_t)bits / 32] >> (index * (size_t)bits % 32)) & ((1 << bits) - 1);
  return codebook ? codebook[code] : (float)(code - (1 << (bits - 1)));
}

static void product(size_t m, size_t k, size_t n, size_t length, int bits, unsigned variant) {
  const size_t blocks = (k + length - 1) / length, width = blocks * length;
  const size_t row_words = width * (size_t)bits / 32, strips = slk_nbits_strip_count(n);
  const size_t padded = strips * slk_nbits_strip_columns(), cut = strips / 2;
  uint32_t state = variant + 5;
  uint32_t *source = block(n * row_words * 4);
  for (size_t i = 0; i < n * row_words; i++) source[i] = random_bits(&state);
  float *scales = block(n * blocks * 4), *zeros = block(n * blocks * 4);
  float *a = block(m * width * 4), *bias = block(n * 4), *c = block(m * n * 4);
  fill(scales, n * blocks, variant), fill(bias, n, 3), fill(a, m * width, variant + 1);
  for (size_t i = 0; i < n * blocks; i++) zeros[i] = (float)(random_bits(&state) % 4);
  for (size_t i = 0; i < m * width; i++) {
    if (i % width >= k) a[i] = 0;
  }
  float codebook[16], *spread = block(padded * blocks * 4);
  float *spread_zeros = block(padded * blocks * 4), *sums = block(m * blocks * 4);
  fill(codebook, 16, 9);
  uint32_t *words = block(slk_nbits_word_count(n, k, length, bits) * 4);
  slk_nbits_pack(source, n, row_words, words);
  slk_nbits_spread(scales, n, blocks, spread), slk_nbits_spread(zeros, n, blocks, spread_zeros);
  const bool has_zeros = variant & 1, has_codebook = bits == 4 && !has_zeros && variant & 2;
  const slk_nbits_weights w = {
      n, k, length, bits, words, spread, has_zeros ? spread_zeros : NULL,
      has_codebook ? codebook : NULL,
  };
  slk_nbits_sums(a, width, m, length, blocks, sums);
  slk_gemm_nbits_f32(&w, a, width, sums, variant & 4 ? bias : NULL, c, n, m, 0, cut);
  slk_gemm_nbits_f32(&w, a, width, sums, variant & 4 ? bias : NULL, c, n, m, cut, strips);
  float *rounded = block(m * n * 4), *row_scales = block(m * blocks * 4);
  int8_t *bytes = block(m * width);
  const bool is_rounded = bits == 4 && !has_codebook;
  if (is_rounded) {
    slk_nbits_quantise_rows(a, width, m, length, blocks, bits, bytes, row_scales, sums);
    slk_gemm_nbits_i8(&w, bytes, row_scales, sums, variant & 4 ? bias : NULL, rounded, n, m, 0,
                      strips);
  }
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < n; j++) {
      double sum = 0, steps = 0;
      for (size_t l = 0; l < k; l++) {
        const size_t at = j * blocks + l / length;
        const double value = code_value(source + j * row_words, l, bits,
                                        has_codebook ? codebook : NULL) -
                             (has_zeros ? zeros[at] : 0.0f);
        sum += a[i * width + l] * value * scales[at];
        if (!is_rounded) continue;
        const float step = row_scales[i * blocks + l / length];
        const float q = step > 0 ? rintf(a[i * width + l] / step) : 0;
        steps += q * step * value * scales[at];
      }
      const double offset = variant & 4 ? bias[j] : 0;
      CHECK(fabs(sum + offset - c[i * n + j]) <= 3e-6 * (double)width * (1 << bits),
            "%d bits %zux%zux%zu: %g, expected %g", bits, m, k, n, c[i * n + j], sum + offset);
      CHECK(!is_rounded || fabs(steps + offset - rounded[i * n + j]) <= 1e-4 * (double)width,
            "rounded %zux%zux%zu: %g, expected %g", m, k, n, rounded[i * n + j], steps + offset);
    }
  }
  free(source), free(scales), free(zeros), free(a), free(bias), free(c), free(spread);
  free(spread_zeros), free(sums), free(words), free(rounded), free(row_scales), free(bytes);
}

void test_gemm_nbits(void) {
  uint32_t state = 4;
  for (unsigned variant = 0; variant < 96; variant++) {
    const int bits = variant % 3 == 0 ? 2 : variant % 3 == 1 ? 4 : 8;
    product(1 + random_bits(&state) % 40, 1 + random_bits(&state) % 90,
            1 + random_bits(&state) % 40, variant & 8 ? 16 : 32, bits, variant / 3);
  }
}
