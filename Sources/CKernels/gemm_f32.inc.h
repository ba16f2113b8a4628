#define SLK_TILE f32
#define SLK_UNIT float
#define SLK_ACC vf
#define SLK_B vf
#define SLK_LANES SLK_WIDTH
#define SLK_SPREAD(p) v_set(*(p))
#define SLK_STEP(acc, a, b) v_fma(a, b, acc)
#define SLK_OUT float
#define SLK_PRODUCT_C float
#define SLK_EPILOGUE slk_epilogue
#define SLK_IS_PLAIN slk_epilogue_is_light
#define SLK_FINISH SLK_NAME(slk_finish)
#include "gemm_tile.inc.h"

/// Sums that get a light epilogue on their way from the registers to C; none where there is no
/// epilogue to a whole tile.
SLK_INLINE void SLK_NAME(finished_tile)(const int rows, const int vectors, size_t units,
                                        const float *a, size_t lda, const float *b, float *out,
                                        size_t ldo, slk_ahead ahead, const slk_epilogue *e,
                                        size_t row, size_t column) {
  vf acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};
  SLK_NAME(accumulate_f32)(rows, vectors, units, a, lda, b, acc, ahead);
  if (e && e->bias) {
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      const vf bias = v_load(e->bias + column + (size_t)j * SLK_WIDTH);
      SLK_UNROLL for (int i = 0; i < rows; i++) acc[i][j] += bias;
    }
  }
  if (e && e->residual) {
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      const float *from = e->residual + (row + (size_t)i) * e->residual_row_stride + column;
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] += v_load(from + (size_t)j * SLK_WIDTH);
    }
  }
  const vf zero = v_set(0.0f);
  if (e && e->activation == SLK_UNARY_RELU) {
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = acc[i][j] < zero ? zero : acc[i][j];
    }
  } else if (e && e->activation == SLK_UNARY_HARD_SWISH) {
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = v_hard_swish(acc[i][j]);
    }
  }
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      v_store(out + (size_t)i * ldo + (size_t)j * SLK_WIDTH, acc[i][j]);
    }
  }
}

#define SLK_RUN_TILE SLK_NAME(finished_tile)
#define SLK_TILE_EPILOGUE(epilogue, is_direct) ((is_direct) ? (epilogue) : NULL)
#include "gemm_loop.inc.h"
#include "gemm_end.inc.h"
