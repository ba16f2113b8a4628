#include "unary.h"

#include "include/slk_elementwise.h"

#define SLK_TEMPLATE "unary.inc.h"
#include "tiers.h"

void slk_unary_f32(int32_t op, const float *x, float *y, size_t n, float p, float q) {
  SLK_DISPATCH(slk_unary, op, x, y, n, p, q);
}
