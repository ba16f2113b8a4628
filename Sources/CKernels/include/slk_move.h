// Moving elements without looking at them.
#ifndef SLK_MOVE_H
#define SLK_MOVE_H

#include <stddef.h>

/// Transposes a matrix: y[c * y_stride + r] = x[r * x_stride + c]. Strides count elements of `width`
/// bytes, which is 1, 2, 4 or 8; x and y do not overlap.
void slk_transpose(const void *x, size_t x_stride, void *y, size_t y_stride, size_t rows,
                   size_t columns, size_t width);

#endif
