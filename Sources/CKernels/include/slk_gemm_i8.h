// Matrix products over 8-bit integers, quantised and exact.
//
// K is cut into `groups` equal groups of slk_gemm_i8_group_length(k, groups) elements; the last may
// be shorter and trailing ones empty. A row of A, as slk_i8_quantise_rows or slk_integer_rows
// writes it, is opaque: slk_gemm_i8_row_bytes(k) bytes that hold unsigned bytes in the layout of
// the tier. Sums of one group are exact integers; nothing saturates.
//
// More groups are more accurate and slower: with groups of 96 elements all-MiniLM-L6-v2 keeps a
// cosine of at least 0.998 to float32 on each of 16,000 log lines, for 9 % of the product's speed.
#ifndef STACKLENS_SLK_GEMM_I8_H
#define STACKLENS_SLK_GEMM_I8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slk_gemm.h"

/// Elements of K in a group: ceil(k / groups) rounded up to 4. `groups` >= 1.
size_t slk_gemm_i8_group_length(size_t k, size_t groups);
/// Bytes of one prepared row of A, a multiple of 4.
size_t slk_gemm_i8_row_bytes(size_t k);
size_t slk_gemm_i8_panel_columns(void);
size_t slk_gemm_i8_panel_count(size_t n);
/// Panels, then scales and column sums for each group. Align it to 64 bytes.
size_t slk_gemm_i8_packed_bytes(size_t k, size_t n, size_t groups);

/// Quantises the panels [panel_begin, panel_end) of float32 B, one symmetric scale for each column
/// and group: q = round(b / scale), scale = largest |b| / 127. A column that is not finite becomes
/// NaN in the product.
void slk_gemm_i8_pack(const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride,
                      size_t groups, void *packed, size_t panel_begin, size_t panel_end);

/// Quantises rows of float32 A, one scale for each row and group: q = round(a / scale) + 128, scale
/// = largest |a| / 127. `rows_out` has row_bytes(k) bytes a row; scales are [rows, groups]. A group
/// that is not finite gets the scale NaN. `a` may not overlap the outputs.
void slk_i8_quantise_rows(const float *a, size_t rows, size_t k, size_t lda, size_t groups,
                          void *rows_out, float *scales);

/// Quantises rows of float32 A with one given scale: q = round(a / scale) + zero_point, in [0, 255];
/// NaN counts as lowest. `rows_out` as above.
void slk_i8_quantise_rows_by(const float *a, size_t rows, size_t k, size_t lda, float scale,
                             int32_t zero_point, void *rows_out);

/// Packs integer B as slk_gemm_integer_pack does, with the scale of each column (or one for all:
/// stride 0), for slk_gemm_i8 with one group. The zero point of unsigned B is 128.
void slk_gemm_i8_pack_integers(const void *b, bool is_signed, size_t k, size_t n,
                               size_t row_stride, size_t column_stride, const float *scales,
                               size_t scale_stride, void *packed, size_t panel_begin, size_t panel_end);

/// C = epilogue(sum over groups of (row scale * column scale * integer sum)), in float32.
/// `rows` and `row_scales`, [rows, groups], come from slk_i8_quantise_rows with equal k and groups.
/// `row_zero` is the byte that stands for 0 in the rows, 128 there.
void slk_gemm_i8(size_t k, size_t n, size_t groups, const void *rows, const float *row_scales,
                 int32_t row_zero, const void *packed, float *c, size_t ldc,
                 const slk_epilogue *epilogue,
                 size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end);

/// Packs integer B, element (k, n) at b[k * row_stride + n * column_stride], signed or unsigned
/// bytes. Size: slk_gemm_i8_packed_bytes(k, n, 1).
void slk_gemm_integer_pack(const void *b, bool is_signed, size_t k, size_t n, size_t row_stride,
                           size_t column_stride, void *packed, size_t panel_begin,
                           size_t panel_end);
/// Prepares integer rows of A and their sums (of the stored unsigned values, a + 128 for signed a), for
/// slk_gemm_integer; without sums where `row_sums` is NULL.
void slk_integer_rows(const void *a, bool is_signed, size_t rows, size_t k, size_t lda,
                      void *rows_out, int32_t *row_sums);

/// Zero points of an exact product, in the type of their operand. NULL means 0; a stride is 0 (one
/// for all) or 1 (one for each row of A or column of B).
typedef struct {
  bool a_signed, b_signed;
  const int32_t *a_zero_points;
  size_t a_zero_point_stride;
  const int32_t *b_zero_points;
  size_t b_zero_point_stride;
} slk_integer_product;

/// C[m, n] = sum over k of (a - a zero point)(b - b zero point), modulo 2^32.
void slk_gemm_integer(size_t k, size_t n, const void *rows, const int32_t *row_sums,
                      const void *packed, const slk_integer_product *product, int32_t *c,
                      size_t ldc, size_t row_begin, size_t row_end, size_t panel_begin,
                      size_t panel_end);

#endif
