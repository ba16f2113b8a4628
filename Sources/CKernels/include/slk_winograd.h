// Winograd's minimal filtering F(4x4, 3x3) for images with their channels last (Lavin and Gray, "Fast
// algorithms for convolutional neural networks", 2015): a tile of 4 x 4 outputs is 36 products
// instead of 144. Between the two transforms lie 36 matrix products [tiles, channels] x
// [channels, outputs].
#ifndef STACKLENS_SLK_WINOGRAD_H
#define STACKLENS_SLK_WINOGRAD_H

#include <stddef.h>

#include "slk_gemm.h"

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

#endif
