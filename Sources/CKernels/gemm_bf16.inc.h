#if defined(SLK_IS_AVX512)
#define SLK_TILE bf16
#define SLK_UNIT uint32_t
#define SLK_ACC vf
#define SLK_B vi
#define SLK_LANES SLK_WIDTH
#define SLK_SPREAD(p) ((vi)(int32_t)(*(p)))
#define SLK_STEP(acc, a, b) \
  ((vf)_mm512_dpbf16_ps((__m512)(acc), (__m512bh)(a), (__m512bh)(b)))
#define SLK_OUT float
#define SLK_PRODUCT_C void
#define SLK_EPILOGUE slk_epilogue
#define SLK_IS_PLAIN slk_epilogue_is_light
#define SLK_FINISH SLK_NAME(slk_finish)
#include "gemm_tile.inc.h"
#include "gemm_store.inc.h"
#include "gemm_loop.inc.h"
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS
#undef SLK_TILE
#define SLK_TILE turned
#include "gemm_turned.inc.h"
#include "gemm_end.inc.h"
#endif
