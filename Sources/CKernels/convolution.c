#include "include/slk_convolution.h"

#include "panels.h"

/// A run of output pixels of one output row.
typedef struct {
  size_t z, y, x, count, at;
} slk_segment;

enum { SLK_MOST_COLUMNS = 48, SLK_BYTE_COLUMNS = 256 };

/// Cuts pixels [begin, begin + count) at the ends of output rows.
static size_t slk_cut(const slk_convolution *s, size_t begin, size_t count, slk_segment *segments) {
  size_t number = 0;
  for (size_t at = 0; at < count;) {
    const size_t pixel = begin + at;
    const size_t x = pixel % s->output[2], row = pixel / s->output[2];
    const size_t length = slk_min(count - at, s->output[2] - x);
    segments[number++] =
        (slk_segment){row / s->output[1], row % s->output[1], x, length, at};
    at += length;
  }
  return number;
}

/// Which of the segment's pixels read inside a line of `input` elements when the first reads at
/// `start`: [*low, *high).
static inline void slk_inside(ptrdiff_t start, size_t stride, size_t input, size_t count,
                              size_t *low, size_t *high) {
  const ptrdiff_t step = (ptrdiff_t)stride, extent = (ptrdiff_t)input;
  if (start >= 0 && start + (ptrdiff_t)(count - 1) * step < extent) {
    *low = 0;
    *high = count;
    return;
  }
  const size_t first = start >= 0 ? 0 : (size_t)((-start + step - 1) / step);
  const size_t end = start >= extent ? 0 : (size_t)((extent - start + step - 1) / step);
  *low = slk_min(first, count);
  *high = end < *low ? *low : slk_min(end, count);
}

/// Elements of one line of the depthwise work space: the phases of a padded input line, each with
/// room for whole vectors at its end.
static size_t slk_phase_length(const slk_convolution *s) {
  const size_t reach = (s->kernel[2] - 1) * s->dilation[2] / s->stride[2] + 1;
  return slk_round_up(s->output[2], 64) + reach;
}

#define SLK_TEMPLATE "convolution.inc.h"
#include "tiers.h"

void slk_convolution_pack_f32(const slk_convolution *shape, const float *x, void *packed,
                              size_t pixel_begin, size_t pixel_end) {
  SLK_DISPATCH(convolution_pack, shape, x, (float *)packed, pixel_begin, pixel_end);
}

void slk_convolution_columns_u8(const slk_convolution *shape, const uint8_t *x, uint8_t zero_point,
                                uint8_t *columns, size_t row_stride, size_t pixel_begin,
                                size_t pixel_end) {
  SLK_DISPATCH(convolution_columns, shape, x, zero_point, columns, row_stride, pixel_begin,
               pixel_end);
}

void slk_convolution_fold_f32(const slk_convolution *shape, const float *columns, float bias,
                              float *y) {
  SLK_DISPATCH(convolution_fold, shape, columns, bias, y);
}

size_t slk_convolution_depthwise_room(const slk_convolution *s) {
  const size_t lines = (s->output[1] - 1) * s->stride[1] + (s->kernel[1] - 1) * s->dilation[1] + 1;
  return lines * s->stride[2] * slk_phase_length(s);
}

void slk_convolution_depthwise_f32(const slk_convolution *shape, const float *x, const float *w,
                                   float bias, float *y, float *room) {
  SLK_DISPATCH(convolution_depthwise, shape, x, w, bias, y, room);
}

void slk_convolution_combine(const uint8_t *columns, size_t row_stride, int is_signed,
                             int32_t zero_point, const int32_t *weights, size_t terms, size_t n,
                             int32_t *sums) {
  SLK_DISPATCH(convolution_combine, columns, row_stride, is_signed, zero_point, weights, terms, n,
               sums);
}
