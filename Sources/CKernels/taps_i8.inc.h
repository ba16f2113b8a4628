// Integer convolutions in one tier; see slk_taps_i8.h.

typedef uint8_t SLK_NAME(slk_bytes) __attribute__((ext_vector_type(SLK_WIDTH)));

/// acc + the products of the four unsigned bytes of a lane of `a` with the signed ones of `b`.
SLK_INLINE vi SLK_NAME(dot_bytes)(vi acc, vi a, vi b) {
#if defined(SLK_IS_AVX512)
  return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#elif defined(SLK_IS_AVX2)
  const __m256i low = _mm256_set1_epi32(0x00ff00ff), x = (__m256i)a, w = (__m256i)b;
  const __m256i even =
      _mm256_madd_epi16(_mm256_and_si256(x, low), _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
  return (vi)((vu)acc + (vu)even + (vu)odd);
#else
  SLK_UNROLL for (int i = 0; i < 4; i++) {
    acc = (vi)((vu)acc + (((vu)a >> (8 * i)) & 0xff) * (vu)((vi)((vu)b << (24 - 8 * i)) >> 24));
  }
  return acc;
#endif
}

/// Sums as integers in [0, 255] less `zero`, in the low bits of a float; see slk_byte_ending. Any byte
/// of the rest may be set.
SLK_INLINE vi SLK_NAME(rounded_sums)(vi sums, vf scale, int32_t zero) {
  const vf least = v_set(-(float)zero), most = v_set(255.0f - (float)zero);
  vf v = __builtin_convertvector(sums, vf) * scale;
  v = v > least ? v : least;
  v = v < most ? v : most;
  return (vi)(v + 12582912.0f) + zero;
}

// The product ---------------------------------------------------------------------------------

/// One unit of K: `a` gives the four bytes of each row.
#define SLK_UNIT_STEP(a)                                                                      \
  vi right[SLK_MOST_VECTORS];                                                                 \
  SLK_UNROLL for (int j = 0; j < vectors; j++) {                                              \
    __builtin_memcpy(&right[j], b + (size_t)j * SLK_WIDTH, sizeof(vi));                       \
  }                                                                                           \
  b += (size_t)vectors * SLK_WIDTH;                                                           \
  SLK_UNROLL for (int i = 0; i < rows; i++) {                                                 \
    const vi left = (vi)(a);                                                                  \
    SLK_UNROLL for (int j = 0; j < vectors; j++) {                                            \
      acc[i][j] = SLK_NAME(dot_bytes)(acc[i][j], left, right[j]);                             \
    }                                                                                         \
  }

SLK_INLINE int32_t SLK_NAME(four_bytes)(const uint8_t *p) {
  int32_t unit;
  __builtin_memcpy(&unit, p, sizeof unit);
  return unit;
}

/// The last bytes of a run, of which there are less than four.
SLK_INLINE int32_t SLK_NAME(last_bytes)(const uint8_t *p, size_t count) {
  return p[0] | (count > 1 ? p[1] << 8 : 0) | (count > 2 ? p[2] << 16 : 0);
}

SLK_INLINE void SLK_NAME(tile_bytes)(const int rows, const int vectors, size_t taps, size_t run,
                                     const uint8_t *const *table, const int32_t *b,
                                     slk_ahead ahead, const slk_byte_ending *ending, uint8_t *y,
                                     size_t y_stride, size_t column, size_t width) {
  vi acc[SLK_MOST_ROWS][SLK_MOST_VECTORS];
  SLK_UNROLL for (int j = 0; j < vectors; j++) {
    const size_t at = (size_t)j * SLK_WIDTH;
    const vi offset = v_loadi_n(ending->offsets + column + at, width - at);
    SLK_UNROLL for (int i = 0; i < rows; i++) acc[i][j] = offset;
  }
  const size_t whole = run / 4 * 4;
  for (size_t tap = 0; tap < taps; tap++) {
    const uint8_t *a[SLK_MOST_ROWS];
    SLK_UNROLL for (int i = 0; i < rows; i++) a[i] = table[(size_t)i * taps + tap];
    _Pragma("clang loop unroll(disable)") for (size_t k = 0; k < whole; k += 4) {
      _Pragma("clang loop unroll(disable)") for (size_t line = 0; line < ahead.lines; line++) {
        __builtin_prefetch(ahead.next + 64 * line, 0, 2);
      }
      ahead.next += ahead.step;
      SLK_UNIT_STEP(SLK_NAME(four_bytes)(a[i] + k))
    }
    if (whole < run) {
      SLK_UNIT_STEP(SLK_NAME(last_bytes)(a[i] + whole, run - whole))
    }
  }
  SLK_UNROLL for (int j = 0; j < vectors; j++) {
    const size_t at = (size_t)j * SLK_WIDTH, left = width - at;
    const vf scale = v_load_n(ending->scales + column + at, left);
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      const vi sums = SLK_NAME(rounded_sums)(acc[i][j], scale, ending->zero);
      const SLK_NAME(slk_bytes) bytes =
          __builtin_convertvector((vu)sums & 0xff, SLK_NAME(slk_bytes));
      uint8_t *out = y + (size_t)i * y_stride + at;
      if (left >= SLK_WIDTH) {
        __builtin_memcpy(out, &bytes, sizeof bytes);
      } else {
#if defined(SLK_IS_AVX512)
        _mm_mask_storeu_epi8(out, (__mmask16)((1u << left) - 1), (__m128i)bytes);
#else
        memcpy(out, &bytes, left);
#endif
      }
    }
  }
}
#undef SLK_UNIT_STEP

