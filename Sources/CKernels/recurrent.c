#include "include/slk_recurrent.h"

#include "include/slk_move.h"
#include "panels.h"

#define SLK_TEMPLATE "recurrent.inc.h"
#include "tiers.h"

size_t slk_recurrent_block_units(void) { return slk_tile_shape_of(slk_cpu.tier).width; }

size_t slk_recurrent_packed_bytes(size_t gates, size_t size) {
  return slk_round_up(size, slk_recurrent_block_units()) * gates * size * sizeof(float);
}

void slk_recurrent_pack(size_t gates, size_t size, const float *r, void *packed) {
  const size_t width = slk_recurrent_block_units(), row = gates * width;
  for (size_t first = 0; first < size; first += width) {
    float *out = (float *)packed + first * gates * size;
    const size_t units = slk_min(width, size - first);
    if (units < width) memset(out, 0, row * size * sizeof *out);
    for (size_t gate = 0; gate < gates; gate++) {
      slk_transpose(r + (gate * size + first) * size, size, out + gate * width, row, units, size,
                    sizeof *out);
    }
  }
}

void slk_lstm_step_f32(const slk_recurrent_step *step, size_t block_begin, size_t block_end) {
  SLK_DISPATCH(lstm_step, step, block_begin, block_end);
}

void slk_gru_step_f32(const slk_recurrent_step *step, size_t block_begin, size_t block_end) {
  SLK_DISPATCH(gru_step, step, block_begin, block_end);
}
