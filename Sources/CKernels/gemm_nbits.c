#include "include/slk_gemm_nbits.h"

#include "panels.h"
#include "simd_names.h"

enum { NBITS_ROWS = 8 };

typedef struct {
  const slk_nbits_weights *weights;
  const float *codes;  ///< Values of 16 codes, for 2 and 4 bits.
  size_t blocks, columns, block_words, strip_words;
  const float *bias;
  float *c;
  size_t ldc;
} nbits_job;

#define SLK_TEMPLATE "gemm_nbits.inc.h"
#define SLK_AVX512_EXTRA ",avx512vnni"
#include "tiers.h"

#if defined(__x86_64__)
#define SLK_DISPATCH_NBITS(name, ...)                                   \
  (slk_cpu.vnni                     ? name##_avx512(__VA_ARGS__)        \
   : slk_cpu.tier >= SLK_TIER_AVX2 ? name##_avx2(__VA_ARGS__)           \
                                   : name##_reference(__VA_ARGS__))
#else
#define SLK_DISPATCH_NBITS(name, ...) (name##_reference(__VA_ARGS__))
#endif

size_t slk_nbits_strip_columns(void) {
  if (slk_cpu.vnni) return 16;
  return slk_cpu.tier >= SLK_TIER_AVX2 ? 8 : 4;
}

size_t slk_nbits_strip_count(size_t n) { return slk_divide_up(n, slk_nbits_strip_columns()); }

size_t slk_nbits_word_count(size_t n, size_t k, size_t block, int bits) {
  const size_t words = slk_divide_up(k, block) * (block * (size_t)bits / 32);
  return words * slk_nbits_strip_count(n) * slk_nbits_strip_columns();
}

void slk_nbits_pack(const void *source, size_t n, size_t row_words, uint32_t *words) {
  const size_t columns = slk_nbits_strip_columns();
  for (size_t strip = 0; strip < slk_nbits_strip_count(n); strip++) {
    uint32_t *out = words + strip * columns * row_words;
    for (size_t j = 0; j < columns; j++) {
      const size_t column = strip * columns + j;
      for (size_t w = 0; w < row_words; w++) {
        uint32_t word = 0;
        if (column < n) memcpy(&word, (const char *)source + (column * row_words + w) * 4, 4);
        out[w * columns + j] = word;
      }
    }
  }
}

void slk_nbits_spread(const float *source, size_t n, size_t blocks, float *target) {
  const size_t columns = slk_nbits_strip_count(n) * slk_nbits_strip_columns();
  for (size_t b = 0; b < blocks; b++) {
    for (size_t j = 0; j < columns; j++) {
      target[b * columns + j] = j < n ? source[j * blocks + b] : 0.0f;
    }
  }
}

void slk_nbits_sums(const float *a, size_t lda, size_t rows, size_t block, size_t blocks,
                    float *sums) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t b = 0; b < blocks; b++) {
      SLK_DISPATCH_NBITS(nbits_sum, a + row * lda + b * block, block, sums + row * blocks + b);
    }
  }
}

void slk_nbits_quantise_rows(const float *a, size_t lda, size_t rows, size_t block, size_t blocks,
                             int bits, int8_t *rows_out, float *scales, float *sums) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t b = 0; b < blocks; b++) {
      const size_t at = row * blocks + b;
      SLK_DISPATCH_NBITS(nbits_quantise, a + row * lda + b * block, block, bits,
                         rows_out + at * block, scales + at, sums + at);
    }
  }
}

static nbits_job job_of(const slk_nbits_weights *w, const float *bias, float *c, size_t ldc,
                        float *codes) {
  for (int code = 0; code < 16; code++) {
    codes[code] = (float)(w->bits == 2 ? (code & 3) - 2 : code - 8);
    if (w->codebook) codes[code] = w->codebook[code];
  }
  const size_t columns = slk_nbits_strip_columns(), blocks = slk_divide_up(w->k, w->block);
  const size_t block_words = w->block * (size_t)w->bits / 32;
  return (nbits_job){
      .weights = w,
      .codes = codes,
      .blocks = blocks,
      .columns = slk_nbits_strip_count(w->n) * columns,
      .block_words = block_words,
      .strip_words = blocks * block_words * columns,
      .bias = bias,
      .c = c,
      .ldc = ldc,
  };
}

/// Rows that stay in the cache while all strips pass.
enum { NBITS_ROW_BLOCK = 32 };

void slk_gemm_nbits_f32(const slk_nbits_weights *weights, const float *a, size_t lda,
                        const float *sums, const float *bias, float *c, size_t ldc, size_t rows,
                        size_t strip_begin, size_t strip_end) {
  float codes[16];
  const nbits_job job = job_of(weights, bias, c, ldc, codes);
  for (size_t row = 0; row < rows; row += NBITS_ROW_BLOCK) {
    const size_t end = slk_min(rows, row + NBITS_ROW_BLOCK);
    for (size_t strip = strip_begin; strip < strip_end; strip++) {
      SLK_DISPATCH_NBITS(nbits_strip_f32, &job, a, lda, sums, row, end, strip);
    }
  }
}

void slk_gemm_nbits_i8(const slk_nbits_weights *weights, const int8_t *a, const float *row_scales,
                       const float *sums, const float *bias, float *c, size_t ldc, size_t rows,
                       size_t strip_begin, size_t strip_end) {
  float codes[16];
  const nbits_job job = job_of(weights, bias, c, ldc, codes);
  for (size_t row = 0; row < rows; row += NBITS_ROW_BLOCK) {
    const size_t end = slk_min(rows, row + NBITS_ROW_BLOCK);
    for (size_t strip = strip_begin; strip < strip_end; strip++) {
      SLK_DISPATCH_NBITS(nbits_strip_i8, &job, a, row_scales, sums, row, end, strip);
    }
  }
}
