/// Bits of the largest |x|. As integers, NaN is above infinity and infinity above every number.
static uint32_t SLK_NAME(largest_bits)(const float *x, size_t n) {
  vi most = (vi)0;
  for (size_t i = 0; i < n; i += SLK_WIDTH) {
    vi bits = (vi)v_abs(i + SLK_WIDTH <= n ? v_load(x + i) : v_load_n(x + i, n - i));
    most = __builtin_elementwise_max(most, bits);
  }
  return (uint32_t)__builtin_reduce_max(most);
}

#if defined(SLK_IS_AVX512)
typedef uint8_t SLK_NAME(element);
#else
typedef int16_t SLK_NAME(element);
#endif
typedef SLK_NAME(element) SLK_NAME(elements) __attribute__((ext_vector_type(SLK_WIDTH)));

/// out[i] = round(x[i] * inverse) + offset.
static void SLK_NAME(quantise)(const float *x, size_t n, float inverse, int32_t offset,
                               void *elements) {
  SLK_NAME(element) *out = elements;
  for (size_t i = 0; i < n; i += SLK_WIDTH) {
    const size_t count = slk_min(SLK_WIDTH, n - i);
    const vf v = count == SLK_WIDTH ? v_load(x + i) : v_load_n(x + i, count);
    const vi q = __builtin_convertvector(v_round(v * inverse), vi) + offset;
    const SLK_NAME(elements) packed = __builtin_convertvector(q, SLK_NAME(elements));
    if (count == SLK_WIDTH) {
      __builtin_memcpy(out + i, &packed, sizeof packed);
    } else {
      memcpy(out + i, &packed, count * sizeof *out);
    }
  }
}

/// One panel of integer B whose columns lie side by side: units of `per_unit` rows, interleaved. Stored
/// values are byte ^ flip as signed integers; their column sums go to `sums`.
static void SLK_NAME(interleave)(const uint8_t *b, uint8_t flip, size_t k, size_t row_stride,
                                 size_t width, size_t stored, size_t per_unit, uint32_t *out,
                                 int32_t *sums) {
  uint8_t nothing[SLK_MOST_VECTORS * 16];
  memset(nothing, flip, sizeof nothing);
  memset(sums, 0, stored * sizeof *sums);
  for (size_t i = 0; i < k; i += per_unit, out += stored) {
    const uint8_t *r0 = b + i * row_stride;
    const uint8_t *r1 = i + 1 < k ? r0 + row_stride : nothing;
    if (per_unit == 2) {
      for (size_t j = 0; j < width; j++) {
        const int8_t v0 = (int8_t)(r0[j] ^ flip), v1 = (int8_t)(r1[j] ^ flip);
        out[j] = (uint32_t)(uint16_t)v0 | (uint32_t)(uint16_t)v1 << 16;
        sums[j] += v0 + v1;
      }
      continue;
    }
    const uint8_t *r2 = i + 2 < k ? r0 + 2 * row_stride : nothing;
    const uint8_t *r3 = i + 3 < k ? r0 + 3 * row_stride : nothing;
    for (size_t j = 0; j < width; j++) {
      const uint8_t v0 = r0[j] ^ flip, v1 = r1[j] ^ flip, v2 = r2[j] ^ flip, v3 = r3[j] ^ flip;
      out[j] = v0 | (uint32_t)v1 << 8 | (uint32_t)v2 << 16 | (uint32_t)v3 << 24;
      sums[j] += (int8_t)v0 + (int8_t)v1 + (int8_t)v2 + (int8_t)v3;
    }
  }
}

/// out[i] = x[i] ^ flip as stored bytes. Returns their sum.
static uint32_t SLK_NAME(integer_row)(const uint8_t *x, size_t n, uint8_t flip, void *elements) {
  SLK_NAME(element) *out = elements;
  uint32_t sum = 0;
  for (size_t i = 0; i < n; i++) {
    const uint8_t stored = x[i] ^ flip;
    out[i] = stored;
    sum += stored;
  }
  return sum;
}

/// out[i] = round(x[i] / scale) + zero, in [0, 255]; NaN counts as lowest.
static void SLK_NAME(quantise_by)(const float *x, size_t n, float scale, int32_t zero,
                                  void *elements) {
  const float shift = 12582912.0f, limit = 1048576.0f, offset = (float)zero;
  SLK_NAME(element) *out = elements;
  for (size_t i = 0; i < n; i++) {
    float v = x[i] / scale;
    v = v > -limit ? v : -limit;
    v = v < limit ? v : limit;
    v = ((v + shift) - shift) + offset;
    v = v > 0.0f ? v : 0.0f;
    v = v < 255.0f ? v : 255.0f;
    out[i] = (SLK_NAME(element))(int32_t)v;
  }
}
