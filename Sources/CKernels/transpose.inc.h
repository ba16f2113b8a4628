// The transpose of a tier: one matrix function for each element width, with tiles as large as
// sixteen registers hold.
#define SLK_EDGE_1 16
#if SLK_WIDTH >= 8
#define SLK_EDGE_2 16
#else
#define SLK_EDGE_2 8
#endif
#define SLK_EDGE_4 SLK_WIDTH
#if SLK_WIDTH == 16
#define SLK_EDGE_8 8
#elif SLK_WIDTH == 8
#define SLK_EDGE_8 4
#else
#define SLK_EDGE_8 2
#endif

#define SLK_ELEMENT uint8_t
#define SLK_EDGE SLK_EDGE_1
#define SLK_MATRIX SLK_NAME(transpose_1)
#define SLK_TILE SLK_NAME(tile_1)
#include "transpose_tile.inc.h"

#define SLK_ELEMENT uint16_t
#define SLK_EDGE SLK_EDGE_2
#define SLK_MATRIX SLK_NAME(transpose_2)
#define SLK_TILE SLK_NAME(tile_2)
#include "transpose_tile.inc.h"

#define SLK_ELEMENT uint32_t
#define SLK_EDGE SLK_EDGE_4
#define SLK_MATRIX SLK_NAME(transpose_4)
#define SLK_TILE SLK_NAME(tile_4)
#include "transpose_tile.inc.h"

#define SLK_ELEMENT uint64_t
#define SLK_EDGE SLK_EDGE_8
#define SLK_MATRIX SLK_NAME(transpose_8)
#define SLK_TILE SLK_NAME(tile_8)
#include "transpose_tile.inc.h"

static void SLK_NAME(slk_transpose)(const void *x, size_t x_stride, void *y, size_t y_stride,
                                    size_t rows, size_t columns, size_t width) {
  switch (width) {
    case 1: SLK_NAME(transpose_1)(x, x_stride, y, y_stride, rows, columns); break;
    case 2: SLK_NAME(transpose_2)(x, x_stride, y, y_stride, rows, columns); break;
    case 4: SLK_NAME(transpose_4)(x, x_stride, y, y_stride, rows, columns); break;
    default: SLK_NAME(transpose_8)(x, x_stride, y, y_stride, rows, columns); break;
  }
}

#undef SLK_EDGE_1
#undef SLK_EDGE_2
#undef SLK_EDGE_4
#undef SLK_EDGE_8
