// Products with a matrix whose weights stay in 2, 4 or 8 bits: C = A W^T + bias.
//
// W is [n, k], cut along k into blocks of `block` elements, a power of two of at least 16, the last
// one filled up; a block has a scale and a zero point. Packed, the words of 32 bits that hold 16, 8
// or 4 neighbours along k lie in strips, a column of the product in each lane.
#ifndef STACKLENS_SLK_GEMM_NBITS_H
#define STACKLENS_SLK_GEMM_NBITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Columns of a strip; strips are what threads share.
size_t slk_nbits_strip_columns(void);
size_t slk_nbits_strip_count(size_t n);

typedef struct {
  size_t n, k, block;
  int bits;                  ///< 2, 4 or 8.
  const uint32_t *words;     ///< From slk_nbits_pack.
  const float *scales;       ///< [blocks, strips * strip columns].
  const float *zero_points;  ///< The same extents, less 2^(bits - 1); NULL for all 0.
  const float *codebook;     ///< Values of the 16 codes of 4 bits instead of code - 8, or NULL.
} slk_nbits_weights;

/// Words of a packed matrix, all strips filled up.
size_t slk_nbits_word_count(size_t n, size_t k, size_t block, int bits);
/// Lays the rows of W, `row_words` words each, out in strips.
void slk_nbits_pack(const void *source, size_t n, size_t row_words, uint32_t *words);
/// [n, blocks] to [blocks, strips * strip columns], 0 in what is filled up.
void slk_nbits_spread(const float *source, size_t n, size_t blocks, float *target);

/// In float32. `a` has rows of `lda` >= blocks * block floats, 0 from k on. `sums` are those of the
/// blocks of each row, [rows, blocks] (slk_nbits_sums); only read where there are zero points.
void slk_gemm_nbits_f32(const slk_nbits_weights *weights, const float *a, size_t lda,
                        const float *sums, const float *bias, float *c, size_t ldc, size_t rows,
                        size_t strip_begin, size_t strip_end);
void slk_nbits_sums(const float *a, size_t lda, size_t rows, size_t block, size_t blocks,
                    float *sums);

/// Rows of A in 8 bits, a scale for each block, in the order of slk_gemm_nbits_i8; `sums` of their
/// integers. `rows_out` has blocks * block bytes a row.
void slk_nbits_quantise_rows(const float *a, size_t lda, size_t rows, size_t block, size_t blocks,
                             int bits, int8_t *rows_out, float *scales, float *sums);
/// With 8-bit rows and exact integer sums in each block. Codebooks are not possible; 4 bits only.
void slk_gemm_nbits_i8(const slk_nbits_weights *weights, const int8_t *a, const float *row_scales,
                       const float *sums, const float *bias, float *c, size_t ldc, size_t rows,
                       size_t strip_begin, size_t strip_end);

#endif
