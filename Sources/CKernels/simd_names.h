// Names that resolve to the tier being compiled (tiers.h).
#ifndef STACKLENS_SIMD_NAMES_H
#define STACKLENS_SIMD_NAMES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "cpu.h"

#define SLK_JOIN_(a, b) a##_##b
#define SLK_JOIN(a, b) SLK_JOIN_(a, b)
#define SLK_NAME(name) SLK_JOIN(name, SLK_TIER)
#define SLK_INLINE static inline __attribute__((always_inline, unused))
#define SLK_UNROLL _Pragma("clang loop unroll(full)")
#define SLK_HIDDEN __attribute__((visibility("hidden")))

#define vf SLK_NAME(slk_vf)
#define vi SLK_NAME(slk_vi)
#define vu SLK_NAME(slk_vu)
#define vd SLK_NAME(slk_vd)

#define v_set SLK_NAME(v_set)
#define v_load SLK_NAME(v_load)
#define v_store SLK_NAME(v_store)
#define v_load_n SLK_NAME(v_load_n)
#define v_store_n SLK_NAME(v_store_n)
#define v_loadi_n SLK_NAME(v_loadi_n)
#define v_lanes SLK_NAME(v_lanes)
#define v_keep SLK_NAME(v_keep)
#define v_fma SLK_NAME(v_fma)
#define v_sum SLK_NAME(v_sum)
#define v_sums SLK_NAME(v_sums)
#define v_largest SLK_NAME(v_largest)
#define v_abs SLK_NAME(v_abs)
#define v_copysign SLK_NAME(v_copysign)
#define v_round SLK_NAME(v_round)
#define v_pow2_scale SLK_NAME(v_pow2_scale)
#define v_exp SLK_NAME(v_exp)
#define v_expm1 SLK_NAME(v_expm1)
#define v_log SLK_NAME(v_log)
#define v_log_of SLK_NAME(v_log_of)
#define v_log1p_unit SLK_NAME(v_log1p_unit)
#define v_tanh SLK_NAME(v_tanh)
#define v_sigmoid SLK_NAME(v_sigmoid)
#define v_reciprocal SLK_NAME(v_reciprocal)
#define v_silu SLK_NAME(v_silu)
#define v_hard_swish SLK_NAME(v_hard_swish)
#define v_erf SLK_NAME(v_erf)
#define v_gelu_erf SLK_NAME(v_gelu_erf)
#define v_gelu_tanh SLK_NAME(v_gelu_tanh)
#define v_gelu_fast SLK_NAME(v_gelu_fast)
#define v_softplus SLK_NAME(v_softplus)

#endif
