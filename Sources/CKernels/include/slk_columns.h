// Kernels over the columns of a float32 matrix: sums run over its rows, in a fixed order.
#ifndef STACKLENS_SLK_COLUMNS_H
#define STACKLENS_SLK_COLUMNS_H

#include <stddef.h>

/// y[c] = sum over the rows of x[r * stride + c].
void slk_column_sums_f32(const float *x, size_t stride, size_t rows, size_t width, float *y);

/// y[c] = sum over the rows of (a - a_mean[c]) (b - b_mean[c]), both with rows of `width`; a_mean may be
/// NULL.
void slk_column_dots_f32(const float *a, const float *a_mean, const float *b, const float *b_mean,
                         size_t rows, size_t width, float *y);

/// y = p[c] g + q[c] x + s[c], all with rows of `width`; without the first term where g is NULL.
void slk_column_combine_f32(const float *p, const float *g, const float *q, const float *x,
                            const float *s, float *y, size_t rows, size_t width);

#endif
