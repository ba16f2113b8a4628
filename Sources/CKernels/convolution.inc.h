// Convolution kernels of one tier; see slk_convolution.h.

/// Every second element of the 2 * SLK_WIDTH from p.
SLK_INLINE vf SLK_NAME(load_even)(const float *p) {
  const vf a = v_load(p), b = v_load(p + SLK_WIDTH);
#if SLK_WIDTH == 16
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif SLK_WIDTH == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6);
#endif
}

/// Elements [0, count) of a packed row: the inputs at start, start + stride, …; zero outside the line.
SLK_INLINE void SLK_NAME(convolution_run)(const float *line, ptrdiff_t start, size_t stride,
                                          size_t input, size_t count, float *out) {
  size_t low, high;
  slk_inside(start, stride, input, count, &low, &high);
  for (size_t j = 0; j < low; j += SLK_WIDTH) v_store_n(out + j, (vf)0.0f, low - j);
  if (stride == 1) {
    const float *from = line + start;
    size_t j = low;
    for (; j + SLK_WIDTH <= high; j += SLK_WIDTH) v_store(out + j, v_load(from + j));
    if (j < high) v_store_n(out + j, v_load_n(from + j, high - j), high - j);
  } else {
    size_t j = low;
    if (stride == 2) {
      // One more element follows, so that the odd last one of the vectors lies in the line too.
      for (; j + SLK_WIDTH < high; j += SLK_WIDTH) {
        v_store(out + j, SLK_NAME(load_even)(line + start + (ptrdiff_t)(2 * j)));
      }
    }
    for (; j < high; j++) out[j] = line[start + (ptrdiff_t)(j * stride)];
  }
  for (size_t j = high; j < count; j += SLK_WIDTH) v_store_n(out + j, (vf)0.0f, count - j);
}

static void SLK_NAME(convolution_pack)(const slk_convolution *s, const float *x, float *packed,
                                       size_t pixel_begin, size_t pixel_end) {
  const slk_tile_shape tile = slk_tile_shape_of(slk_cpu.tier);
  const size_t columns = tile.vectors * tile.width;
  const size_t line = s->input[2], plane = s->input[1] * line, volume = s->input[0] * plane;
  slk_segment segments[SLK_MOST_COLUMNS];
  float *out = packed;
  for (size_t begin = pixel_begin; begin < pixel_end; begin += columns) {
    const size_t width = slk_min(columns, pixel_end - begin);
    const size_t stored = slk_round_up(width, tile.width);
    const size_t number = slk_cut(s, begin, width, segments);
    for (size_t c = 0; c < s->channels; c++) {
      for (size_t kz = 0; kz < s->kernel[0]; kz++) {
        for (size_t ky = 0; ky < s->kernel[1]; ky++) {
          float *row = out;
          for (size_t i = 0; i < number; i++) {
            const slk_segment *part = &segments[i];
            const ptrdiff_t z = (ptrdiff_t)(part->z * s->stride[0] + kz * s->dilation[0]) - s->pad[0];
            const ptrdiff_t y = (ptrdiff_t)(part->y * s->stride[1] + ky * s->dilation[1]) - s->pad[1];
            const int inside = (size_t)z < s->input[0] && (size_t)y < s->input[1];
            const float *from = x + c * volume + (size_t)(inside ? z : 0) * plane +
                                (size_t)(inside ? y : 0) * line;
            ptrdiff_t start = (ptrdiff_t)(part->x * s->stride[2]) - s->pad[2];
            float *to = row + part->at;
            for (size_t kx = 0; kx < s->kernel[2]; kx++) {
              if (inside) {
                SLK_NAME(convolution_run)(from, start, s->stride[2], line, part->count, to);
              } else {
                for (size_t j = 0; j < part->count; j++) to[j] = 0.0f;
              }
              start += (ptrdiff_t)s->dilation[2];
              to += stored;
            }
          }
          for (size_t kx = 0; kx < s->kernel[2]; kx++, out += stored) {
            for (size_t j = width; j < stored; j++) out[j] = 0.0f;
          }
        }
      }
    }
  }
}

