// The instruction tier, chosen once when the library is loaded.
#ifndef STACKLENS_SLK_CPU_H
#define STACKLENS_SLK_CPU_H

#include <stdbool.h>

typedef enum {
  SLK_TIER_REFERENCE = 0,  ///< Portable vectors, no fused multiply-add.
  SLK_TIER_AVX2 = 1,       ///< AVX2 and FMA.
  SLK_TIER_AVX512 = 2,     ///< AVX-512 F, BW, VL, DQ.
} slk_tier;

/// The tier in use: the best one that processor and system support, or the lower one that the
/// environment variable STACKLENS_CPU names (`reference`, `avx2`, `avx512`; `native` is the
/// default).
slk_tier slk_cpu_tier(void);
/// `reference`, `avx2` or `avx512`.
const char *slk_cpu_tier_name(void);
/// Whether int8 products use AVX-512 VNNI. False under STACKLENS_CPU=avx512 and below.
bool slk_cpu_has_vnni(void);
/// Whether bf16 products are available. False under STACKLENS_CPU=avx512 and below.
bool slk_cpu_has_bf16(void);

#endif
