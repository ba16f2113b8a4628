// One strip of a product with packed weights of few bits, in one tier; see slk_gemm_nbits.h.

static void SLK_NAME(nbits_sum)(const float *a, size_t n, float *sum) {
  vf total = v_set(0.0f);
  size_t i = 0;
  for (; i + SLK_WIDTH <= n; i += SLK_WIDTH) total += v_load(a + i);
  *sum = v_sum(total);
}

/// q = round(a / scale), scale = largest |a| / 127. Of 4-bit weights the even places of eight come
/// first, as the bytes of their words split.
static void SLK_NAME(nbits_quantise)(const float *a, size_t n, int bits, int8_t *out,
                                     float *scale, float *sum) {
  vf most = v_set(0.0f);
  for (size_t i = 0; i < n; i += SLK_WIDTH) {
    most = __builtin_elementwise_max(most, v_abs(v_load(a + i)));
  }
  const float largest = v_largest(most);
  const float inverse = largest > 1e-35f ? 127.0f / largest : 0.0f;
  int32_t total = 0;
  for (size_t i = 0; i < n; i++) {
    const float shift = 12582912.0f;
    const int32_t q = (int32_t)((a[i] * inverse + shift) - shift);
    const size_t at = bits == 4 ? (i & ~(size_t)7) + (i & 1) * 4 + (i & 7) / 2 : i;
    out[at] = (int8_t)q;
    total += q;
  }
  *scale = largest / 127.0f;
  *sum = (float)total;
}

/// The values of codes, the lowest four bits of each lane.
SLK_INLINE vf SLK_NAME(nbits_decode)(vi codes, const float *table) {
#if defined(SLK_IS_AVX512)
  return (vf)_mm512_permutexvar_ps((__m512i)codes, _mm512_loadu_ps(table));
#elif defined(SLK_IS_AVX2)
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), (__m256i)codes);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), (__m256i)codes);
  return (vf)_mm256_blendv_ps(low, high, (__m256)(codes << 28));
#else
  vf v;
  for (int i = 0; i < SLK_WIDTH; i++) v[i] = table[codes[i] & 15];
  return v;
#endif
}

SLK_INLINE void SLK_NAME(nbits_store)(const nbits_job *job, const vf *totals, const int rows,
                                      size_t row, size_t strip) {
  const size_t column = strip * SLK_WIDTH, width = slk_min(SLK_WIDTH, job->weights->n - column);
  const vf bias = job->bias ? v_load_n(job->bias + column, width) : v_set(0.0f);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    v_store_n(job->c + (row + (size_t)i) * job->ldc + column, totals[i] + bias, width);
  }
}

/// `rows` rows by one strip. Few rows spread neighbours along k over several chains of sums.
SLK_INLINE void SLK_NAME(nbits_tile_f32)(const nbits_job *job, const int rows, const int bits,
                                         const float *a, size_t lda, const float *sums, size_t row,
                                         size_t strip) {
  const int chains = rows == 1 ? 4 : rows == 2 ? 2 : 1, per_word = 32 / bits;
  const slk_nbits_weights *w = job->weights;
  const uint32_t *word = w->words + strip * job->strip_words;
  const float *lines = a + row * lda;
  vf totals[NBITS_ROWS];
  SLK_UNROLL for (int i = 0; i < rows; i++) totals[i] = v_set(0.0f);
  for (size_t b = 0; b < job->blocks; b++) {
    vf acc[NBITS_ROWS][4];
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      SLK_UNROLL for (int c = 0; c < chains; c++) acc[i][c] = v_set(0.0f);
    }
    for (size_t u = 0; u < job->block_words; u++, word += SLK_WIDTH) {
      vi codes;
      __builtin_memcpy(&codes, word, sizeof codes);
      __builtin_prefetch(word + 16 * SLK_WIDTH, 0, 2);
      SLK_UNROLL for (int p = 0; p < per_word; p++) {
        vf value;
        if (bits == 8) {
          value = __builtin_convertvector((vi)(((vu)codes >> (8 * p)) & 255), vf) - 128.0f;
        } else {
          value = SLK_NAME(nbits_decode)((vi)((vu)codes >> (bits * p)), job->codes);
        }
        SLK_UNROLL for (int i = 0; i < rows; i++) {
          acc[i][p % chains] =
              v_fma(v_set(lines[(size_t)i * lda + (size_t)p]), value, acc[i][p % chains]);
        }
      }
      lines += per_word;
    }
    const vf scale = v_load(w->scales + b * job->columns + strip * SLK_WIDTH);
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      vf sum = acc[i][0];
      SLK_UNROLL for (int c = 1; c < chains; c++) sum += acc[i][c];
      if (w->zero_points) {
        const vf zero = v_load(w->zero_points + b * job->columns + strip * SLK_WIDTH);
        sum -= zero * v_set(sums[(row + (size_t)i) * job->blocks + b]);
      }
      totals[i] = v_fma(sum, scale, totals[i]);
    }
  }
  SLK_NAME(nbits_store)(job, totals, rows, row, strip);
}

