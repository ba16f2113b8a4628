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

void slk_winograd_filter_f32(const float *w, size_t channels, size_t n, bool turned, void *packed,
                             size_t point_stride, size_t begin, size_t end) {
  SLK_DISPATCH(winograd_filter, w, channels, n, turned, (float *)packed, point_stride, begin, end);
}

void slk_winograd_back_f32(size_t n, const float *const *table, size_t tiles, void *packed,
                           size_t point_stride, size_t begin, size_t end) {
  SLK_DISPATCH(winograd_back, n, table, tiles, (float *)packed, point_stride, begin, end);
}

void slk_winograd_filter_back_f32(const float *u, size_t channels, size_t n, float *w, size_t begin,
                                  size_t end) {
  SLK_DISPATCH(winograd_filter_back, u, channels, n, w, begin, end);
}
