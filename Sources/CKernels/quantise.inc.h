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
