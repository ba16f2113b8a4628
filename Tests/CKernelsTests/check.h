// What the C tests share: random numbers, comparisons, one failure count.
#ifndef STACKLENS_CKERNELS_CHECK_H
#define STACKLENS_CKERNELS_CHECK_H

#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

extern int failure_count;

#define CHECK(condition, ...)                                     \
  do {                                                            \
    if (!(condition)) {                                           \
      if (failure_count++ < 40) {                                 \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);           \
        fprintf(stderr, __VA_ARGS__);                             \
        fputc('\n', stderr);                                      \
      }                                                           \
    }                                                             \
  } while (0)

static inline uint32_t random_bits(uint32_t *state) {
  uint32_t x = *state;
  x ^= x << 13, x ^= x >> 17, x ^= x << 5;
  return *state = x;
}

/// Uniform in [-1, 1).
static inline float random_unit(uint32_t *state) {
  return (float)((int32_t)random_bits(state)) * (1.0f / 2147483648.0f);
}

static inline void fill(float *x, size_t n, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 1u;
  for (size_t i = 0; i < n; i++) x[i] = random_unit(&state);
}

/// Exactly `byte_count` bytes, so that a sanitizer sees a step outside; aligned to 64, filled with
/// NaN patterns.
static inline void *block(size_t byte_count) {
  void *p = NULL;
  if (posix_memalign(&p, 64, byte_count ? byte_count : 1)) abort();
  memset(p, 0xff, byte_count);
  return p;
}

void test_gemm_f32(void);
void test_gemm_f64(void);
void test_gemm_bf16(void);
void test_gemm_i8(void);
void test_gemm_nbits(void);
void test_taps_i8(void);
void test_elementwise(void);
void test_rows(void);
void test_attention(void);
void test_move(void);
void test_optimizers(void);
void test_words(void);

#endif
