// Matrix products C = epilogue(A B) with B packed ahead: float32, float64 and bfloat16.
//
// A is [M, K] by rows, C is [M, N] by rows; lda, ldc and all strides count elements. B is packed
// into column panels, in a layout that belongs to the tier in use. Each call computes the rows
// [row_begin, row_end) of the panels [panel_begin, panel_end), so that threads share one product.
// An element sums over k in ascending order in one accumulator: its bits depend on its row of A and
// its column of B alone. K = 0 gives the epilogue of zero.
#ifndef STACKLENS_SLK_GEMM_H
#define STACKLENS_SLK_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What happens to a sum before it is stored, in this order:
///   v = alpha * sum; v += bias[n]; v += beta * residual (if residual_first); v = activation(v);
///   v += beta * residual (if not residual_first); v = gate > 0 ? v : 0 (if there is one);
///   v += C (if accumulate); C = v.
typedef struct {
  float alpha;
  const float *bias;             ///< [N], or NULL.
  int32_t activation;            ///< A slk_unary.
  float activation_p, activation_q;
  const float *residual;         ///< Element (m, n) at m * row stride + n * column stride, or NULL.
  size_t residual_row_stride;
  size_t residual_column_stride; ///< 0 (one value a row) or 1.
  float beta;
  bool residual_first;
  const float *gate;             ///< Element (m, n) at m * row stride + n, or NULL.
  size_t gate_row_stride;
  bool accumulate;               ///< float32 output only.
  bool store_bf16;               ///< C holds bfloat16, rounded to nearest even.
} slk_epilogue;

/// alpha = beta = 1 and nothing else.
slk_epilogue slk_epilogue_none(void);

/// Rows that one register tile holds: partition rows at multiples of it.
size_t slk_gemm_tile_rows(void);

/// Columns of a panel; the last panel of a matrix may hold fewer.
size_t slk_gemm_f32_panel_columns(void);
/// ceil(n / panel columns).
size_t slk_gemm_f32_panel_count(size_t n);
/// Size of a packed [k, n] matrix; align it to 64 bytes. Equal shapes give equal sizes within a
/// tier.
size_t slk_gemm_f32_packed_bytes(size_t k, size_t n);
/// Packs the panels [panel_begin, panel_end) of B, whose element (k, n) lies at
/// b[k * row_stride + n * column_stride]: a transposed matrix has row_stride 1.
void slk_gemm_f32_pack(const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride,
                       void *packed, size_t panel_begin, size_t panel_end);
void slk_gemm_f32(size_t k, size_t n, const float *a, size_t lda, const void *packed, float *c,
                  size_t ldc, const slk_epilogue *epilogue, size_t row_begin, size_t row_end,
                  size_t panel_begin, size_t panel_end);

/// The same product where A lies by columns, element (m, k) at a[m * row_step + k * stride] for the
/// first row m of a tile of slk_gemm_tile_rows() rows, the others beside it: row_step is 1 for a
/// matrix [k, m] with rows `stride` apart, k with the tile's rows as stride for a packed one.
void slk_gemm_f32_turned(size_t k, size_t n, const float *a, size_t stride, size_t row_step,
                         const void *packed, float *c, size_t ldc, const slk_epilogue *epilogue,
                         size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end);
/// Packs the rows [row_begin, row_end) of A, whose element (m, k) lies at a[k * stride + m], for
/// slk_gemm_f32_turned: the same tiles, one behind the other. row_begin begins a tile, and the room
/// ends with a whole one.
void slk_gemm_f32_pack_turned(const float *a, size_t k, size_t stride, float *packed,
                              size_t row_begin, size_t row_end);

/// The same product of few terms where A is [k, m] with rows `lda` apart and B [k, n] with rows `ldb`
/// apart, both read where they lie. n is a multiple of 16.
void slk_gemm_f32_outer(size_t k, size_t n, const float *a, size_t lda, const float *b, size_t ldb,
                        float *c, size_t ldc, const slk_epilogue *epilogue, size_t row_begin,
                        size_t row_end, size_t panel_begin, size_t panel_end);

