#include "epilogue.h"
#include "include/slk_taps.h"
#include "panels.h"

#define SLK_TEMPLATE "taps.inc.h"
#include "tiers.h"

void slk_taps_fill(const slk_convolution *shape, const float *x, size_t pixel_stride,
                   const float *outside, size_t pixel_begin, size_t pixel_end,
                   const float **table) {
  const slk_convolution *s = shape;
  const size_t height = s->input[1], width = s->input[2];
  size_t column = pixel_begin % s->output[2], line = pixel_begin / s->output[2];
  size_t row = line % s->output[1], image = line / s->output[1];
  for (size_t pixel = pixel_begin; pixel < pixel_end; pixel++) {
    const float *start = x + image * height * width * pixel_stride;
    const ptrdiff_t top = (ptrdiff_t)(row * s->stride[1]) - s->pad[1];
    const ptrdiff_t side = (ptrdiff_t)(column * s->stride[2]) - s->pad[2];
    for (size_t ky = 0; ky < s->kernel[1]; ky++) {
      const size_t y = (size_t)top + ky * s->dilation[1];
      const float *from = start + y * width * pixel_stride;
      for (size_t kx = 0; kx < s->kernel[2]; kx++) {
        const size_t at = (size_t)side + kx * s->dilation[2];
        *table++ = y < height && at < width ? from + at * pixel_stride : outside;
      }
    }
    if (++column < s->output[2]) continue;
    column = 0;
    if (++row < s->output[1]) continue;
    row = 0;
    image++;
  }
}

void slk_gemm_taps_f32(size_t taps, size_t units, size_t n, const float *const *table,
                       const void *packed, float *c, size_t ldc, const slk_epilogue *epilogue,
                       size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end) {
  SLK_DISPATCH(product_taps, taps, units, n, table, (const float *)packed, c, ldc, epilogue,
               row_begin, row_end, panel_begin, panel_end);
}

void slk_pool_taps_f32(bool maximum, size_t taps, size_t channels, const float *const *table,
                       const float *scales, float *y, size_t rows) {
  SLK_DISPATCH(pool_taps, maximum, taps, channels, table, scales, y, rows);
}

void slk_pool_back_taps_f32(const slk_pool_back *shape, const float *const *table, const float *g,
                            float *dx, float share) {
  SLK_DISPATCH(pool_back_taps, shape, table, g, dx, share);
}

void slk_taps_copy_f32(size_t taps, size_t units, size_t first, size_t count,
                       const float *const *table, size_t pixels, float *out, size_t stride) {
  SLK_DISPATCH(taps_copy, taps, units, first, count, table, pixels, out, stride);
}

void slk_gemm_f32_pack_taps(const float *w, size_t taps, size_t units, size_t n, bool turned,
                            void *packed, size_t panel_begin, size_t panel_end) {
  const slk_tile_shape tile = slk_tile_shape_of(slk_cpu.tier);
  const size_t columns = tile.vectors * tile.width;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, tile.width);
    float *out = (float *)packed + column * taps * units;
    for (size_t tap = 0; tap < taps; tap++) {
      const float *source = w + (turned ? taps - 1 - tap : tap) * n + column;
      for (size_t unit = 0; unit < units; unit++, out += stored, source += taps * n) {
        memcpy(out, source, width * sizeof *out);
        memset(out + width, 0, (stored - width) * sizeof *out);
      }
    }
  }
}
