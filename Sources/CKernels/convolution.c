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
  const slk_convolution *s = shape;
  const size_t line = s->input[2], plane = s->input[1] * line, volume = s->input[0] * plane;
  slk_segment segments[SLK_BYTE_COLUMNS];
  for (size_t begin = pixel_begin; begin < pixel_end; begin += SLK_BYTE_COLUMNS) {
    const size_t width = slk_min(SLK_BYTE_COLUMNS, pixel_end - begin);
    const size_t number = slk_cut(s, begin, width, segments);
    uint8_t *row = columns + (begin - pixel_begin);
    for (size_t c = 0; c < s->channels; c++) {
      for (size_t kz = 0; kz < s->kernel[0]; kz++) {
        for (size_t ky = 0; ky < s->kernel[1]; ky++) {
          for (size_t kx = 0; kx < s->kernel[2]; kx++, row += row_stride) {
            for (size_t i = 0; i < number; i++) {
              const slk_segment *part = &segments[i];
              uint8_t *out = row + part->at;
              const ptrdiff_t z = (ptrdiff_t)(part->z * s->stride[0] + kz * s->dilation[0]) - s->pad[0];
              const ptrdiff_t y = (ptrdiff_t)(part->y * s->stride[1] + ky * s->dilation[1]) - s->pad[1];
              const ptrdiff_t start =
                  (ptrdiff_t)(part->x * s->stride[2] + kx * s->dilation[2]) - s->pad[2];
              size_t low = 0, high = 0;
              if ((size_t)z < s->input[0] && (size_t)y < s->input[1]) {
                slk_inside(start, s->stride[2], line, part->count, &low, &high);
              }
              if (high < part->count) memset(out + high, zero_point, part->count - high);
              if (low) memset(out, zero_point, low);
              if (low == high) continue;
              const uint8_t *from = x + c * volume + (size_t)z * plane + (size_t)y * line + start;
              if (s->stride[2] == 1) {
                memcpy(out + low, from + low, high - low);
              } else {
                for (size_t j = low; j < high; j++) out[j] = from[j * s->stride[2]];
              }
            }
          }
        }
      }
    }
  }
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
