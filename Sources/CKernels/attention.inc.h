/// The softmax weights of `rows` rows without bias or mask, side by side so that their sums and
/// maxima overlap. Each row has the arithmetic it has alone.
SLK_INLINE void SLK_NAME(exponentiate_plain)(const slk_score_block *block, size_t first,
                                             const int rows) {
  enum { most_rows = 4 };
  const vf scale = v_set(block->view->scale), nothing = v_set(-INFINITY);
  const size_t stride = block->stride, length = block->view->key_count;
  float *scores = block->scores + first * stride;
  vf most[most_rows], shift[most_rows], sum[most_rows];
  SLK_UNROLL for (int r = 0; r < rows; r++) most[r] = nothing;
  for (size_t at = 0; at < length; at += SLK_WIDTH) {
    SLK_UNROLL for (int r = 0; r < rows; r++) {
      vf v = scale * v_load(scores + (size_t)r * stride + at);
      if (length - at < SLK_WIDTH) v = v_lanes(length - at) ? v : nothing;
      most[r] = v > most[r] ? v : most[r];
    }
  }
  SLK_UNROLL for (int r = 0; r < rows; r++) {
    const float largest = v_largest(most[r]);
    shift[r] = v_set(largest == -INFINITY ? 0.0f : largest);
    sum[r] = v_set(0.0f);
  }
  for (size_t at = 0; at < stride; at += SLK_WIDTH) {
    const size_t left = length > at ? length - at : 0;
    SLK_UNROLL for (int r = 0; r < rows; r++) {
      float *place = scores + (size_t)r * stride + at;
      vf v = v_set(0.0f);
      if (left) {
        v = scale * v_load(place);
        if (left < SLK_WIDTH) v = v_lanes(left) ? v : nothing;
        v = v_exp(v - shift[r]);
      }
      v_store(place, v);
      sum[r] += v;
    }
  }
  SLK_UNROLL for (int r = 0; r < rows; r++) {
    const float total = v_sum(sum[r]);
    block->inverse_sums[first + (size_t)r] = total != 0.0f ? 1.0f / total : NAN;
  }
}

/// The keys [from, to) that a query sees.
SLK_INLINE void SLK_NAME(seen_keys)(const slk_attention_view *view, size_t query, size_t *from,
                                    size_t *to) {
  const ptrdiff_t place = view->position + (ptrdiff_t)query, count = (ptrdiff_t)view->key_count;
  // Bounds beyond the keys are no bounds; this also keeps the sums small.
  const ptrdiff_t reach = (place < 0 ? -place : place) + count;
  *from = 0;
  *to = view->key_count;
  if (view->before <= (size_t)reach) {
    const ptrdiff_t first = place - (ptrdiff_t)view->before;
    *from = first <= 0 ? 0 : first < count ? (size_t)first : view->key_count;
  }
  if (view->after <= (size_t)reach) {
    const ptrdiff_t end = place + (ptrdiff_t)view->after + 1;
    *to = end <= 0 ? 0 : end < count ? (size_t)end : view->key_count;
  }
}

static void SLK_NAME(exponentiate)(const slk_score_block *block) {
  const slk_attention_view *view = block->view;
  if (!view->bias && !view->key_mask && view->before == SIZE_MAX && view->after == SIZE_MAX &&
      view->softcap == 0.0f && !view->empty_is_zero) {
    size_t row = 0;
    for (; row + 4 <= block->rows; row += 4) SLK_NAME(exponentiate_plain)(block, row, 4);
    for (; row < block->rows; row++) SLK_NAME(exponentiate_plain)(block, row, 1);
    return;
  }
  const vf scale = v_set(view->scale), nothing = v_set(-INFINITY);
  const vf cap = v_set(view->softcap);
  for (size_t row = 0; row < block->rows; row++) {
    float *scores = block->scores + row * block->stride;
    const size_t query = block->first + row;
    const float *bias = view->bias ? view->bias + query * view->bias_row_stride : NULL;
    size_t from, to;
    SLK_NAME(seen_keys)(view, query, &from, &to);
    vf most = nothing;
    for (size_t at = 0; at < block->stride; at += SLK_WIDTH) {
      const size_t left = to > at ? to - at : 0;
      vf v = nothing;
      if (left > 0 && at + SLK_WIDTH > from) {
        v = scale * v_load(scores + at);
        if (view->softcap != 0.0f) v = cap * v_tanh(v / cap);
        if (bias) v += v_load_n(bias + at, left);
        if (view->key_mask) {
          int32_t kept[SLK_WIDTH];
          for (size_t i = 0; i < SLK_WIDTH; i++) {
            kept[i] = i < left && view->key_mask[at + i] ? -1 : 0;
          }
          vi mask;
          __builtin_memcpy(&mask, kept, sizeof mask);
          v = mask ? v : nothing;
        }
        if (left < SLK_WIDTH) v = v_lanes(left) ? v : nothing;
        if (at < from) v = v_lanes(from - at) ? nothing : v;
      }
      v_store(scores + at, v);
      most = v > most ? v : most;
    }
    const float largest = v_largest(most);
    const vf shift = v_set(largest == -INFINITY ? 0.0f : largest);
    vf sum = v_set(0.0f);
    for (size_t at = 0; at < block->stride; at += SLK_WIDTH) {
      const vf v = v_exp(v_load(scores + at) - shift);
      v_store(scores + at, v);
      sum += v;
    }
    const float total = v_sum(sum);
    // A row without a key has no sum; where it counts as zeros, so do weights that are not numbers.
    const bool has_sum = view->empty_is_zero ? total > 0.0f : total != 0.0f;
    block->inverse_sums[row] = has_sum ? 1.0f / total : view->empty_is_zero ? 0.0f : NAN;
  }
}

