#define SLK_ONE(source, stride, at, count)                                              \
  (!stride              ? v_set(*source)                                                \
   : count >= SLK_WIDTH ? v_load(source + at)                                           \
                        : v_load_n(source + at, count))
#define SLK_EACH(expression)                                              \
  for (size_t i = 0; i < n; i += SLK_WIDTH) {                             \
    const size_t count = n - i;                                           \
    const vf x = SLK_ONE(a, a_stride, i, count);                          \
    const vf z = SLK_ONE(b, b_stride, i, count);                          \
    const vf v = (expression);                                            \
    if (count >= SLK_WIDTH) {                                             \
      v_store(y + i, v);                                                  \
    } else {                                                              \
      v_store_n(y + i, v, count);                                         \
    }                                                                     \
  }                                                                       \
  break

SLK_INLINE void SLK_NAME(binary_of)(int32_t op, const float *a, const size_t a_stride,
                                    const float *b, const size_t b_stride, float *y, size_t n) {
  const vf zero = v_set(0.0f);
  switch (op) {
    case SLK_BINARY_ADD: SLK_EACH(x + z);
    case SLK_BINARY_SUB: SLK_EACH(x - z);
    case SLK_BINARY_MUL: SLK_EACH(x * z);
    case SLK_BINARY_DIV: SLK_EACH(x / z);
    case SLK_BINARY_MIN: SLK_EACH(x != x ? x : x < z ? x : z);
    case SLK_BINARY_MAX: SLK_EACH(x != x ? x : x > z ? x : z);
    case SLK_BINARY_SQUARED_DIFFERENCE: SLK_EACH((x - z) * (x - z));
    case SLK_BINARY_PRELU: SLK_EACH(x < zero ? x * z : x);
  }
}

static void SLK_NAME(binary)(int32_t op, const float *a, const size_t a_stride, const float *b,
                             const size_t b_stride, float *y, size_t n) {
  if (a_stride && b_stride) {
    SLK_NAME(binary_of)(op, a, 1, b, 1, y, n);
  } else if (a_stride) {
    SLK_NAME(binary_of)(op, a, 1, b, 0, y, n);
  } else if (b_stride) {
    SLK_NAME(binary_of)(op, a, 0, b, 1, y, n);
  } else {
    SLK_NAME(binary_of)(op, a, 0, b, 0, y, n);
  }
}

#undef SLK_ONE
#undef SLK_EACH
