// A tile is eight pixels by one vector of channels. Kernels of known width read each input once for
// all the pixels that share it.

SLK_INLINE vf SLK_NAME(load_channels)(const bool whole, const float *p, size_t count) {
  return whole ? v_load(p) : v_load_n(p, count);
}

/// Kernel of `kernel` pixels a line with neighbours side by side.
SLK_INLINE void SLK_NAME(depthwise_known)(const int kernel, const int stride, const bool whole,
                                          const depthwise_tile *t, size_t channels, size_t at,
                                          size_t count, const float *w, vf sums[tile_pixels]) {
  for (size_t ky = t->line_begin; ky < t->line_end; ky++) {
    const float *const *pixels = t->pixels + ky * t->reach;
    const float *line = w + ky * (size_t)kernel * channels + at;
    vf weights[5];
    SLK_UNROLL for (int kx = 0; kx < kernel; kx++) {
      weights[kx] = SLK_NAME(load_channels)(whole, line + (size_t)kx * channels, count);
    }
    SLK_UNROLL for (int j = 0; j < stride * (tile_pixels - 1) + kernel; j++) {
      const vf v = SLK_NAME(load_channels)(whole, pixels[j] + at, count);
      SLK_UNROLL for (int i = 0; i < tile_pixels; i++) {
        const int kx = j - i * stride;
        if (kx >= 0 && kx < kernel) sums[i] = v_fma(v, weights[kx], sums[i]);
      }
    }
  }
}

SLK_INLINE void SLK_NAME(depthwise_any)(const bool whole, const depthwise_tile *t, size_t channels,
                                        size_t at, size_t count, const float *w,
                                        vf sums[tile_pixels]) {
  for (size_t ky = t->line_begin; ky < t->line_end; ky++) {
    for (size_t kx = 0; kx < t->kernel; kx++) {
      const float *const *pixels = t->pixels + ky * t->reach + kx * t->dilation;
      const float *tap = w + (ky * t->kernel + kx) * channels + at;
      const vf weight = SLK_NAME(load_channels)(whole, tap, count);
      SLK_UNROLL for (int i = 0; i < tile_pixels; i++) {
        const float *pixel = pixels[(size_t)i * t->stride] + at;
        sums[i] = v_fma(SLK_NAME(load_channels)(whole, pixel, count), weight, sums[i]);
      }
    }
  }
}

SLK_INLINE void SLK_NAME(depthwise_vector)(const bool whole, const depthwise_tile *t,
                                           size_t channels, size_t at, size_t count,
                                           const float *w, const float *bias, float *y,
                                           size_t pixels) {
  const vf start = bias ? SLK_NAME(load_channels)(whole, bias + at, count) : v_set(0.0f);
  vf sums[tile_pixels];
  SLK_UNROLL for (int i = 0; i < tile_pixels; i++) sums[i] = start;
  const size_t form = t->dilation == 1 && t->stride < 4 ? t->kernel * 4 + t->stride : 0;
  switch (form) {
    case 3 * 4 + 1:
      SLK_NAME(depthwise_known)(3, 1, whole, t, channels, at, count, w, sums);
      break;
    case 3 * 4 + 2:
      SLK_NAME(depthwise_known)(3, 2, whole, t, channels, at, count, w, sums);
      break;
    case 5 * 4 + 1:
      SLK_NAME(depthwise_known)(5, 1, whole, t, channels, at, count, w, sums);
      break;
    case 5 * 4 + 2:
      SLK_NAME(depthwise_known)(5, 2, whole, t, channels, at, count, w, sums);
      break;
    default: SLK_NAME(depthwise_any)(whole, t, channels, at, count, w, sums);
  }
  SLK_UNROLL for (int i = 0; i < tile_pixels; i++) {
    if ((size_t)i >= pixels) break;
    float *out = y + (size_t)i * channels + at;
    if (whole) {
      v_store(out, sums[i]);
    } else {
      v_store_n(out, sums[i], count);
    }
  }
}

static void SLK_NAME(depthwise_pixels)(const depthwise_tile *tile, size_t channels,
                                       const float *w, const float *bias, float *y, size_t pixels,
                                       size_t channel_begin, size_t channel_end) {
  size_t at = channel_begin;
  for (; at + SLK_WIDTH <= channel_end; at += SLK_WIDTH) {
    SLK_NAME(depthwise_vector)(true, tile, channels, at, SLK_WIDTH, w, bias, y, pixels);
  }
  if (at < channel_end) {
    SLK_NAME(depthwise_vector)(false, tile, channels, at, channel_end - at, w, bias, y, pixels);
  }
}
