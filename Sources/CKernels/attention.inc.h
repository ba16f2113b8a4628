/// The softmax weights of `rows` rows without bias or mask, side by side so that their sums and
/// maxima overlap. Each row has the arithmetic it has alone.
SLK_INLINE void SLK_NAME(exponentiate_plain)(const slk_score_block *block, size_t first,
                                             const int rows) {
  enum { most_rows = 4 };
  const vf scale = v_set(block->attention->scale), nothing = v_set(-INFINITY);
  const size_t stride = block->stride, length = block->length;
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

static void SLK_NAME(exponentiate)(const slk_score_block *block) {
  if (!block->bias && !block->key_mask && !block->attention->causal) {
    size_t row = 0;
    for (; row + 4 <= block->rows; row += 4) SLK_NAME(exponentiate_plain)(block, row, 4);
    for (; row < block->rows; row++) SLK_NAME(exponentiate_plain)(block, row, 1);
    return;
  }
  const slk_attention *attention = block->attention;
  const vf scale = v_set(attention->scale), nothing = v_set(-INFINITY);
  for (size_t row = 0; row < block->rows; row++) {
    float *scores = block->scores + row * block->stride;
    const size_t query = block->first + row;
    const size_t seen = attention->causal ? query + 1 : block->length;
    const float *bias = block->bias ? block->bias + query * attention->bias_row_stride : NULL;
    vf most = nothing;
    for (size_t at = 0; at < block->stride; at += SLK_WIDTH) {
      const size_t left = seen > at ? seen - at : 0;
      vf v = scale * v_load(scores + at);
      if (bias) v += v_load_n(bias + (left ? at : 0), left);
      if (block->key_mask && left) {
        int32_t kept[SLK_WIDTH];
        for (size_t i = 0; i < SLK_WIDTH; i++) {
          kept[i] = i < left && block->key_mask[at + i] ? -1 : 0;
        }
        vi mask;
        __builtin_memcpy(&mask, kept, sizeof mask);
        v = mask ? v : nothing;
      }
      if (left < SLK_WIDTH) v = v_lanes(left) ? v : nothing;
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
    // Without a key every weight is 0; scores of -infinity alone give what softmax gives, NaN.
    block->inverse_sums[row] =
        total != 0.0f ? 1.0f / total : block->key_mask != NULL ? 0.0f : NAN;
  }
}

static void SLK_NAME(scale_rows)(float *out, size_t stride, const float *factors, size_t rows,
                                 size_t width) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t at = 0; at < width; at += SLK_WIDTH) {
      float *place = out + row * stride + at;
      v_store_n(place, factors[row] * v_load_n(place, width - at), width - at);
    }
  }
}
