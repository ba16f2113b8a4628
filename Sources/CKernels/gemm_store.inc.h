// Tiles of float32 sums that end as gemm_finish.inc.h says. For products whose SLK_ACC is a vector of
// floats.

#include "gemm_finish.inc.h"

/// A tile from the packed B to `out`.
SLK_INLINE void SLK_NAME(finished_tile)(const int rows, const int vectors, size_t units,
                                        const SLK_UNIT *a, size_t lda, const SLK_UNIT *b, float *out,
                                        size_t ldo, slk_ahead ahead, const slk_epilogue *e,
                                        size_t row, size_t column) {
  SLK_ACC acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};
  SLK_NAME(SLK_JOIN(accumulate, SLK_TILE))(rows, vectors, units, a, lda, b, acc, ahead);
  SLK_NAME(store_finished)(rows, vectors, acc, out, ldo, e, row, column);
}

#define SLK_RUN_TILE SLK_NAME(finished_tile)
#define SLK_TILE_EPILOGUE(epilogue, is_direct) ((is_direct) ? (epilogue) : NULL)
