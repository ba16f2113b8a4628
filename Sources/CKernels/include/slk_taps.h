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

/// Packs the panels [panel_begin, panel_end) of the B [taps * units, n] of slk_gemm_taps_f32 from
/// weights [units, taps, n]; `turned` reads the taps from the last to the first.
void slk_gemm_f32_pack_taps(const float *w, size_t taps, size_t units, size_t n, bool turned,
                            void *packed, size_t panel_begin, size_t panel_end);

/// The panels [panel_begin, panel_end) of a packed B [k, n] with row r times scale[r].
void slk_gemm_f32_scale_packed(const void *packed, size_t k, size_t n, const float *scale, void *out,
                               size_t panel_begin, size_t panel_end);

/// Elements [first, first + count) of the rows of A of slk_gemm_taps_f32, for `pixels` of them: row r
/// at out[r * stride].
void slk_taps_copy_f32(size_t taps, size_t units, size_t first, size_t count,
                       const float *const *table, size_t pixels, float *out, size_t stride);

/// Back through the pooling of windows of x.
typedef struct {
  size_t taps, channels;
  const float *x, *outside;
  bool maximum;   ///< g goes to the first largest input, a NaN counting as larger; else to all.
  bool positive;  ///< Only where that input is above 0.
  bool adds;      ///< To what dx holds; otherwise each input is written.
} slk_pool_back;

/// One window, whose inputs are table[tap]: the gradient g of its channels goes to the same places of
/// dx, times `share` where it goes to all.
void slk_pool_back_taps_f32(const slk_pool_back *shape, const float *const *table, const float *g,
                            float *dx, float share);

#endif
