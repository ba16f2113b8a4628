#include "include/slk_noise.h"

#define SLK_TEMPLATE "noise.inc.h"
#include "tiers.h"

void slk_noise_f32(uint64_t start, uint64_t place, bool is_normal, double first, double second,
                   float *y, size_t n) {
  SLK_DISPATCH(noise, start, place, is_normal, first, second, y, n);
}

void slk_drop(const float *x, float *y, size_t n, const slk_dropping *dropping, uint64_t first) {
  SLK_DISPATCH(drop, dropping->start, first, dropping->limit, dropping->scale, x, y, n);
}
