// Each tier's copy of the unary kernels, for the epilogue of a product of that tier.
#ifndef STACKLENS_UNARY_H
#define STACKLENS_UNARY_H

#include "simd_names.h"

SLK_HIDDEN void slk_unary_reference(int32_t op, const float *x, float *y, size_t n, float p,
    float q);
#if defined(__x86_64__)
SLK_HIDDEN void slk_unary_avx2(int32_t op, const float *x, float *y, size_t n, float p, float q);
SLK_HIDDEN void slk_unary_avx512(int32_t op, const float *x, float *y, size_t n, float p, float q);
#endif

#endif
