// Linear quantisation in one tier; see slk_quantise.h.

/// Nearest integer, halves to even, plus `zero`, in [low, high].
SLK_INLINE uint8_t SLK_NAME(quantise_value)(float value, float zero, float low, float high) {
  const float shift = 12582912.0f, limit = 1048576.0f;
  value = value > -limit ? value : -limit;
  value = value < limit ? value : limit;
  value = ((value + shift) - shift) + zero;
  value = value > low ? value : low;
  value = value < high ? value : high;
  return (uint8_t)(int32_t)value;
}

static void SLK_NAME(quantise_f32)(const float *x, size_t n, float scale, int32_t zero_point,
                                   int32_t low, int32_t high, uint8_t *y) {
  const float zero = (float)zero_point, least = (float)low, most = (float)high;
  for (size_t i = 0; i < n; i++) {
    y[i] = SLK_NAME(quantise_value)(x[i] / scale, zero, least, most);
  }
}

static void SLK_NAME(quantise_i32)(const int32_t *sums, size_t n, int32_t offset, float scale,
                                   int32_t zero_point, int32_t low, int32_t high, uint8_t *y) {
  const float zero = (float)zero_point, least = (float)low, most = (float)high;
  for (size_t i = 0; i < n; i++) {
    const int32_t sum = (int32_t)((uint32_t)sums[i] + (uint32_t)offset);
    y[i] = SLK_NAME(quantise_value)((float)sum * scale, zero, least, most);
  }
}

static void SLK_NAME(quantise_i32_by)(const int32_t *sums, size_t n, const float *scales,
                                      int32_t zero_point, int32_t low, int32_t high, uint8_t *y) {
  const float zero = (float)zero_point, least = (float)low, most = (float)high;
  for (size_t i = 0; i < n; i++) {
    y[i] = SLK_NAME(quantise_value)((float)sums[i] * scales[i], zero, least, most);
  }
}

static void SLK_NAME(dequantise_bytes)(const uint8_t *x, int is_signed, size_t n, float scale,
                                       int32_t zero_point, float *y) {
  if (is_signed) {
    for (size_t i = 0; i < n; i++) y[i] = (float)((int8_t)x[i] - zero_point) * scale;
  } else {
    for (size_t i = 0; i < n; i++) y[i] = (float)(x[i] - zero_point) * scale;
  }
}

static void SLK_NAME(range)(const float *x, size_t n, float *least, float *largest) {
  vf low = v_set(0.0f), high = v_set(0.0f);
  for (size_t i = 0; i < n; i += SLK_WIDTH) {
    const vf v = i + SLK_WIDTH <= n ? v_load(x + i) : v_load_n(x + i, n - i);
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  *least = __builtin_reduce_min(low);
  *largest = __builtin_reduce_max(high);
}

static void SLK_NAME(largest_bytes)(const uint8_t *x, size_t row_stride, int is_signed,
                                    size_t rows, size_t n, uint8_t *y) {
  memcpy(y, x, n);
  for (size_t i = 1; i < rows; i++) {
    const uint8_t *row = x + i * row_stride;
    if (is_signed) {
      for (size_t j = 0; j < n; j++) {
        y[j] = (uint8_t)((int8_t)row[j] > (int8_t)y[j] ? row[j] : y[j]);
      }
    } else {
      for (size_t j = 0; j < n; j++) y[j] = row[j] > y[j] ? row[j] : y[j];
    }
  }
}

static int64_t SLK_NAME(sum_bytes)(const uint8_t *x, int is_signed, size_t n) {
  int64_t total = 0;
  for (size_t begin = 0; begin < n; begin += 1 << 20) {
    const size_t end = begin + (1 << 20) < n ? begin + (1 << 20) : n;
    int32_t sum = 0;
    if (is_signed) {
      for (size_t i = begin; i < end; i++) sum += (int8_t)x[i];
    } else {
      for (size_t i = begin; i < end; i++) sum += x[i];
    }
    total += sum;
  }
  return total;
}

/// Both sides as floats, in chunks that stay in registers.
SLK_INLINE float SLK_NAME(byte_value)(const uint8_t *x, int is_signed, int32_t zero) {
  return (float)((is_signed ? (int8_t)*x : *x) - zero);
}

static void SLK_NAME(combine_bytes)(const slk_byte_pairs *how, const uint8_t *a, size_t a_stride,
                                    const uint8_t *b, size_t b_stride, uint8_t *y, size_t n) {
  const slk_byte_pairs h = *how;
  const float zero = (float)h.zero, low = (float)h.low, high = (float)h.high;
#define SLK_COMBINE(a_at, b_at, is_signed, value)                                            \
  for (size_t i = 0; i < n; i++) {                                                           \
    const float p = SLK_NAME(byte_value)(a + (a_at), is_signed, h.a_zero);                   \
    const float q = SLK_NAME(byte_value)(b + (b_at), is_signed, h.b_zero);                   \
    y[i] = SLK_NAME(quantise_value)(value, zero, low, high);                                 \
  }
#define SLK_COMBINE_ALL(is_signed, value)                                                    \
  if (a_stride && b_stride) SLK_COMBINE(i, i, is_signed, value)                              \
  else SLK_COMBINE(i * a_stride, i * b_stride, is_signed, value)
  if (h.is_product) {
    if (h.is_signed) { SLK_COMBINE_ALL(1, p * q * h.a_factor) }
    else { SLK_COMBINE_ALL(0, p * q * h.a_factor) }
  } else if (h.is_signed) {
    SLK_COMBINE_ALL(1, p * h.a_factor + q * h.b_factor)
  } else {
    SLK_COMBINE_ALL(0, p * h.a_factor + q * h.b_factor)
  }
#undef SLK_COMBINE
#undef SLK_COMBINE_ALL
}
