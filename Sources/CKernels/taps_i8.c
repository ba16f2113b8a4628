#include "include/slk_taps_i8.h"

#include <string.h>

#include "i8_layout.h"
#include "include/slk_quantise.h"
#include "simd_names.h"

/// Channels that the depthwise kernel computes at a time with VNNI, and taps in a unit.
enum { BLOCK = 64, UNIT = 4 };

/// A pixel's tail of at most 32 or 16 channels shares its vectors with neighbours.
static inline size_t pixels_in_block(size_t channels_left) {
  return channels_left > 32 ? 1 : channels_left > 16 ? 2 : 4;
}

#define SLK_TEMPLATE "taps_i8.inc.h"
#define SLK_AVX512_EXTRA ",avx512vnni"
#include "tiers.h"

void slk_taps_fill_bytes(const slk_convolution *shape, const uint8_t *x, size_t pixel_stride,
                         const uint8_t *outside, size_t pixel_begin, size_t pixel_end,
                         const uint8_t **table) {
  const slk_convolution s = *shape;
  const size_t height = s.input[1], width = s.input[2];
  size_t column = pixel_begin % s.output[2], line = pixel_begin / s.output[2];
  size_t row = line % s.output[1];
  const uint8_t *image = x + line / s.output[1] * height * width * pixel_stride;
  for (size_t pixel = pixel_begin; pixel < pixel_end; pixel++) {
    const size_t top = row * s.stride[1] - (size_t)(ptrdiff_t)s.pad[1];
    const size_t side = column * s.stride[2] - (size_t)(ptrdiff_t)s.pad[2];
    for (size_t ky = 0; ky < s.kernel[1]; ky++) {
      const size_t y = top + ky * s.dilation[1];
      for (size_t kx = 0; kx < s.kernel[2]; kx++) {
        const size_t at = side + kx * s.dilation[2];
        *table++ = y < height && at < width ? image + (y * width + at) * pixel_stride : outside;
      }
    }
    if (++column < s.output[2]) continue;
    column = 0;
    if (++row < s.output[1]) continue;
    row = 0;
    image += height * width * pixel_stride;
  }
}

size_t slk_taps_i8_panel_count(size_t n) { return slk_divide_up(n, slk_i8_columns()); }
size_t slk_taps_i8_tile_rows(void) { return slk_i8_shape().rows; }

size_t slk_taps_i8_packed_bytes(size_t taps, size_t run, size_t n) {
  return taps * slk_divide_up(run, UNIT) * slk_i8_stored_columns(n) * 4;
}

void slk_taps_i8_pack(const int8_t *w, size_t taps, size_t run, size_t n, void *packed) {
  const size_t columns = slk_i8_columns(), units = slk_divide_up(run, UNIT);
  memset(packed, 0, slk_taps_i8_packed_bytes(taps, run, n));
  for (size_t column = 0; column < n; column++) {
    const size_t first = column / columns * columns;
    const size_t stored = slk_i8_stored_columns(slk_min(columns, n - first));
    int8_t *out = (int8_t *)packed + (first * taps * units + column - first) * UNIT;
    for (size_t tap = 0; tap < taps; tap++) {
      const int8_t *source = w + (column * taps + tap) * run;
      for (size_t i = 0; i < run; i++) {
        out[(tap * units + i / UNIT) * stored * UNIT + i % UNIT] = source[i];
      }
    }
  }
}

void slk_taps_i8(size_t taps, size_t run, size_t n, const uint8_t *const *table,
                 const void *packed, const slk_byte_ending *ending, uint8_t *y, size_t y_stride,
                 size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end) {
  SLK_DISPATCH_I8(taps_i8, taps, run, n, table, (const int32_t *)packed, ending, y, y_stride,
                  row_begin, row_end, panel_begin, panel_end);
}

size_t slk_depthwise_i8_stored(size_t channels) {
  return slk_cpu.vnni ? slk_round_up(channels, BLOCK) : channels;
}

size_t slk_depthwise_i8_channel(size_t channels, size_t stored) {
  if (!slk_cpu.vnni) return stored;
  // Interleaving four taps leaves each quarter of a vector with four neighbours of every sixteen.
  const size_t block = stored / BLOCK * BLOCK, place = stored % BLOCK;
  const size_t lane = place / 4 % 4 * 16 + place / 16 * 4 + place % 4;
  return block + lane % (BLOCK / pixels_in_block(channels - block));
}

size_t slk_depthwise_i8_packed_bytes(size_t taps, size_t channels) {
  return slk_cpu.vnni ? slk_round_up(taps, UNIT) * slk_depthwise_i8_stored(channels)
                      : taps * channels;
}

void slk_depthwise_i8_pack(const int8_t *w, size_t taps, size_t channels, void *packed) {
  int8_t *out = packed;
  if (!slk_cpu.vnni) {
    for (size_t tap = 0; tap < taps; tap++) {
      for (size_t c = 0; c < channels; c++) out[tap * channels + c] = w[c * taps + tap];
    }
    return;
  }
  memset(out, 0, slk_depthwise_i8_packed_bytes(taps, channels));
  const size_t rounded = slk_round_up(taps, UNIT);
  for (size_t stored = 0; stored < slk_depthwise_i8_stored(channels); stored++) {
    const size_t c = slk_depthwise_i8_channel(channels, stored);
    if (c >= channels) continue;
    const size_t block = stored / BLOCK * BLOCK, place = stored % BLOCK;
    for (size_t tap = 0; tap < taps; tap++) {
      out[block * rounded + (tap / UNIT * BLOCK + place) * UNIT + tap % UNIT] = w[c * taps + tap];
    }
  }
}

void slk_depthwise_i8(size_t taps, size_t channels, const uint8_t *const *table,
                      const void *packed, const slk_byte_ending *ending, uint8_t *y,
                      size_t rows) {
  SLK_DISPATCH_I8(depthwise_i8, taps, channels, table, packed, ending, y, rows);
  if (ending->table) slk_look_up_bytes(y, rows * channels, ending->table, y);
}

void slk_largest_taps_u8(size_t taps, size_t channels, const uint8_t *const *table, uint8_t *y,
                         size_t rows) {
  SLK_DISPATCH_I8(largest_taps, taps, channels, table, y, rows);
}

void slk_sum_rows_u8(const uint8_t *x, size_t row_stride, size_t rows, size_t channels,
                     uint32_t *sums) {
  SLK_DISPATCH_I8(sum_rows, x, row_stride, rows, channels, sums);
}
