#include "include/slk_pooling.h"

#include "simd_names.h"

#define SLK_TEMPLATE "pooling.inc.h"
#include "tiers.h"

void slk_max_pool_back_f32(const float *g, const float *x, float *dx, size_t height, size_t width) {
  SLK_DISPATCH(max_pool_back, g, x, dx, height, width);
}
