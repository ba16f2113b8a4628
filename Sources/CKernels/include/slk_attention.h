// Multi-head self-attention over packed sequences of different lengths.
//
// All tokens of a batch lie in one matrix; sequence s owns the rows [offsets[s], offsets[s + 1]).
// One call computes one head of one sequence, out = softmax(scale Q K^T + bias) V, so threads share
// a batch by (sequence, head). There is no padding: a sequence has the same bits in every batch.
#ifndef STACKLENS_SLK_ATTENTION_H
#define STACKLENS_SLK_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Token t of head h begins at q + t * q_stride + h * head_size, and so for k, v and out.
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
  bool causal;  ///< Token i sees keys up to i.
  bool bf16;    ///< Both products in bfloat16, where slk_cpu_has_bf16() is true; else float32.
} slk_attention;

/// Scratch of one call, 64-byte aligned, for sequences of at most `length` tokens.
size_t slk_attention_scratch_bytes(size_t length, size_t head_size);

/// Computes head `head` of the sequence that holds the tokens [begin, end).
void slk_attention_head(const slk_attention *attention, size_t begin, size_t end, size_t head,
                        void *scratch);

#endif
