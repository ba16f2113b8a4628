SLK_INLINE vd SLK_NAME(fma_f64)(vd a, vd b, vd c) {
#if defined(SLK_IS_REFERENCE)
  return a * b + c;
#else
  return __builtin_elementwise_fma(a, b, c);
#endif
}

#define SLK_TILE f64
#define SLK_UNIT double
#define SLK_ACC vd
#define SLK_B vd
#define SLK_LANES (SLK_WIDTH / 2)
#define SLK_SPREAD(p) ((vd)(*(p)))
#define SLK_STEP(acc, a, b) SLK_NAME(fma_f64)(a, b, acc)
#define SLK_OUT double
#define SLK_PRODUCT_C double
#define SLK_EPILOGUE slk_epilogue_f64
#define SLK_IS_PLAIN is_plain_f64
#define SLK_FINISH finish_f64
#include "gemm_tile.inc.h"
#include "gemm_loop.inc.h"
#include "gemm_end.inc.h"
