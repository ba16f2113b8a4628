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

static void SLK_NAME(dequantise_bytes)(const uint8_t *x, int is_signed, size_t n, float scale,
                                       int32_t zero_point, float *y) {
  if (is_signed) {
    for (size_t i = 0; i < n; i++) y[i] = (float)((int8_t)x[i] - zero_point) * scale;
  } else {
    for (size_t i = 0; i < n; i++) y[i] = (float)(x[i] - zero_point) * scale;
  }
}
