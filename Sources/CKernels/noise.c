#include "include/slk_noise.h"

#define SLK_TEMPLATE "noise.inc.h"
#include "tiers.h"

void slk_noise_f32(uint64_t start, uint64_t place, bool is_normal, double first, double second,
                   float *y, size_t n) {
  SLK_DISPATCH(noise, start, place, is_normal, first, second, y, n);
}

void slk_seeded_dropout_f32(uint64_t start, uint64_t place, uint64_t limit, float scale,
                            const float *x, float *y, size_t n) {
  SLK_DISPATCH(seeded_dropout, start, place, limit, scale, x, y, n);
}
