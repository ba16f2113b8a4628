static void SLK_NAME(exponentiate)(const slk_score_block *block) {
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
