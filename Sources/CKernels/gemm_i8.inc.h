SLK_INLINE vi SLK_NAME(dot_step)(vi acc, vi a, vi b) {
#if defined(SLK_IS_AVX512)
  return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#elif defined(SLK_IS_AVX2)
  return (vi)((vu)acc + (vu)_mm256_madd_epi16((__m256i)a, (__m256i)b));
#elif defined(__x86_64__)
  return (vi)((vu)acc + (vu)_mm_madd_epi16((__m128i)a, (__m128i)b));
#else
  vi low = ((a << 16) >> 16) * ((b << 16) >> 16), high = (a >> 16) * (b >> 16);
  return (vi)((vu)acc + (vu)low + (vu)high);
#endif
}

/// The stored values are a + 128 for signed a and b - 128 for unsigned b; the zero points move
/// along: sum (a - za)(b - zb) = sum a b - za sum b - zb sum a + k za zb.
static void SLK_NAME(finish_integer)(const integer_job *job, const int32_t *tile, size_t ld,
                                     size_t rows, size_t width, size_t row, size_t column,
                                     int32_t *c, size_t ldc) {
  const slk_integer_product *p = job->product;
  for (size_t i = 0; i < rows; i++) {
    uint32_t za = p->a_signed ? 128 : 0;
    if (p->a_zero_points) za += (uint32_t)p->a_zero_points[(row + i) * p->a_zero_point_stride];
    const uint32_t rest = (uint32_t)job->k * za - (uint32_t)job->row_sums[row + i];
    for (size_t j = 0; j < width; j += SLK_WIDTH) {
      vu zb = (vu)(p->b_signed ? 0u : (uint32_t)-128);
      if (p->b_zero_points && p->b_zero_point_stride) {
        zb += (vu)v_loadi_n(p->b_zero_points + column + j, width - j);
      } else if (p->b_zero_points) {
        zb += (uint32_t)*p->b_zero_points;
      }
      const vu sums = (vu)v_loadi_n(job->column_sums + column + j, width - j);
      const vu all = (vu)v_load((const float *)(const void *)(tile + i * ld + j));
      const vu v = all - sums * za + zb * rest;
      v_store_n((float *)(void *)(c + (row + i) * ldc + column + j), (vf)v, width - j);
    }
  }
}

#define SLK_UNIT uint32_t
#define SLK_ACC vi
#define SLK_B vi
#define SLK_LANES SLK_WIDTH
#define SLK_SPREAD(p) ((vi)(int32_t)(*(p)))
#define SLK_STEP(acc, a, b) SLK_NAME(dot_step)(acc, a, b)

// The quantised product -----------------------------------------------------------------------

#define SLK_TILE i8
#define SLK_OUT float
#define SLK_PRODUCT_C float
#define SLK_EPILOGUE i8_job
#define SLK_IS_PLAIN(job) slk_epilogue_is_plain((job)->epilogue)
#define SLK_FINISH(job, ...) SLK_NAME(slk_finish)((job)->epilogue, __VA_ARGS__)
#include "gemm_tile.inc.h"

/// Sums each group in integers, then adds it to the floats in `out`. Rows hold a + row zero,
/// so that times the column sum goes off first.
SLK_INLINE void SLK_NAME(quantised_tile)(const int rows, const int vectors, size_t units,
                                         const uint32_t *a, size_t lda, const uint32_t *b,
                                         float *out, size_t ldo, slk_ahead ahead,
                                         const i8_job *job, size_t row, size_t column) {
  const float *scales = job->column_scales + column;
  const int32_t *sums = job->column_sums + column;
  size_t done = 0, group = 0;
  do {
    const size_t count = slk_min(job->group_units, units - done);
    vi acc[SLK_MOST_ROWS][SLK_MOST_VECTORS] = {0};
    SLK_NAME(accumulate_i8)(rows, vectors, count, a + done, lda,
                            b + done * (size_t)vectors * SLK_WIDTH, acc, ahead);
    ahead.next += ahead.step * count;
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      const size_t at = group * job->stored_columns + (size_t)j * SLK_WIDTH;
      const vf scale = v_load(scales + at);
      const vi offset = (vi)v_load((const float *)(sums + at)) * job->row_zero;
      SLK_UNROLL for (int i = 0; i < rows; i++) {
        float *place = out + (size_t)i * ldo + (size_t)j * SLK_WIDTH;
        const vf row_scale = v_set(job->row_scales[(row + (size_t)i) * job->groups + group]);
        const vf sum = __builtin_convertvector(acc[i][j] - offset, vf) * scale;
        v_store(place, group ? v_fma(sum, row_scale, v_load(place)) : sum * row_scale);
      }
    }
    done += count;
    group++;
  } while (done < units);
}

#define SLK_RUN_TILE SLK_NAME(quantised_tile)
#include "gemm_loop.inc.h"
#undef SLK_TILE_ROWS
#undef SLK_TILE_VECTORS
#undef SLK_TILE
#undef SLK_OUT
#undef SLK_PRODUCT_C
#undef SLK_EPILOGUE
#undef SLK_IS_PLAIN
#undef SLK_FINISH

// The exact product ---------------------------------------------------------------------------

#define SLK_TILE integer
#define SLK_OUT int32_t
#define SLK_PRODUCT_C int32_t
#define SLK_EPILOGUE integer_job
#define SLK_IS_PLAIN(job) (false)
#define SLK_FINISH SLK_NAME(finish_integer)
#include "gemm_tile.inc.h"
#include "gemm_loop.inc.h"
#include "gemm_end.inc.h"
