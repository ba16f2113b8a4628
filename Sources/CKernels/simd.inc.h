// Vector types of SLK_WIDTH floats and the few operations that differ between tiers.
// Arithmetic, comparison (a vector of 0 / -1) and `mask ? a : b` come with Clang's vectors.

typedef float vf __attribute__((ext_vector_type(SLK_WIDTH)));
typedef int32_t vi __attribute__((ext_vector_type(SLK_WIDTH)));
typedef uint32_t vu __attribute__((ext_vector_type(SLK_WIDTH)));
typedef double vd __attribute__((ext_vector_type(SLK_WIDTH / 2)));

SLK_INLINE vf v_set(float x) { return (vf)x; }

SLK_INLINE vf v_load(const float *p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

SLK_INLINE void v_store(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

/// The first min(n, SLK_WIDTH) elements, zero in the other lanes.
SLK_INLINE vf v_load_n(const float *p, size_t n) {
#if defined(SLK_IS_AVX512)
  unsigned count = n < 16 ? (unsigned)n : 16;
  return (vf)_mm512_maskz_loadu_ps((__mmask16)_bzhi_u32(0xffff, count), p);
#elif defined(SLK_IS_AVX2)
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
  vi mask = lane < (vi)(int32_t)(n < 8 ? n : 8);
  return (vf)_mm256_maskload_ps(p, (__m256i)mask);
#else
  vf v = (vf)0.0f;
  for (size_t i = 0; i < SLK_WIDTH && i < n; i++) v[i] = p[i];
  return v;
#endif
}

SLK_INLINE vi v_loadi_n(const int32_t *p, size_t n) {
  return (vi)v_load_n((const float *)p, n);
}

SLK_INLINE void v_store_n(float *p, vf v, size_t n) {
#if defined(SLK_IS_AVX512)
  unsigned count = n < 16 ? (unsigned)n : 16;
  _mm512_mask_storeu_ps(p, (__mmask16)_bzhi_u32(0xffff, count), (__m512)v);
#elif defined(SLK_IS_AVX2)
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
  vi mask = lane < (vi)(int32_t)(n < 8 ? n : 8);
  _mm256_maskstore_ps(p, (__m256i)mask, (__m256)v);
#else
  for (size_t i = 0; i < SLK_WIDTH && i < n; i++) p[i] = v[i];
#endif
}

SLK_INLINE vf v_fma(vf a, vf b, vf c) {
#if defined(SLK_IS_REFERENCE)
  return a * b + c;
#else
  return __builtin_elementwise_fma(a, b, c);
#endif
}

/// Sum of the lanes as a balanced tree.
SLK_INLINE float v_sum(vf v) {
  float lane[SLK_WIDTH];
  v_store(lane, v);
  SLK_UNROLL for (int half = SLK_WIDTH / 2; half >= 1; half /= 2) {
    SLK_UNROLL for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  }
  return lane[0];
}

// Lane i of a fold is the sum of a's lanes i and i + d, or of b's i - d and i where i has bit d.
#define SLK_FOLD_LOW(i, d) ((i) & (d) ? SLK_WIDTH + (i) - (d) : (i))
#define SLK_FOLD_HIGH(i, d) ((i) & (d) ? SLK_WIDTH + (i) : (i) + (d))
#define SLK_FOUR_LANES(f, i, d) f(i, d), f((i) + 1, d), f((i) + 2, d), f((i) + 3, d)
#if SLK_WIDTH == 16
#define SLK_ALL_LANES(f, d) SLK_FOUR_LANES(f, 0, d), SLK_FOUR_LANES(f, 4, d), \
                            SLK_FOUR_LANES(f, 8, d), SLK_FOUR_LANES(f, 12, d)
#elif SLK_WIDTH == 8
#define SLK_ALL_LANES(f, d) SLK_FOUR_LANES(f, 0, d), SLK_FOUR_LANES(f, 4, d)
#else
#define SLK_ALL_LANES(f, d) SLK_FOUR_LANES(f, 0, d)
#endif
#define SLK_FOLD(v, d)                                                                        \
  SLK_UNROLL for (int i = 0; i < (d); i++) {                                                  \
    v[i] = __builtin_shufflevector(v[i], v[i + (d)], SLK_ALL_LANES(SLK_FOLD_LOW, d)) +        \
           __builtin_shufflevector(v[i], v[i + (d)], SLK_ALL_LANES(SLK_FOLD_HIGH, d));        \
  }

/// The sums of the lanes of SLK_WIDTH vectors, which are overwritten: lane i is that of v[i].
SLK_INLINE vf v_sums(vf v[SLK_WIDTH]) {
#if SLK_WIDTH >= 16
  SLK_FOLD(v, 8)
#endif
#if SLK_WIDTH >= 8
  SLK_FOLD(v, 4)
#endif
  SLK_FOLD(v, 2)
  SLK_FOLD(v, 1)
  return v[0];
}

#undef SLK_FOLD
#undef SLK_ALL_LANES
#undef SLK_FOUR_LANES
#undef SLK_FOLD_HIGH
#undef SLK_FOLD_LOW

SLK_INLINE float v_largest(vf v) { return __builtin_reduce_max(v); }

SLK_INLINE vf v_abs(vf x) { return (vf)((vi)x & (vi)0x7fffffff); }

SLK_INLINE vf v_copysign(vf magnitude, vf sign) {
  return (vf)(((vi)magnitude & (vi)0x7fffffff) | ((vi)sign & ~(vi)0x7fffffff));
}

/// Nearest integer, halves to even, for |x| < 2^22.
SLK_INLINE vf v_round(vf x) {
#if defined(SLK_IS_REFERENCE)
  const vf shift = (vf)12582912.0f;
  return (x + shift) - shift;
#else
  return __builtin_elementwise_roundeven(x);
#endif
}

/// 1 / x to 2 units in the last place, for normal x with a normal reciprocal.
SLK_INLINE vf v_reciprocal(vf x) {
#if defined(SLK_IS_AVX512)
  const vf y = (vf)_mm512_rcp14_ps((__m512)x);
  return v_fma(y, v_fma(-x, y, v_set(1.0f)), y);
#else
  return 1.0f / x;
#endif
}

/// x * 2^n for an integral n in [-300, 300], exact up to the final rounding of subnormal results.
SLK_INLINE vf v_pow2_scale(vf x, vf n) {
#if defined(SLK_IS_AVX512)
  return (vf)_mm512_scalef_ps((__m512)x, (__m512)n);
#else
  vi whole = __builtin_convertvector(n, vi);
  vi half = whole >> 1;
  vf first = (vf)((half + 127) << 23), second = (vf)((whole - half + 127) << 23);
  return x * first * second;
#endif
}

/// All bits set in the first min(n, SLK_WIDTH) lanes.
SLK_INLINE vi v_lanes(size_t n) {
  static const int32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  vi lane;
  __builtin_memcpy(&lane, lanes, sizeof lane);
  return lane < (vi)(int32_t)(n < SLK_WIDTH ? n : SLK_WIDTH);
}

/// v in the first min(n, SLK_WIDTH) lanes, zero in the others.
SLK_INLINE vf v_keep(vf v, size_t n) { return v_lanes(n) ? v : (vf)0.0f; }
