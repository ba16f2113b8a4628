// The epilogue of a tile in each tier. `tile` holds rows x width sums, rows `ld` floats apart,
// where ld * rows floats may be read and changed; C's element (0, 0) of the tile is (row, column).
#ifndef STACKLENS_EPILOGUE_H
#define STACKLENS_EPILOGUE_H

#include "include/slk_elementwise.h"
#include "include/slk_gemm.h"
#include "simd_names.h"

#define SLK_EPILOGUE_PARAMETERS                                                                \
  const slk_epilogue *epilogue, float *tile, size_t ld, size_t rows, size_t width, size_t row, \
      size_t column, void *c, size_t ldc

SLK_HIDDEN void slk_finish_reference(SLK_EPILOGUE_PARAMETERS);
#if defined(__x86_64__)
SLK_HIDDEN void slk_finish_avx2(SLK_EPILOGUE_PARAMETERS);
SLK_HIDDEN void slk_finish_avx512(SLK_EPILOGUE_PARAMETERS);
#endif

/// Whether a tile of float32 sums applies it in its registers.
static inline bool slk_epilogue_is_light(const slk_epilogue *e) {
  const bool adds = !e->residual || (e->beta == 1.0f && e->residual_column_stride == 1 &&
                                     (e->residual_first || e->activation == 0));
  return e->alpha == 1.0f && adds && !e->gate && !e->accumulate && !e->store_bf16 &&
         (e->activation == 0 || e->activation == SLK_UNARY_RELU ||
          e->activation == SLK_UNARY_HARD_SWISH);
}

/// Whether the sums themselves are the result.
static inline bool slk_epilogue_is_plain(const slk_epilogue *e) {
  return e->alpha == 1.0f && !e->bias && e->activation == 0 && !e->residual && !e->gate &&
         !e->accumulate && !e->store_bf16;
}

#endif
