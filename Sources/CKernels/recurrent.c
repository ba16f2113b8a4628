#include "include/slk_recurrent.h"

#include "panels.h"

#define SLK_TEMPLATE "recurrent.inc.h"
#include "tiers.h"

size_t slk_recurrent_block_units(void) { return slk_tile_shape_of(slk_cpu.tier).width; }

size_t slk_recurrent_packed_bytes(size_t gates, size_t size) {
  return slk_round_up(size, slk_recurrent_block_units()) * gates * size * sizeof(float);
}

void slk_recurrent_pack(size_t gates, size_t size, const float *r, void *packed) {
  const size_t width = slk_recurrent_block_units();
  float *out = packed;
  for (size_t first = 0; first < size; first += width) {
    for (size_t k = 0; k < size; k++) {
      for (size_t gate = 0; gate < gates; gate++) {
        for (size_t unit = first; unit < first + width; unit++) {
          *out++ = unit < size ? r[(gate * size + unit) * size + k] : 0.0f;
        }
      }
    }
  }
}

void slk_lstm_step_f32(size_t size, const float *h, size_t h_stride, const void *packed,
                       const float *sums, size_t sums_stride, float *c, float *out,
                       size_t out_stride, size_t rows, size_t block_begin, size_t block_end) {
  SLK_DISPATCH(lstm_step, size, h, h_stride, (const float *)packed, sums, sums_stride, c, out,
               out_stride, rows, block_begin, block_end);
}

void slk_gru_step_f32(size_t size, const float *h, size_t h_stride, const void *packed,
                      const float *sums, size_t sums_stride, const float *inner, float *out,
                      size_t out_stride, size_t rows, size_t block_begin, size_t block_end) {
  SLK_DISPATCH(gru_step, size, h, h_stride, (const float *)packed, sums, sums_stride, inner, out,
               out_stride, rows, block_begin, block_end);
}
