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

/// Which elements a dropout drops. Element i is dropped where 32 random bits, which follow from
/// start + i alone (SplitMix64), are below `limit`; the others are multiplied by `scale`.
typedef struct {
  uint64_t start;
  uint32_t limit;
  float scale;  ///< 0: nothing is dropped.
} slk_dropping;

/// The elements that begin at number `first`; x and y may be one.
void slk_drop(const float *x, float *y, size_t n, const slk_dropping *dropping, uint64_t first);

#endif
