// Compiles the file named by SLK_TEMPLATE once for each tier. A template uses the vector type `vf`
// and the functions of simd.inc.h and vector_math.inc.h, and names its own functions
// SLK_NAME(name), which becomes name_reference, name_avx2 and name_avx512.
// SLK_AVX512_EXTRA may add features, as in ",avx512vnni"; the caller then checks for them.
#include "simd_names.h"

#ifndef SLK_AVX512_EXTRA
#define SLK_AVX512_EXTRA ""
#endif

#define SLK_TIER reference
#define SLK_IS_REFERENCE 1
#define SLK_WIDTH 4
#include "simd.inc.h"
#include "vector_math.inc.h"
#include SLK_TEMPLATE
#undef SLK_TIER
#undef SLK_IS_REFERENCE
#undef SLK_WIDTH

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2"))), apply_to = function)
#define SLK_TIER avx2
#define SLK_IS_AVX2 1
#define SLK_WIDTH 8
#include "simd.inc.h"
#include "vector_math.inc.h"
#include SLK_TEMPLATE
#undef SLK_TIER
#undef SLK_IS_AVX2
#undef SLK_WIDTH
#pragma clang attribute pop

#pragma clang attribute push(                                                              \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,bmi,bmi2"           \
                          SLK_AVX512_EXTRA))),                                             \
    apply_to = function)
#define SLK_TIER avx512
#define SLK_IS_AVX512 1
#define SLK_WIDTH 16
#include "simd.inc.h"
#include "vector_math.inc.h"
#include SLK_TEMPLATE
#undef SLK_TIER
#undef SLK_IS_AVX512
#undef SLK_WIDTH
#pragma clang attribute pop
#endif

#undef SLK_TEMPLATE
#undef SLK_AVX512_EXTRA
