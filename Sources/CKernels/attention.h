// The softmax of a block of attention scores in each tier.
#ifndef STACKLENS_ATTENTION_H
#define STACKLENS_ATTENTION_H

#include "include/slk_attention.h"
#include "simd_names.h"

/// Scores of the queries [first, first + rows) of a head, in place: exponentials of
/// scale * score + bias less their maximum; `inverse_sums` receives 1 / sum for each row.
typedef struct {
  const slk_attention_view *view;
  float *scores;
  size_t stride, first, rows;
  float *inverse_sums;
} slk_score_block;

#endif
