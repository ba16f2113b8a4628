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
#include "gemm_store.inc.h"
#include "gemm_loop.inc.h"
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS
#undef SLK_TILE
#define SLK_TILE turned
#include "gemm_turned.inc.h"
#undef SLK_TILE
#include "gemm_loose.inc.h"
#include "gemm_end.inc.h"
