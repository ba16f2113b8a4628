#include "include/slk_winograd.h"

#include "epilogue.h"
#include "panels.h"

#define SLK_TEMPLATE "winograd.inc.h"
#include "tiers.h"

void slk_winograd_input_f32(size_t channels, const float *const *table, size_t tiles, float *v,
                            size_t plane) {
  SLK_DISPATCH(winograd_input, channels, table, tiles, v, plane);
}

void slk_winograd_output_f32(size_t n, const float *m, size_t plane, const slk_winograd_tiles *tiles,
                             size_t first, size_t count, const slk_epilogue *epilogue, float *y,
                             float *room) {
  SLK_DISPATCH(winograd_output, n, m, plane, tiles, first, count, epilogue, y, room);
}
