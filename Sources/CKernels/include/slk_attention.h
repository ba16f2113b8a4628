// Scaled dot-product attention, out = softmax(scale Q K^T + bias) V, a head at a time.
//
// Threads share a batch by its heads: one call computes one head of one sequence, or of a run of
// its queries. There is no padding: a sequence has the same bits in every batch.
#ifndef STACKLENS_SLK_ATTENTION_H
#define STACKLENS_SLK_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slk_noise.h"

/// One head of one sequence. Query i is `head_size` floats at q + i * q_stride, and so for keys,
/// values and the output, whose rows have `value_size` floats.
typedef struct {
  const float *q, *k, *v;
  size_t q_stride, k_stride, v_stride;
  float *out;
  size_t out_stride;
  size_t query_count, key_count, head_size, value_size;
  float scale;
  /// Scores s become softcap * tanh(s / softcap); 0 for none.
  float softcap;
  /// Added to the scores: element (i, j) at bias[i * bias_row_stride + j]; NULL for none.
  const float *bias;
  size_t bias_row_stride;
  /// One byte for each key; keys with 0 are left out. NULL keeps all.
  const uint8_t *key_mask;
  /// Query i stands at p = position + i and sees the keys from p - before to p + after;
  /// SIZE_MAX for no bound.
  ptrdiff_t position;
  size_t before, after;
  /// What a query gets whose scores are all -infinity: zeros, or NaN as softmax gives.
  bool empty_is_zero;
  bool bf16;  ///< The products in bfloat16, where slk_cpu_has_bf16() is true; else float32.
  /// Of the weights; that of query i and key j is element i * key_count + j.
  slk_dropping dropping;
} slk_attention_view;

/// Scratch of one call, 64-byte aligned, for at most `key_count` keys.
size_t slk_attention_scratch_bytes(size_t key_count, size_t head_size, size_t value_size);

void slk_attend(const slk_attention_view *view, void *scratch);

/// What flows back through one head: `g` arrives at the output, the others are written. Rows as
/// many floats apart as those of the view's out, q, k and v.
typedef struct {
  const float *g;
  float *dq, *dk, *dv;
} slk_attention_flow;

/// Scratch of one call, 64-byte aligned.
size_t slk_attention_gradient_scratch_bytes(size_t key_count, size_t head_size, size_t value_size);

/// The gradients of a head's queries, keys and values; the weights are computed again, a block of
/// queries at a time. Of the view, `out` and `softcap` are not used.
void slk_attend_back(const slk_attention_view *view, const slk_attention_flow *flow, void *scratch);

/// Self-attention over packed sequences of different lengths: all tokens of a batch lie in one
/// matrix, and a sequence owns the rows [begin, end). Token t of head h begins at
/// q + t * q_stride + h * head_size, and so for k, v and out.
typedef struct {
  const float *q, *k, *v;
  size_t q_stride, k_stride, v_stride;
  float *out;
  size_t out_stride;
  size_t head_size;
  float scale;
  /// Added to the scores of head h: element (i, j) at bias[h * bias_head_stride + i *
  /// bias_row_stride + j], positions counted within the sequence; NULL for none.
  const float *bias;
  size_t bias_head_stride, bias_row_stride;
  /// One byte for each token of the batch; keys with 0 are left out. NULL keeps all. A query
  /// without any key gets zeros. Without this mask a row of scores that are all -infinity gives
  /// NaN, as softmax does.
  const uint8_t *key_mask;
  bool no_keys_as_zero;  ///< A row whose weights are not numbers gives zeros.
  bool causal;  ///< Token i sees keys up to i.
  bool bf16;    ///< As in slk_attention_view.
  slk_dropping dropping;  ///< Of the weights of a head.
} slk_attention;

/// Computes head `head` of the sequence that holds the tokens [begin, end).
void slk_attention_head(const slk_attention *attention, size_t begin, size_t end, size_t head,
                        void *scratch);

#endif
