// The chosen tier, and the call that goes to a tier's copy of a function.
#ifndef STACKLENS_CPU_H
#define STACKLENS_CPU_H

#include "include/slk_cpu.h"

typedef struct {
  slk_tier tier;
  bool vnni, vbmi, bf16;
} slk_cpu_choice;

/// Written once, before main.
extern __attribute__((visibility("hidden"))) slk_cpu_choice slk_cpu;

#if defined(__x86_64__)
#define SLK_DISPATCH(name, ...)                                                            \
  (slk_cpu.tier == SLK_TIER_AVX512  ? name##_avx512(__VA_ARGS__)                           \
   : slk_cpu.tier == SLK_TIER_AVX2 ? name##_avx2(__VA_ARGS__)                              \
                                   : name##_reference(__VA_ARGS__))
#else
#define SLK_DISPATCH(name, ...) (name##_reference(__VA_ARGS__))
#endif

#endif
