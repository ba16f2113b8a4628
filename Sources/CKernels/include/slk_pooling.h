// Pooling over the two halves of each axis.
#ifndef STACKLENS_SLK_POOLING_H
#define STACKLENS_SLK_POOLING_H

#include <stddef.h>

/// Back through the largest of each 2 x 2 square of x [height, width]: g [height / 2, width / 2] goes to
/// the first largest element, a NaN counting as larger, 0 to the others and to a last odd row or
/// column.
void slk_max_pool_back_f32(const float *g, const float *x, float *dx, size_t height, size_t width);

#endif