/// Lines [0, lines) of the padded input of one depth, each split into stride[2] phases, so that the
/// inputs of neighbouring outputs lie side by side.
static void SLK_NAME(convolution_phases)(const slk_convolution *s, const float *x, size_t lines,
                                         float *room) {
  const size_t length = slk_phase_length(s), stride = s->stride[2];
  for (size_t i = 0; i < lines; i++) {
    const ptrdiff_t y = (ptrdiff_t)i - s->pad[1];
    float *out = room + i * stride * length;
    if ((size_t)y >= s->input[1]) {
      memset(out, 0, stride * length * sizeof *out);
      continue;
    }
    for (size_t phase = 0; phase < stride; phase++) {
      SLK_NAME(convolution_run)(x + (size_t)y * s->input[2], (ptrdiff_t)phase - s->pad[2], stride,
                                s->input[2], length, out + phase * length);
    }
  }
}

static void SLK_NAME(convolution_depthwise)(const slk_convolution *s, const float *x,
                                            const float *w, float bias, float *y,
                                            float *room) {
  const size_t length = slk_phase_length(s), stride = s->stride[2];
  const size_t lines = (s->output[1] - 1) * s->stride[1] + (s->kernel[1] - 1) * s->dilation[1] + 1;
  const size_t out_plane = s->output[1] * s->output[2];
  const size_t taps = s->kernel[1] * s->kernel[2];
  const size_t phase_step = s->dilation[2] % stride, shift_step = s->dilation[2] / stride;
  for (size_t z = 0; z < s->output[0]; z++) {
    float *target = y + z * out_plane;
    for (size_t i = 0; i < out_plane; i++) target[i] = 0.0f;
    for (size_t kz = 0; kz < s->kernel[0]; kz++) {
      const ptrdiff_t from = (ptrdiff_t)(z * s->stride[0] + kz * s->dilation[0]) - s->pad[0];
      if ((size_t)from >= s->input[0]) continue;
      SLK_NAME(convolution_phases)(s, x + (size_t)from * s->input[1] * s->input[2], lines, room);
      for (size_t row = 0; row < s->output[1]; row++) {
        const float *source = room + row * s->stride[1] * stride * length;
        float *out = target + row * s->output[2];
        for (size_t column = 0; column < s->output[2]; column += 4 * SLK_WIDTH) {
          const size_t rest = s->output[2] - column;
          vf sums[4];
          SLK_UNROLL for (int j = 0; j < 4; j++) {
            const size_t at = (size_t)j * SLK_WIDTH;
            sums[j] = kz && at < rest ? v_load_n(out + column + at, rest - at) : (vf)0.0f;
          }
          const float *weight = w + kz * taps;
          for (size_t ky = 0; ky < s->kernel[1]; ky++) {
            const float *base = source + ky * s->dilation[1] * stride * length + column;
            size_t phase = 0, shift = 0;
            for (size_t kx = 0; kx < s->kernel[2]; kx++) {
              const float *in = base + phase * length + shift;
              phase += phase_step;
              shift += shift_step;
              if (phase >= stride) {
                phase -= stride;
                shift++;
              }
              const vf factor = v_set(*weight++);
              SLK_UNROLL for (int j = 0; j < 4; j++) {
                sums[j] = v_fma(v_load(in + (size_t)j * SLK_WIDTH), factor, sums[j]);
              }
            }
          }
          SLK_UNROLL for (int j = 0; j < 4; j++) {
            const size_t at = (size_t)j * SLK_WIDTH;
            if (at < rest) v_store_n(out + column + at, sums[j], rest - at);
          }
        }
      }
    }
    for (size_t i = 0; i < out_plane; i++) target[i] += bias;
  }
}

static void SLK_NAME(convolution_fold)(const slk_convolution *s, const float *columns, float bias,
                                       float *y) {
  const size_t pixels = s->input[0] * s->input[1] * s->input[2];
  const size_t out_plane = s->output[1] * s->output[2];
  for (size_t i = 0; i < s->output[0] * out_plane; i++) y[i] = bias;
  for (size_t kz = 0; kz < s->kernel[0]; kz++) {
    for (size_t ky = 0; ky < s->kernel[1]; ky++) {
      for (size_t kx = 0; kx < s->kernel[2]; kx++, columns += pixels) {
        const ptrdiff_t start = (ptrdiff_t)(kx * s->dilation[2]) - s->pad[2];
        size_t low, high;
        slk_inside(start, s->stride[2], s->output[2], s->input[2], &low, &high);
        for (size_t z = 0; z < s->input[0]; z++) {
          const ptrdiff_t oz = (ptrdiff_t)(z * s->stride[0] + kz * s->dilation[0]) - s->pad[0];
          if ((size_t)oz >= s->output[0]) continue;
          for (size_t row = 0; row < s->input[1]; row++) {
            const ptrdiff_t oy = (ptrdiff_t)(row * s->stride[1] + ky * s->dilation[1]) - s->pad[1];
            if ((size_t)oy >= s->output[1]) continue;
            const float *from = columns + (z * s->input[1] + row) * s->input[2];
            float *to = y + (size_t)oz * out_plane + (size_t)oy * s->output[2] + start;
            if (s->stride[2] == 1) {
              for (size_t j = low; j < high; j++) to[j] += from[j];
            } else {
              for (size_t j = low; j < high; j++) to[j * s->stride[2]] += from[j];
            }
          }
        }
      }
    }
  }
}

