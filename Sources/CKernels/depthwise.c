#include "include/slk_depthwise.h"

#include "panels.h"
#include "simd_names.h"

/// Output pixels of one tile.
enum { tile_pixels = 8 };

/// A tile: for each kernel line inside the image, pointers to the input pixels that it reads, from
/// left to right.
typedef struct {
  const float *const *pixels;
  size_t line_begin, line_end;  // kernel lines inside the image
  size_t reach;                 // input pixels of a line
  size_t kernel, stride, dilation;
} depthwise_tile;

#define SLK_TEMPLATE "depthwise.inc.h"
#include "tiers.h"

static size_t reach_of(const slk_convolution *s) {
  size_t steps, taps, reach;
  if (__builtin_mul_overflow(s->stride[2], (size_t)tile_pixels - 1, &steps) ||
      __builtin_mul_overflow(s->dilation[2], s->kernel[2] - 1, &taps) ||
      __builtin_add_overflow(steps, taps, &reach) || reach >= 1 << 16) {
    return 0;
  }
  return reach + 1;
}

size_t slk_depthwise_room(const slk_convolution *shape) {
  const size_t reach = reach_of(shape);
  size_t room;
  if (reach == 0 || __builtin_mul_overflow(reach, shape->kernel[1], &room)) return SIZE_MAX;
  return room;
}

/// Points to the input pixels that the tile at `column` of output line `row` reads.
static void fill(const slk_convolution *s, const float *image, size_t channels, const float *zeros,
                 size_t row, size_t column, depthwise_tile *tile, const float **pixels) {
  const size_t height = s->input[1], width = s->input[2];
  const ptrdiff_t side = (ptrdiff_t)(column * s->stride[2]) - s->pad[2];
  const ptrdiff_t top = (ptrdiff_t)(row * s->stride[1]) - s->pad[1];
  tile->line_begin = s->kernel[1];
  tile->line_end = 0;
  for (size_t ky = 0; ky < s->kernel[1]; ky++, pixels += tile->reach) {
    const size_t y = (size_t)top + ky * s->dilation[1];
    if (y >= height) continue;
    tile->line_begin = slk_min(tile->line_begin, ky);
    tile->line_end = ky + 1;
    const float *line = image + y * width * channels;
    if (side >= 0 && (size_t)side + tile->reach <= width) {
      const float *first = line + (size_t)side * channels;
      for (size_t j = 0; j < tile->reach; j++) pixels[j] = first + j * channels;
      continue;
    }
    for (size_t j = 0; j < tile->reach; j++) {
      const size_t at = (size_t)side + j;
      pixels[j] = at < width ? line + at * channels : zeros;
    }
  }
}

void slk_depthwise_lines_f32(const slk_convolution *shape, const float *x, size_t channels,
                             const float *w, const float *bias, const float *zeros,
                             const float **room, float *y, size_t line_begin, size_t line_end,
                             size_t channel_begin, size_t channel_end) {
  const slk_convolution *s = shape;
  const size_t width = s->output[2];
  depthwise_tile tile = {room, 0, 0, reach_of(s), s->kernel[2], s->stride[2], s->dilation[2]};
  for (size_t line = line_begin; line < line_end; line++) {
    const size_t image = line / s->output[1], row = line % s->output[1];
    const float *start = x + image * s->input[1] * s->input[2] * channels;
    for (size_t column = 0; column < width; column += tile_pixels) {
      fill(s, start, channels, zeros, row, column, &tile, room);
      SLK_DISPATCH(depthwise_pixels, &tile, channels, w, bias,
                   y + (line * width + column) * channels, slk_min(tile_pixels, width - column),
                   channel_begin, channel_end);
    }
  }
}