/// acc + the products of four unsigned bytes of `codes` and four signed bytes at `a`.
SLK_INLINE vi SLK_NAME(nbits_dot)(vi acc, vi codes, const int8_t *a) {
  int32_t unit;
  memcpy(&unit, a, sizeof unit);
#if defined(SLK_IS_AVX512)
  return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)codes, _mm512_set1_epi32(unit));
#elif defined(SLK_IS_AVX2)
  // Codes are below 16, so the pairs do not saturate.
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)codes, _mm256_set1_epi32(unit));
  return acc + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
  for (int j = 0; j < 4; j++) acc += ((codes >> (8 * j)) & 255) * (int32_t)a[j];
  return acc;
#endif
}

SLK_INLINE void SLK_NAME(nbits_tile_i8)(const nbits_job *job, const int rows, const int8_t *a,
                                        const float *row_scales, const float *sums, size_t row,
                                        size_t strip) {
  const slk_nbits_weights *w = job->weights;
  const size_t lda = job->blocks * w->block;
  const uint32_t *word = w->words + strip * job->strip_words;
  const int8_t *lines = a + row * lda;
  const vi low = (vi)0x0f0f0f0f;
  vf totals[NBITS_ROWS];
  SLK_UNROLL for (int i = 0; i < rows; i++) totals[i] = v_set(0.0f);
  for (size_t b = 0; b < job->blocks; b++) {
    vi even[NBITS_ROWS], odd[NBITS_ROWS];
    SLK_UNROLL for (int i = 0; i < rows; i++) even[i] = odd[i] = (vi)0;
    for (size_t u = 0; u < job->block_words; u++, word += SLK_WIDTH, lines += 8) {
      vi codes;
      __builtin_memcpy(&codes, word, sizeof codes);
      __builtin_prefetch(word + 16 * SLK_WIDTH, 0, 2);
      const vi first = codes & low, second = (vi)((vu)codes >> 4) & low;
      SLK_UNROLL for (int i = 0; i < rows; i++) {
        even[i] = SLK_NAME(nbits_dot)(even[i], first, lines + (size_t)i * lda);
        odd[i] = SLK_NAME(nbits_dot)(odd[i], second, lines + (size_t)i * lda + 4);
      }
    }
    const vf scale = v_load(w->scales + b * job->columns + strip * SLK_WIDTH);
    vf zero = v_set(8.0f);
    if (w->zero_points) zero += v_load(w->zero_points + b * job->columns + strip * SLK_WIDTH);
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      const size_t at = (row + (size_t)i) * job->blocks + b;
      const vf sum = __builtin_convertvector(even[i] + odd[i], vf) - zero * v_set(sums[at]);
      totals[i] = v_fma(sum, scale * v_set(row_scales[at]), totals[i]);
    }
  }
  SLK_NAME(nbits_store)(job, totals, rows, row, strip);
}

/// Rows in tiles of eight, four, two and one.
static void SLK_NAME(nbits_strip_f32)(const nbits_job *job, const float *a, size_t lda,
                                      const float *sums, size_t row, size_t end, size_t strip) {
#define SLK_STRIP(bits)                                                                \
  for (; row + 8 <= end; row += 8) {                                                   \
    SLK_NAME(nbits_tile_f32)(job, 8, bits, a, lda, sums, row, strip);                  \
  }                                                                                    \
  for (; row + 4 <= end; row += 4) {                                                   \
    SLK_NAME(nbits_tile_f32)(job, 4, bits, a, lda, sums, row, strip);                  \
  }                                                                                    \
  for (; row + 2 <= end; row += 2) {                                                   \
    SLK_NAME(nbits_tile_f32)(job, 2, bits, a, lda, sums, row, strip);                  \
  }                                                                                    \
  if (row < end) SLK_NAME(nbits_tile_f32)(job, 1, bits, a, lda, sums, row, strip)
  switch (job->weights->bits) {
    case 2: SLK_STRIP(2); break;
    case 4: SLK_STRIP(4); break;
    default: SLK_STRIP(8); break;
  }
#undef SLK_STRIP
}

static void SLK_NAME(nbits_strip_i8)(const nbits_job *job, const int8_t *a,
                                     const float *row_scales, const float *sums, size_t row,
                                     size_t end, size_t strip) {
  for (; row + 8 <= end; row += 8) {
    SLK_NAME(nbits_tile_i8)(job, 8, a, row_scales, sums, row, strip);
  }
  for (; row + 4 <= end; row += 4) {
    SLK_NAME(nbits_tile_i8)(job, 4, a, row_scales, sums, row, strip);
  }
  for (; row + 2 <= end; row += 2) {
    SLK_NAME(nbits_tile_i8)(job, 2, a, row_scales, sums, row, strip);
  }
  if (row < end) SLK_NAME(nbits_tile_i8)(job, 1, a, row_scales, sums, row, strip);
}