/// The same product where B is read where it lies, by rows `ldb` apart: for few rows of A. k > 0.
/// column_begin is a multiple of 16, column_end one or n.
void slk_gemm_f32_loose(size_t k, size_t n, const float *a, size_t lda, const float *b, size_t ldb,
                        float *c, size_t ldc, const slk_epilogue *epilogue, size_t row_begin,
                        size_t row_end, size_t column_begin, size_t column_end);

/// The columns [column_begin, column_end) of the product of few rows of A with a B that lies by
/// columns, element (k, n) at b[n * b_stride + k]. `packed_a` is the transpose of A, [k, m], packed
/// by slk_gemm_f32_pack; `room` holds slk_gemm_f32_swapped_room(m) floats.
void slk_gemm_f32_swapped(size_t k, size_t m, const float *b, size_t b_stride,
                          const void *packed_a, float *c, size_t ldc,
                          const slk_epilogue *epilogue, size_t column_begin, size_t column_end,
                          float *room);
size_t slk_gemm_f32_swapped_room(size_t m);

/// bfloat16 products accumulate in float32. Only where slk_cpu_has_bf16() is true.
/// A is made by slk_bf16_rows: lda is even and at least k, element k is 0 where k is odd.
size_t slk_gemm_bf16_panel_columns(void);
size_t slk_gemm_bf16_panel_count(size_t n);
size_t slk_gemm_bf16_packed_bytes(size_t k, size_t n);
/// Rounds float32 B to bfloat16 and packs it.
void slk_gemm_bf16_pack(const float *b, size_t k, size_t n, size_t row_stride,
                        size_t column_stride, void *packed, size_t panel_begin, size_t panel_end);
/// C is float, or uint16_t with store_bf16.
void slk_gemm_bf16(size_t k, size_t n, const uint16_t *a, size_t lda, const void *packed, void *c,
                   size_t ldc, const slk_epilogue *epilogue, size_t row_begin, size_t row_end,
                   size_t panel_begin, size_t panel_end);

/// Rounds and packs the rows [row_begin, row_end) of A, whose element (m, k) lies at
/// a[k * stride + m], for slk_gemm_bf16_turned: each tile of slk_gemm_tile_rows() rows as pairs of k.
/// row_begin begins a tile, and the room ends with a whole one of whole pairs.
void slk_gemm_bf16_pack_turned(const float *a, size_t k, size_t stride, void *packed,
                               size_t row_begin, size_t row_end);
/// The product of an A packed so; C is float.
void slk_gemm_bf16_turned(size_t k, size_t n, const void *packed_a, const void *packed, float *c,
                          size_t ldc, const slk_epilogue *epilogue, size_t row_begin,
                          size_t row_end, size_t panel_begin, size_t panel_end);

/// y = bfloat16(x), to nearest even, for rows of k elements; fills the rest of each row of
/// `y_stride` elements with 0. Works on every tier.
void slk_bf16_rows(const float *x, size_t rows, size_t k, size_t x_stride, uint16_t *y,
                   size_t y_stride);
/// float32 to bfloat16, to nearest even; NaN stays NaN.
void slk_bf16_from_f32(const float *x, uint16_t *y, size_t n);
void slk_f32_from_bf16(const uint16_t *x, float *y, size_t n);

/// Doubles. C = alpha * sum + bias[n] + beta * residual + (accumulate ? C : 0).
typedef struct {
  double alpha;
  const double *bias;
  const double *residual;
  size_t residual_row_stride;
  size_t residual_column_stride;
  double beta;
  bool accumulate;
} slk_epilogue_f64;

size_t slk_gemm_f64_panel_columns(void);
size_t slk_gemm_f64_panel_count(size_t n);
size_t slk_gemm_f64_packed_bytes(size_t k, size_t n);
void slk_gemm_f64_pack(const double *b, size_t k, size_t n, size_t row_stride, size_t column_stride,
                       void *packed, size_t panel_begin, size_t panel_end);
void slk_gemm_f64(size_t k, size_t n, const double *a, size_t lda, const void *packed, double *c,
                  size_t ldc, const slk_epilogue_f64 *epilogue, size_t row_begin, size_t row_end,
                  size_t panel_begin, size_t panel_end);

#endif