static void SLK_NAME(convolution_combine)(const uint8_t *columns, size_t row_stride, int is_signed,
                                          int32_t zero_point, const int32_t *weights, size_t terms,
                                          size_t n, int32_t *sums) {
  memset(sums, 0, n * sizeof *sums);
  uint32_t *totals = (uint32_t *)sums;
  for (size_t i = 0; i < terms; i++) {
    const uint8_t *row = columns + i * row_stride;
    const uint32_t weight = (uint32_t)weights[i], zero = (uint32_t)zero_point;
    if (is_signed) {
      for (size_t j = 0; j < n; j++) totals[j] += ((uint32_t)(int8_t)row[j] - zero) * weight;
    } else {
      for (size_t j = 0; j < n; j++) totals[j] += ((uint32_t)row[j] - zero) * weight;
    }
  }
}

/// `count` bytes, of which those in [low, high) come from `stride` apart and the others are `fill`.
SLK_INLINE void SLK_NAME(byte_line)(uint8_t *out, const uint8_t *from, size_t stride, size_t count,
                                    size_t low, size_t high, uint8_t fill) {
#if defined(SLK_IS_AVX512)
  if (stride == 1 && count <= 64) {
    const __mmask64 all = _bzhi_u64(~0ull, (unsigned)count);
    const __mmask64 inside = _bzhi_u64(~0ull, (unsigned)high) & ~_bzhi_u64(~0ull, (unsigned)low);
    const __m512i rest = _mm512_set1_epi8((char)fill);
    _mm512_mask_storeu_epi8(out, all, _mm512_mask_loadu_epi8(rest, inside, from));
    return;
  }
#endif
  if (high < count) memset(out + high, fill, count - high);
  if (low) memset(out, fill, low);
  if (stride == 1 && low < high) memcpy(out + low, from + low, high - low);
  for (size_t j = low; stride != 1 && j < high; j++) out[j] = from[j * stride];
}

static void SLK_NAME(convolution_columns)(const slk_convolution *s, const uint8_t *x, uint8_t fill,
                                          uint8_t *columns, size_t row_stride, size_t pixel_begin,
                                          size_t pixel_end) {
  const size_t line = s->input[2], plane = s->input[1] * line, volume = s->input[0] * plane;
  const size_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
  slk_segment segments[SLK_BYTE_COLUMNS];
  for (size_t begin = pixel_begin; begin < pixel_end; begin += SLK_BYTE_COLUMNS) {
    const size_t width = slk_min(SLK_BYTE_COLUMNS, pixel_end - begin);
    const size_t number = slk_cut(s, begin, width, segments);
    for (size_t tap = 0; tap < taps; tap++) {
      const size_t kx = tap % s->kernel[2], ky = tap / s->kernel[2] % s->kernel[1];
      const size_t kz = tap / s->kernel[2] / s->kernel[1];
      for (size_t i = 0; i < number; i++) {
        const slk_segment *part = &segments[i];
        const ptrdiff_t z = (ptrdiff_t)(part->z * s->stride[0] + kz * s->dilation[0]) - s->pad[0];
        const ptrdiff_t y = (ptrdiff_t)(part->y * s->stride[1] + ky * s->dilation[1]) - s->pad[1];
        const ptrdiff_t start =
            (ptrdiff_t)(part->x * s->stride[2] + kx * s->dilation[2]) - s->pad[2];
        const bool is_inside = (size_t)z < s->input[0] && (size_t)y < s->input[1];
        size_t low = 0, high = 0;
        if (is_inside) slk_inside(start, s->stride[2], line, part->count, &low, &high);
        const uint8_t *from = x;
        if (low < high) from += z * (ptrdiff_t)plane + y * (ptrdiff_t)line + start;
        uint8_t *out = columns + (begin - pixel_begin) + tap * row_stride + part->at;
        for (size_t c = 0; c < s->channels; c++) {
          SLK_NAME(byte_line)(out, from, s->stride[2], part->count, low, high, fill);
          out += taps * row_stride;
          from += volume;
        }
      }
    }
  }
}
