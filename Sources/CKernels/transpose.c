#include <stdint.h>
#include <string.h>

#include "cpu.h"
#include "include/slk_move.h"

#define SLK_TEMPLATE "transpose.inc.h"
#include "tiers.h"

void slk_transpose(const void *x, size_t x_stride, void *y, size_t y_stride, size_t rows,
                   size_t columns, size_t width) {
  SLK_DISPATCH(slk_transpose, x, x_stride, y, y_stride, rows, columns, width);
}
