// Depthwise convolution over images whose channels lie side by side (batch, height, width, channels):
// every channel has a kernel of its own.
#ifndef STACKLENS_SLK_DEPTHWISE_H
#define STACKLENS_SLK_DEPTHWISE_H

#include <stddef.h>

#include "slk_convolution.h"

/// Pointers that slk_depthwise_lines_f32 needs room for, or SIZE_MAX where they are too many.
size_t slk_depthwise_room(const slk_convolution *shape);

/// y[pixel, c] = bias[c] + sum over the kernel of x[input pixel, c] * w[kernel position, c] for the
/// lines [line_begin, line_end), counted over the whole batch, and the channels [channel_begin,
/// channel_end); channel_begin is a multiple of 16. `bias` may be NULL; `zeros` holds `channels`
/// zeros. Depth must be 1.
void slk_depthwise_lines_f32(const slk_convolution *shape, const float *x, size_t channels,
                             const float *w, const float *bias, const float *zeros,
                             const float **room, float *y, size_t line_begin, size_t line_end,
                             size_t channel_begin, size_t channel_end);

#endif
