// Steps of gated recurrent cells in float32: the product of the state with the recurrent weights and
// the gates in one pass, so that the sums of the gates never leave the registers.
#ifndef STACKLENS_SLK_RECURRENT_H
#define STACKLENS_SLK_RECURRENT_H

#include <stdbool.h>
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

/// One step of rows of states. `h` and `out` must not overlap.
typedef struct {
  size_t size, rows;
  const float *h;  ///< The states before, rows `h_stride` apart.
  size_t h_stride;
  bool h_is_zero;  ///< Whether all of `h` is 0: then there is no product.
  const void *packed;
  /// Whether blocks go from the last to the first. Steps that take turns find what the step before
  /// read last still in the cache.
  bool descends;
  const float *sums;  ///< x W + bias, the gates side by side, rows `sums_stride` apart.
  size_t sums_stride;
  float *c;            ///< LSTM: the cell states, changed in place.
  const float *inner;  ///< GRU: [size], added to h R of the candidate.
  float *out;          ///< The states after, rows `out_stride` apart.
  size_t out_stride;
  /// What gradients need, rows `kept_stride` apart, or NULL: the gates after their activations, then
  /// c of an LSTM or h R + inner of a GRU's candidate, then the state after.
  float *kept;
  size_t kept_stride;
} slk_recurrent_step;

/// For the units of blocks [block_begin, block_end):
/// i, o, f = sigmoid(sums + h R), g = tanh(sums + h R), c = f c + i g, out = o tanh(c).
void slk_lstm_step_f32(const slk_recurrent_step *step, size_t block_begin, size_t block_end);

/// A GRU whose reset gate scales the product:
/// z, r = sigmoid(sums + h R), g = tanh(sums + r (h R + inner)), out = (1 - z) g + z h.
void slk_gru_step_f32(const slk_recurrent_step *step, size_t block_begin, size_t block_end);

#endif