/// The products of `keys` keys from `key` on with one query, side by side.
SLK_INLINE void SLK_NAME(score_keys)(const slk_attention_view *view, const float *query,
                                     size_t key, const int keys, float *scores) {
  enum { most_keys = 4 };
  const float *k = view->k + key * view->k_stride;
  vf sum[most_keys];
  SLK_UNROLL for (int i = 0; i < keys; i++) sum[i] = v_set(0.0f);
  for (size_t at = 0; at < view->head_size; at += SLK_WIDTH) {
    const size_t left = view->head_size - at;
    const vf q = v_load_n(query + at, left);
    SLK_UNROLL for (int i = 0; i < keys; i++) {
      sum[i] = v_fma(q, v_load_n(k + (size_t)i * view->k_stride + at, left), sum[i]);
    }
  }
  SLK_UNROLL for (int i = 0; i < keys; i++) scores[i] = v_sum(sum[i]);
}

/// Q K^T of a block without packing.
static void SLK_NAME(score_rows)(const slk_score_block *block) {
  const slk_attention_view *view = block->view;
  for (size_t row = 0; row < block->rows; row++) {
    const float *query = view->q + (block->first + row) * view->q_stride;
    float *scores = block->scores + row * block->stride;
    size_t key = 0;
    for (; key + 4 <= view->key_count; key += 4) {
      SLK_NAME(score_keys)(view, query, key, 4, scores + key);
    }
    for (; key < view->key_count; key++) SLK_NAME(score_keys)(view, query, key, 1, scores + key);
    for (; key < block->stride; key++) scores[key] = 0.0f;
  }
}

/// The weighted sum of `vectors` vectors of the values' columns.
SLK_INLINE void SLK_NAME(mix_columns)(const slk_attention_view *view, const float *weights,
                                      size_t from, size_t to, size_t column, const int vectors,
                                      float inverse_sum, float *out) {
  enum { most_vectors = 4 };
  const size_t left = view->value_size - column;
  const float *v = view->v + column;
  vf sum[most_vectors];
  SLK_UNROLL for (int i = 0; i < vectors; i++) sum[i] = v_set(0.0f);
  for (size_t key = from; key < to; key++) {
    const vf weight = v_set(weights[key]);
    SLK_UNROLL for (int i = 0; i < vectors; i++) {
      const size_t at = (size_t)i * SLK_WIDTH;
      sum[i] = v_fma(weight, v_load_n(v + key * view->v_stride + at, left - at), sum[i]);
    }
  }
  SLK_UNROLL for (int i = 0; i < vectors; i++) {
    const size_t at = (size_t)i * SLK_WIDTH;
    const vf mixed = v_set(inverse_sum) * sum[i];
    v_store_n(out + column + at, inverse_sum == 0.0f ? v_set(0.0f) : mixed, left - at);
  }
}

/// Weights times V of a block without packing, divided by the sums of the weights.
static void SLK_NAME(mix_rows)(const slk_score_block *block) {
  const slk_attention_view *view = block->view;
  for (size_t row = 0; row < block->rows; row++) {
    const float *weights = block->scores + row * block->stride;
    float *out = view->out + (block->first + row) * view->out_stride;
    const float inverse_sum = block->inverse_sums[row];
    size_t from, to, column = 0;
    SLK_NAME(seen_keys)(view, block->first + row, &from, &to);
    for (; column + 3 * SLK_WIDTH < view->value_size; column += 4 * SLK_WIDTH) {
      SLK_NAME(mix_columns)(view, weights, from, to, column, 4, inverse_sum, out);
    }
    for (; column < view->value_size; column += SLK_WIDTH) {
      SLK_NAME(mix_columns)(view, weights, from, to, column, 1, inverse_sum, out);
    }
  }
}

static void SLK_NAME(scale_rows)(float *out, size_t stride, const float *factors, size_t rows,
                                 size_t width) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t at = 0; at < width; at += SLK_WIDTH) {
      float *place = out + row * stride + at;
      const vf scaled = factors[row] * v_load_n(place, width - at);
      v_store_n(place, factors[row] == 0.0f ? v_set(0.0f) : scaled, width - at);
    }
  }
}

/// From the exponentials of a block and dP = g V^T in `flowing`: the weights in `scores`, and
/// scale * P (dP - sum(dP P)) in `flowing`.
static void SLK_NAME(weights_back)(const slk_score_block *block, float *flowing) {
  const size_t stride = block->stride, length = block->view->key_count;
  for (size_t row = 0; row < block->rows; row++) {
    float *weights = block->scores + row * stride, *back = flowing + row * stride;
    if (block->inverse_sums[row] == 0.0f) {
      memset(weights, 0, stride * sizeof *weights), memset(back, 0, stride * sizeof *back);
      continue;
    }
    const vf inverse = v_set(block->inverse_sums[row]), scale = v_set(block->view->scale);
    vf dot = v_set(0.0f);
    for (size_t at = 0; at < stride; at += SLK_WIDTH) {
      const vf p = v_load(weights + at) * inverse;
      v_store(weights + at, p);
      const size_t left = length > at ? length - at : 0;
      dot = v_fma(p, v_keep(v_load(back + at), left), dot);
    }
    const vf whole = v_set(v_sum(dot));
    for (size_t at = 0; at < stride; at += SLK_WIDTH) {
      v_store(back + at, scale * v_load(weights + at) * (v_load(back + at) - whole));
    }
  }
}
