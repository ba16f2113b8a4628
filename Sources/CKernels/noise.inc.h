// A vector of places at a time, in halves: 64 random bits each, and numbers made of them.

#define SLK_HALF (SLK_WIDTH / 2)
typedef uint64_t SLK_NAME(slk_bits) __attribute__((ext_vector_type(SLK_HALF)));
typedef float SLK_NAME(slk_half) __attribute__((ext_vector_type(SLK_HALF)));
typedef int32_t SLK_NAME(slk_half_int) __attribute__((ext_vector_type(SLK_HALF)));
#define vbits SLK_NAME(slk_bits)
#define vhalf SLK_NAME(slk_half)
#define vhalf_int SLK_NAME(slk_half_int)

/// The mixing step of SplitMix64 (Steele, Lea and Flood, 2014).
SLK_INLINE vbits SLK_NAME(scrambled)(vbits value) {
  vbits z = value * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// The bits of the places from `place` on.
SLK_INLINE vbits SLK_NAME(bits_at)(uint64_t start, uint64_t place) {
  static const uint64_t lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  vbits lane;
  memcpy(&lane, lanes, sizeof lane);
  return SLK_NAME(scrambled)(lane + (start + place));
}

/// The upper 53 bits as a number in [0, 1).
SLK_INLINE vd SLK_NAME(share_of)(vbits bits) {
  return __builtin_convertvector(bits >> 11, vd) * 0x1p-53;
}

/// Both halves of sqrt(-2 log(1 - share)). What is left of 1 is split in double precision, so that
/// a small share keeps its digits.
SLK_INLINE vf SLK_NAME(radius_of)(vd low, vd high) {
  // 1 - share = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
  const uint64_t root = 0x3fe6a09e667f3bcdu, mantissa = 0x000fffffffffffffu;
  const vbits bits[2] = {(vbits)(1.0 - low) - root, (vbits)(1.0 - high) - root};
  vf e, f;
  e.lo = __builtin_convertvector(__builtin_convertvector(bits[0] >> 32, vhalf_int) >> 20, vhalf);
  e.hi = __builtin_convertvector(__builtin_convertvector(bits[1] >> 32, vhalf_int) >> 20, vhalf);
  f.lo = __builtin_convertvector((vd)((bits[0] & mantissa) + root) - 1.0, vhalf);
  f.hi = __builtin_convertvector((vd)((bits[1] & mantissa) + root) - 1.0, vhalf);
  return __builtin_elementwise_sqrt(-2.0f * v_log_of(e, f));
}

/// The angle of 2 pi turns, turns in [0, 1), less than a quarter turn from 0, whose sine is the
/// cosine of that angle.
SLK_INLINE vhalf SLK_NAME(quarter_of)(vd turns) {
  const vd half = turns > 0.5 ? 1.0 - turns : turns;
  return __builtin_convertvector((0.25 - half) * 6.283185307179586, vhalf);
}

/// sin(x), |x| <= pi / 2: its power series, which ends where a float's digits do.
SLK_INLINE vf SLK_NAME(sine_of)(vf x) {
  const vf s = x * x;
  vf p = v_fma(v_set(-2.50521084e-08f), s, v_set(2.75573192e-06f));
  p = v_fma(p, s, v_set(-1.98412698e-04f));
  p = v_fma(p, s, v_set(8.33333333e-03f));
  p = v_fma(p, s, v_set(-1.66666667e-01f));
  return v_fma(p * s, x, x);
}

static void SLK_NAME(noise)(uint64_t start, uint64_t place, bool is_normal, double first,
                            double second, float *y, size_t n) {
  const vf mean = v_set((float)first), deviation = v_set((float)second);
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const vbits low = SLK_NAME(bits_at)(start, place + at);
    const vbits high = SLK_NAME(bits_at)(start, place + at + SLK_HALF);
    const vd shares[2] = {SLK_NAME(share_of)(low), SLK_NAME(share_of)(high)};
    vf value;
    if (is_normal) {
      vf angle;
      angle.lo = SLK_NAME(quarter_of)(SLK_NAME(share_of)(SLK_NAME(scrambled)(low)));
      angle.hi = SLK_NAME(quarter_of)(SLK_NAME(share_of)(SLK_NAME(scrambled)(high)));
      const vf radius = SLK_NAME(radius_of)(shares[0], shares[1]);
      value = v_fma(deviation * radius, SLK_NAME(sine_of)(angle), mean);
    } else {
      value.lo = __builtin_convertvector(first + (second - first) * shares[0], vhalf);
      value.hi = __builtin_convertvector(first + (second - first) * shares[1], vhalf);
    }
    v_store_n(y + at, value, n - at);
  }
}

static void SLK_NAME(drop)(uint64_t start, uint64_t place, uint64_t limit, float scale,
                           const float *x, float *y, size_t n) {
  for (size_t at = 0; at < n; at += SLK_WIDTH) {
    const vbits low = SLK_NAME(bits_at)(start, place + at) >> 32;
    const vbits high = SLK_NAME(bits_at)(start, place + at + SLK_HALF) >> 32;
    vi dropped;
    dropped.lo = __builtin_convertvector(low < limit, vhalf_int);
    dropped.hi = __builtin_convertvector(high < limit, vhalf_int);
    const vf value = v_load_n(x + at, n - at) * scale;
    v_store_n(y + at, dropped ? v_set(0.0f) : value, n - at);
  }
}
#undef SLK_HALF
#undef vbits
#undef vhalf
#undef vhalf_int
