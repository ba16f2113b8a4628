#include "epilogue.h"
#include "include/slk_taps.h"
#include "panels.h"

#define SLK_TEMPLATE "taps.inc.h"
#include "tiers.h"

/// One line of the kernel for `count` pixels of an output row, the first of which reads at `side`: `line`
/// is the line of x, or NULL where it lies in the padding.
static inline __attribute__((always_inline)) void slk_taps_line(
    const slk_convolution *s, const size_t kernel, size_t pixel_stride, const float *line,
    ptrdiff_t side, size_t count, const float *outside, const float **out) {
  const size_t width = s->input[2], taps = s->kernel[1] * s->kernel[2], dilation = s->dilation[2];
  for (size_t pixel = 0; pixel < count; pixel++, out += taps, side += (ptrdiff_t)s->stride[2]) {
    if (line && side >= 0 && (size_t)side + (kernel - 1) * dilation < width) {
      const float *from = line + (size_t)side * pixel_stride;
      for (size_t kx = 0; kx < kernel; kx++) out[kx] = from + kx * dilation * pixel_stride;
      continue;
    }
    for (size_t kx = 0; kx < kernel; kx++) {
      const size_t at = (size_t)side + kx * dilation;
      out[kx] = line && at < width ? line + at * pixel_stride : outside;
    }
  }
}

void slk_taps_fill(const slk_convolution *shape, const float *x, size_t pixel_stride,
                   const float *outside, size_t pixel_begin, size_t pixel_end,
                   const float **table) {
  const slk_convolution *s = shape;
  const size_t height = s->input[1], width = s->input[2], taps = s->kernel[1] * s->kernel[2];
  for (size_t pixel = pixel_begin; pixel < pixel_end;) {
    const size_t column = pixel % s->output[2], line = pixel / s->output[2];
    const size_t row = line % s->output[1], image = line / s->output[1];
    const size_t count = slk_min(s->output[2] - column, pixel_end - pixel);
    const float *start = x + image * height * width * pixel_stride;
    const ptrdiff_t top = (ptrdiff_t)(row * s->stride[1]) - s->pad[1];
    const ptrdiff_t side = (ptrdiff_t)(column * s->stride[2]) - s->pad[2];
    for (size_t ky = 0; ky < s->kernel[1]; ky++) {
      const size_t y = (size_t)top + ky * s->dilation[1];
      const float *from = y < height ? start + y * width * pixel_stride : NULL;
      const float **out = table + ky * s->kernel[2];
      switch (s->kernel[2]) {
        case 1: slk_taps_line(s, 1, pixel_stride, from, side, count, outside, out); break;
        case 3: slk_taps_line(s, 3, pixel_stride, from, side, count, outside, out); break;
        case 6: slk_taps_line(s, 6, pixel_stride, from, side, count, outside, out); break;
        default:
          slk_taps_line(s, s->kernel[2], pixel_stride, from, side, count, outside, out);
      }
    }
    pixel += count;
    table += count * taps;
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

void slk_gemm_f32_scale_packed(const void *packed, size_t k, size_t n, const float *scale, void *out,
                               size_t panel_begin, size_t panel_end) {
  SLK_DISPATCH(scale_packed, (const float *)packed, k, n, scale, (float *)out, panel_begin, panel_end);
}
