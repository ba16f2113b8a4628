// Windows over images whose channels lie side by side (batch, height, width, channels): each output
// pixel reads a list of taps, each a run of floats. Tables hold the taps of a range of pixels.
#ifndef STACKLENS_SLK_TAPS_H
#define STACKLENS_SLK_TAPS_H

#include <stdbool.h>
#include <stddef.h>

#include "slk_convolution.h"
#include "slk_gemm.h"

/// table[(pixel - begin) * taps + tap] = where kernel position `tap` of that output pixel begins in x;
/// `outside` where it lies in the padding. Pixels count over the whole batch; `pixel_stride` floats lie
/// between neighbours of x. Depth must be 1.
void slk_taps_fill(const slk_convolution *shape, const float *x, size_t pixel_stride,
                   const float *outside, size_t pixel_begin, size_t pixel_end,
                   const float **table);

/// slk_gemm_f32 with A by taps: row r of A is the `units` floats at each of table[r * taps …], one
/// after the other; K = taps * units. Row 0 of the table is row_begin.
void slk_gemm_taps_f32(size_t taps, size_t units, size_t n, const float *const *table,
                       const void *packed, float *c, size_t ldc, const slk_epilogue *epilogue,
                       size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end);

/// y[r, c] = largest of table[r, tap][c] over the taps, NaN if one is; or their sum times scales[r].
void slk_pool_taps_f32(bool maximum, size_t taps, size_t channels, const float *const *table,
                       const float *scales, float *y, size_t rows);

#endif
