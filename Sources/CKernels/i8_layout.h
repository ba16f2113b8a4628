// Where the bytes of an 8-bit product lie. With VNNI a unit of K is four bytes; without it, two
// 16-bit integers, because the older byte instruction saturates.
#ifndef STACKLENS_I8_LAYOUT_H
#define STACKLENS_I8_LAYOUT_H

#include <stdint.h>
#include <string.h>

#include "panels.h"

#if defined(__x86_64__)
#define SLK_DISPATCH_I8(name, ...)                                   \
  (slk_cpu.vnni                     ? name##_avx512(__VA_ARGS__)     \
   : slk_cpu.tier >= SLK_TIER_AVX2 ? name##_avx2(__VA_ARGS__)        \
                                   : name##_reference(__VA_ARGS__))
#else
#define SLK_DISPATCH_I8(name, ...) (name##_reference(__VA_ARGS__))
#endif

static inline slk_tile_shape slk_i8_shape(void) {
  if (slk_cpu.vnni) return slk_tile_shape_of(SLK_TIER_AVX512);
  return slk_tile_shape_of(slk_cpu.tier >= SLK_TIER_AVX2 ? SLK_TIER_AVX2 : SLK_TIER_REFERENCE);
}

static inline size_t slk_i8_columns(void) {
  slk_tile_shape shape = slk_i8_shape();
  return shape.vectors * shape.width;
}

/// Bytes that hold one element of K, and elements in a unit.
static inline size_t slk_i8_element_bytes(void) { return slk_cpu.vnni ? 1 : 2; }
static inline size_t slk_i8_unit_elements(void) { return slk_cpu.vnni ? 4 : 2; }

/// Units of K of a whole row.
static inline size_t slk_i8_units(size_t k) {
  return slk_round_up(k, 4) / slk_i8_unit_elements();
}

static inline size_t slk_i8_stored_columns(size_t n) {
  return slk_round_up(n, slk_i8_shape().width);
}

/// Behind the panels: [groups, stored columns] scales, then as many column sums.
static inline float *slk_i8_scales(void *packed, size_t k, size_t n) {
  return (float *)packed + slk_i8_units(k) * slk_i8_stored_columns(n);
}

static inline int32_t *slk_i8_sums(void *packed, size_t k, size_t n, size_t groups) {
  return (int32_t *)(void *)(slk_i8_scales(packed, k, n) + groups * slk_i8_stored_columns(n));
}

/// Stores one integer as element `index` of K.
static inline void slk_i8_put(void *elements, size_t index, int32_t value) {
  if (slk_i8_element_bytes() == 1) {
    ((uint8_t *)elements)[index] = (uint8_t)value;
  } else {
    ((int16_t *)elements)[index] = (int16_t)value;
  }
}

#endif