#define SLK_TILE bytes
#define SLK_DEFINE_TILE(rows, vectors)                                                          \
  static void SLK_NAME_TILE(rows, vectors)(                                                     \
      size_t taps, size_t run, const uint8_t *const *table, const int32_t *b,                   \
      const slk_ahead *ahead, const slk_byte_ending *ending, uint8_t *y, size_t y_stride,       \
      size_t column, size_t width) {                                                            \
    SLK_NAME(tile_bytes)(rows, vectors, taps, run, table, b, *ahead, ending, y, y_stride,       \
                         column, width);                                                        \
  }
#define SLK_NAME_TILE(rows, vectors) \
  SLK_NAME(SLK_JOIN(SLK_JOIN(SLK_JOIN(tile, SLK_TILE), rows), vectors))
#include "gemm_table.inc.h"

static void SLK_NAME(taps_i8)(size_t taps, size_t run, size_t n, const uint8_t *const *table,
                              const int32_t *packed, const slk_byte_ending *ending, uint8_t *y,
                              size_t y_stride, size_t row_begin, size_t row_end,
                              size_t panel_begin, size_t panel_end) {
  const size_t columns = SLK_TILE_VECTORS * SLK_WIDTH, units = taps * slk_divide_up(run, 4);
  const size_t tiles = slk_divide_up(row_end - row_begin, SLK_TILE_ROWS);
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t vectors = slk_divide_up(width, SLK_WIDTH);
    const int32_t *b = packed + column * units;
    const slk_ahead share = slk_ahead_share(vectors * SLK_WIDTH * sizeof(int32_t), tiles);
    slk_ahead ahead = panel + 1 < panel_end ? share : (slk_ahead){0};
    ahead.next = (const char *)(b + units * columns);
    for (size_t row = row_begin; row < row_end; row += SLK_TILE_ROWS) {
      const size_t rows = slk_min(SLK_TILE_ROWS, row_end - row);
      uint8_t *out = y + row * y_stride + column;
      SLK_NAME(table_bytes)[rows - 1][vectors - 1](taps, run, table + (row - row_begin) * taps, b,
                                                   &ahead, ending, out, y_stride, column, width);
      ahead.next += ahead.step * units;
      for (size_t i = 0; ending->table && i < rows; i++) {
        slk_look_up_bytes(out + i * y_stride, width, ending->table, out + i * y_stride);
      }
    }
  }
}
#undef SLK_TILE
#undef SLK_DEFINE_TILE
#undef SLK_NAME_TILE
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS

// Depthwise -----------------------------------------------------------------------------------

