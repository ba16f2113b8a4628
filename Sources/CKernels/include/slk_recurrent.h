// Steps of gated recurrent cells in float32: the product of the state with the recurrent weights and
// the gates in one pass, so that the sums of the gates never leave the registers.
#ifndef STACKLENS_SLK_RECURRENT_H
#define STACKLENS_SLK_RECURRENT_H

#include <stddef.h>
#include <stdint.h>

/// Gates of the cells: LSTM i o f c, GRU z r h.
enum { SLK_LSTM_GATES = 4, SLK_GRU_GATES = 3 };

/// Units of one block, the least share of a step that a caller can ask for.
size_t slk_recurrent_block_units(void);
/// Bytes of packed weights of `gates` gates of `size` units.
size_t slk_recurrent_packed_bytes(size_t gates, size_t size);
/// Packs r[gates * size, size]: for each block of units and each unit of the state, the weights of
/// all gates side by side.
void slk_recurrent_pack(size_t gates, size_t size, const float *r, void *packed);

/// One step of rows of states, for the units of blocks [block_begin, block_end):
/// i, o, f = sigmoid(sums + h R), g = tanh(sums + h R), c = f c + i g, out = o tanh(c).
/// `sums` holds x W + bias with the gates side by side. `h` and `out` must not overlap.
void slk_lstm_step_f32(size_t size, const float *h, size_t h_stride, const void *packed,
                       const float *sums, size_t sums_stride, float *c, float *out,
                       size_t out_stride, size_t rows, size_t block_begin, size_t block_end);

/// One step of a GRU whose reset gate scales the product:
/// z, r = sigmoid(sums + h R), g = tanh(sums + r (h R + inner)), out = (1 - z) g + z h.
/// `inner` is [size].
void slk_gru_step_f32(size_t size, const float *h, size_t h_stride, const void *packed,
                      const float *sums, size_t sums_stride, const float *inner, float *out,
                      size_t out_stride, size_t rows, size_t block_begin, size_t block_end);

#endif
