// Random numbers that follow from a start and a place alone, so that it never matters who computes
// them.
#ifndef STACKLENS_SLK_NOISE_H
#define STACKLENS_SLK_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Numbers for the places from `place` on: normal with mean `first` and deviation `second` (Box and
/// Muller, 1958), within 1e-6 of the deviation times the length of the exact one, or else uniform in
/// [first, second).
void slk_noise_f32(uint64_t start, uint64_t place, bool is_normal, double first, double second,
                   float *y, size_t n);

/// y = x scale, or 0 where the 32 upper bits of a place are below `limit`.
void slk_seeded_dropout_f32(uint64_t start, uint64_t place, uint64_t limit, float scale,
                            const float *x, float *y, size_t n);

#endif
