// Winograd's minimal filtering F(4x4, 3x3) for images with their channels last (Lavin and Gray, "Fast
// algorithms for convolutional neural networks", 2015): a tile of 4 x 4 outputs is 36 products
// instead of 144. Between the two transforms lie 36 matrix products [tiles, channels] x
// [channels, outputs].
#ifndef STACKLENS_SLK_WINOGRAD_H
#define STACKLENS_SLK_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

#include "slk_gemm.h"

/// The 36 matrices [channels, n] of G g Gt, each packed for slk_gemm_f32, `point_stride` floats apart:
/// the rows [begin, end) of all of them, from weights [channels, 3 x 3, n], whose kernels are read
/// from their end if `turned`.
void slk_winograd_filter_f32(const float *w, size_t channels, size_t n, bool turned, void *packed,
                             size_t point_stride, size_t begin, size_t end);

/// v[p * plane + t * channels + c] = (Bt d B)[p], d the 6 x 6 inputs of tile t: table[t * 36 + i] points at
/// the channels of input i.
void slk_winograd_input_f32(size_t channels, const float *const *table, size_t tiles, float *v,
                            size_t plane);

/// Where tiles lie in the result.
typedef struct {
  size_t height, width;     ///< Of the output image, in pixels.
  size_t rows, columns;     ///< Tiles of one image.
} slk_winograd_tiles;

/// The outputs At m A of the tiles [first, first + count), m[p] at m[p * plane + t * n], through the
/// epilogue to the pixels of y that exist. `room` holds 16 * n rounded up to 16 floats.
void slk_winograd_output_f32(size_t n, const float *m, size_t plane, const slk_winograd_tiles *tiles,
                             size_t first, size_t count, const slk_epilogue *epilogue, float *y,
                             float *room);

/// Back from the outputs of `tiles` tiles: the 36 matrices [tiles, n] of A g At, each packed for
/// slk_gemm_f32, `point_stride` floats apart; the rows [begin, end) of all of them.
/// table[(t - begin) * 16 + i] points at the channels of output i of tile t.
void slk_winograd_back_f32(size_t n, const float *const *table, size_t tiles, void *packed,
                           size_t point_stride, size_t begin, size_t end);

/// Back from the transformed weights u [36, channels, n]: w [channels, 3 x 3, n] = Gt u G, for the
/// channels [begin, end).
void slk_winograd_filter_back_f32(const float *u, size_t channels, size_t n, float *w, size_t begin,
                                  size_t end);

#endif