#if defined(SLK_IS_AVX512)
/// 64 / pixels channels of each of some neighbouring pixels, at one tap.
SLK_INLINE __m512i SLK_NAME(load_pixels)(const int pixels, const uint8_t *const *table,
                                         size_t taps, size_t at, __mmask64 mask) {
  if (pixels == 1) return _mm512_maskz_loadu_epi8(mask, table[0] + at);
  if (pixels == 2) {
    const __m256i low = _mm256_maskz_loadu_epi8((__mmask32)mask, table[0] + at);
    const __m256i high = _mm256_maskz_loadu_epi8((__mmask32)mask, table[taps] + at);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  const __mmask16 few = (__mmask16)mask;
  __m512i all = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(few, table[0] + at));
  all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(few, table[taps] + at), 1);
  all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(few, table[2 * taps] + at), 2);
  return _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(few, table[3 * taps] + at), 3);
}

/// Four taps of all channels side by side, as the packed weights have them.
SLK_INLINE void SLK_NAME(add_taps)(vi acc[4], __m512i t0, __m512i t1, __m512i t2, __m512i t3,
                                   const int8_t *w) {
  const __m512i low01 = _mm512_unpacklo_epi8(t0, t1), high01 = _mm512_unpackhi_epi8(t0, t1);
  const __m512i low23 = _mm512_unpacklo_epi8(t2, t3), high23 = _mm512_unpackhi_epi8(t2, t3);
  const __m512i x[4] = {
      _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
      _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
  SLK_UNROLL for (int v = 0; v < 4; v++) {
    acc[v] = SLK_NAME(dot_bytes)(acc[v], (vi)x[v], (vi)_mm512_loadu_si512(w + 64 * v));
  }
}

/// A block of channels of `pixels` neighbouring rows.
SLK_INLINE void SLK_NAME(depthwise_block)(const int pixels, size_t taps, size_t channels, size_t at,
                                          const uint8_t *const *table, const int8_t *w,
                                          const slk_byte_ending *ending, uint8_t *y) {
  const size_t most = 64 / (size_t)pixels, left = slk_min(most, channels - at);
  const __mmask64 mask = ~0ull >> (64 - left);
  vi acc[4];
  SLK_UNROLL for (int v = 0; v < 4; v++) {
    acc[v] = (vi)_mm512_loadu_si512(ending->offsets + at + 16 * v);
  }
  size_t tap = 0;
  for (; tap + 4 <= taps; tap += 4, w += 256) {
    __m512i t[4];
    SLK_UNROLL for (int i = 0; i < 4; i++) {
      t[i] = SLK_NAME(load_pixels)(pixels, table + tap + i, taps, at, mask);
    }
    SLK_NAME(add_taps)(acc, t[0], t[1], t[2], t[3], w);
  }
  if (tap < taps) {
    __m512i t[4];
    SLK_UNROLL for (int i = 0; i < 4; i++) {
      t[i] = tap + (size_t)i < taps
                 ? SLK_NAME(load_pixels)(pixels, table + tap + i, taps, at, mask)
                 : _mm512_setzero_si512();
    }
    SLK_NAME(add_taps)(acc, t[0], t[1], t[2], t[3], w);
  }
  __m512i q[4];
  SLK_UNROLL for (int v = 0; v < 4; v++) {
    const vf scale = v_load(ending->scales + at + 16 * v);
    q[v] = (__m512i)(SLK_NAME(rounded_sums)(acc[v], scale, ending->zero) & 0xff);
  }
  const __m512i bytes = _mm512_packus_epi16(_mm512_packus_epi32(q[0], q[1]),
                                            _mm512_packus_epi32(q[2], q[3]));
  if (pixels == 1) {
    _mm512_mask_storeu_epi8(y + at, mask, bytes);
  } else if (pixels == 2) {
    _mm256_mask_storeu_epi8(y + at, (__mmask32)mask, _mm512_castsi512_si256(bytes));
    _mm256_mask_storeu_epi8(y + channels + at, (__mmask32)mask,
                            _mm512_extracti64x4_epi64(bytes, 1));
  } else {
    const __mmask16 few = (__mmask16)mask;
    _mm_mask_storeu_epi8(y + at, few, _mm512_castsi512_si128(bytes));
    _mm_mask_storeu_epi8(y + channels + at, few, _mm512_extracti32x4_epi32(bytes, 1));
    _mm_mask_storeu_epi8(y + 2 * channels + at, few, _mm512_extracti32x4_epi32(bytes, 2));
    _mm_mask_storeu_epi8(y + 3 * channels + at, few, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

/// All channels of four rows.
static void SLK_NAME(depthwise_rows)(size_t taps, size_t channels, const uint8_t *const *table,
                                     const int8_t *w, const slk_byte_ending *ending, uint8_t *y) {
  const size_t rounded = slk_round_up(taps, 4);
  for (size_t at = 0; at < channels; at += 64, w += 64 * rounded) {
    const size_t pixels = pixels_in_block(channels - at);
    for (size_t row = 0; row < 4; row += pixels) {
      const uint8_t *const *from = table + row * taps;
      uint8_t *out = y + row * channels;
      if (pixels == 1) {
        SLK_NAME(depthwise_block)(1, taps, channels, at, from, w, ending, out);
      } else if (pixels == 2) {
        SLK_NAME(depthwise_block)(2, taps, channels, at, from, w, ending, out);
      } else {
        SLK_NAME(depthwise_block)(4, taps, channels, at, from, w, ending, out);
      }
    }
  }
}
#endif

/// Rows one at a time, with weights [taps, channels].
static void SLK_NAME(depthwise_plain)(size_t taps, size_t channels, const uint8_t *const *table,
                                      const int8_t *w, const slk_byte_ending *ending, uint8_t *y) {
  const float least = -(float)ending->zero, most = 255.0f - (float)ending->zero;
  const float shift = 12582912.0f;
  for (size_t at = 0; at < channels; at += 64) {
    const size_t count = slk_min(64, channels - at);
    uint32_t sums[64];
    memcpy(sums, ending->offsets + at, count * sizeof *sums);
    for (size_t tap = 0; tap < taps; tap++) {
      const uint8_t *x = table[tap] + at;
      const int8_t *weights = w + tap * channels + at;
      for (size_t c = 0; c < count; c++) sums[c] += (uint32_t)(x[c] * weights[c]);
    }
    for (size_t c = 0; c < count; c++) {
      float v = (float)(int32_t)sums[c] * ending->scales[at + c];
      v = v > least ? v : least;
      v = v < most ? v : most;
      v = (v + shift) - shift;
      y[at + c] = (uint8_t)((int32_t)v + ending->zero);
    }
  }
}

static void SLK_NAME(depthwise_i8)(size_t taps, size_t channels, const uint8_t *const *table,
                                   const void *packed, const slk_byte_ending *ending, uint8_t *y,
                                   size_t rows) {
#if defined(SLK_IS_AVX512)
  size_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    SLK_NAME(depthwise_rows)(taps, channels, table + row * taps, packed, ending,
                             y + row * channels);
  }
  const size_t rounded = slk_round_up(taps, 4);
  for (; row < rows; row++) {
    const int8_t *w = packed;
    for (size_t at = 0; at < channels; at += 64, w += 64 * rounded) {
      SLK_NAME(depthwise_block)(1, taps, channels, at, table + row * taps, w, ending,
                                y + row * channels);
    }
  }
#else
  for (size_t row = 0; row < rows; row++) {
    SLK_NAME(depthwise_plain)(taps, channels, table + row * taps, packed, ending,
                              y + row * channels);
  }
#endif
}

// Pooling -------------------------------------------------------------------------------------

static void SLK_NAME(largest_taps)(size_t taps, size_t channels, const uint8_t *const *table,
                                   uint8_t *y, size_t rows) {
  for (size_t row = 0; row < rows; row++, table += taps, y += channels) {
    memcpy(y, table[0], channels);
    for (size_t tap = 1; tap < taps; tap++) {
      const uint8_t *x = table[tap];
      for (size_t c = 0; c < channels; c++) y[c] = x[c] > y[c] ? x[c] : y[c];
    }
  }
}

static void SLK_NAME(sum_rows)(const uint8_t *x, size_t row_stride, size_t rows, size_t channels,
                               uint32_t *sums) {
  memset(sums, 0, channels * sizeof *sums);
  for (size_t row = 0; row < rows; row++, x += row_stride) {
    for (size_t c = 0; c < channels; c++) sums[c] += x[c];
  }
}
