typedef uint16_t SLK_NAME(halves) __attribute__((ext_vector_type(SLK_WIDTH)));

SLK_INLINE SLK_NAME(halves) SLK_NAME(round_to_bf16)(vf x) {
  const vu bits = (vu)x;
  const vu even = bits + (vu)0x7fff + ((bits >> 16) & (vu)1);
  return __builtin_convertvector((x == x ? even : bits | (vu)0x400000) >> 16, SLK_NAME(halves));
}

static void SLK_NAME(bf16_from_f32)(const float *x, uint16_t *y, size_t n) {
  size_t i = 0;
  for (; i + SLK_WIDTH <= n; i += SLK_WIDTH) {
    const SLK_NAME(halves) v = SLK_NAME(round_to_bf16)(v_load(x + i));
    __builtin_memcpy(y + i, &v, sizeof v);
  }
  if (i < n) {
    const SLK_NAME(halves) v = SLK_NAME(round_to_bf16)(v_load_n(x + i, n - i));
    memcpy(y + i, &v, (n - i) * sizeof *y);
  }
}

static void SLK_NAME(f32_from_bf16)(const uint16_t *x, float *y, size_t n) {
  for (size_t i = 0; i < n; i += SLK_WIDTH) {
    SLK_NAME(halves) v = (SLK_NAME(halves))0;
    memcpy(&v, x + i, (n - i < SLK_WIDTH ? n - i : SLK_WIDTH) * sizeof *x);
    v_store_n(y + i, (vf)(__builtin_convertvector(v, vu) << 16), n - i);
  }
}
