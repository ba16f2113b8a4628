#include "include/slk_columns.h"

#include "simd_names.h"

#define SLK_TEMPLATE "columns.inc.h"
#include "tiers.h"

void slk_column_sums_f32(const float *x, size_t stride, size_t rows, size_t width, float *y) {
  SLK_DISPATCH(column_sums, x, stride, rows, width, y);
}

void slk_column_dots_f32(const float *a, const float *a_mean, const float *b, const float *b_mean,
                         size_t rows, size_t width, float *y) {
  SLK_DISPATCH(column_dots, a, a_mean, b, b_mean, rows, width, y);
}

void slk_column_combine_f32(const float *p, const float *g, const float *q, const float *x,
                            const float *s, float *y, size_t rows, size_t width) {
  SLK_DISPATCH(column_combine, p, g, q, x, s, y, rows, width);
}
