SLK_INLINE void SLK_NAME(add_residual)(const slk_epilogue *e, float *tile, size_t ld, size_t rows,
                                       size_t width, size_t row, size_t column) {
  const vf beta = v_set(e->beta);
  for (size_t i = 0; i < rows; i++) {
    const float *source = e->residual + (row + i) * e->residual_row_stride;
    if (e->residual_column_stride) source += column;
    float *sums = tile + i * ld;
    for (size_t j = 0; j < width; j += SLK_WIDTH) {
      vf r = e->residual_column_stride ? v_load_n(source + j, width - j) : v_set(*source);
      v_store(sums + j, v_load(sums + j) + beta * r);
    }
  }
}

/// `left` elements of v where the gate is open, 0 elsewhere.
SLK_INLINE vf SLK_NAME(gated)(const slk_epilogue *e, vf v, size_t row, size_t column, size_t left) {
  if (!e->gate) return v;
  const vf zero = v_set(0.0f);
  return v_load_n(e->gate + row * e->gate_row_stride + column, left) > zero ? v : zero;
}

/// One pass over a tile for the epilogues that models use: bias, activation, residual.
#define SLK_FINISH_TILE(activation)                                                           \
  for (size_t j = 0; j < width; j += SLK_WIDTH) {                                             \
    const size_t left = width - j;                                                            \
    const vf bias = e->bias ? v_load_n(e->bias + column + j, left) : v_set(0.0f);             \
    for (size_t i = 0; i < rows; i++) {                                                       \
      vf v = v_load(tile + i * ld + j) + bias, r = v_set(0.0f);                               \
      if (e->residual) {                                                                      \
        r = v_load_n(e->residual + (row + i) * e->residual_row_stride + column + j, left);    \
      }                                                                                       \
      if (e->residual && e->residual_first) v += r;                                           \
      v = (activation);                                                                       \
      if (e->residual && !e->residual_first) v += r;                                          \
      v = SLK_NAME(gated)(e, v, row + i, column + j, left);                                   \
      v_store_n((float *)c + (row + i) * ldc + column + j, v, left);                          \
    }                                                                                         \
  }                                                                                           \
  return true

SLK_INLINE bool SLK_NAME(finish_in_one_pass)(SLK_EPILOGUE_PARAMETERS) {
  const slk_epilogue *e = epilogue;
  const bool is_plain = e->alpha == 1.0f && !e->accumulate && !e->store_bf16 &&
                        (!e->residual || (e->beta == 1.0f && e->residual_column_stride == 1));
  if (!is_plain) return false;
  const vf zero = v_set(0.0f), one = v_set(1.0f);
  switch (e->activation) {
    case SLK_UNARY_IDENTITY: SLK_FINISH_TILE(v);
    case SLK_UNARY_GELU_ERF: SLK_FINISH_TILE(v_gelu_erf(v));
    case SLK_UNARY_GELU_FAST: SLK_FINISH_TILE(v_gelu_fast(v));
    case SLK_UNARY_RELU: SLK_FINISH_TILE(v < zero ? zero : v);
    case SLK_UNARY_SILU:
      if (e->activation_p == 1.0f) {
        SLK_FINISH_TILE(v_silu(v));
      } else {
        SLK_FINISH_TILE(v * v_sigmoid(v_set(e->activation_p) * v));
      }
    case SLK_UNARY_HARD_SWISH: {
      vf w;
      SLK_FINISH_TILE((w = v * (1.0f / 6.0f) + 0.5f, w = w < zero ? zero : w,
                       v * (w > one ? one : w)));
    }
    case SLK_UNARY_CLIP: {
      const vf low = v_set(e->activation_p), high = v_set(e->activation_q);
      SLK_FINISH_TILE((v = v < low ? low : v, v > high ? high : v));
    }
    default: return false;
  }
}
#undef SLK_FINISH_TILE

void SLK_NAME(slk_finish)(SLK_EPILOGUE_PARAMETERS) {
  const slk_epilogue *e = epilogue;
  if (SLK_NAME(finish_in_one_pass)(epilogue, tile, ld, rows, width, row, column, c, ldc)) return;
  const vf alpha = v_set(e->alpha);
  if (e->bias) {
    for (size_t j = 0; j < width; j += SLK_WIDTH) {
      const vf bias = v_load_n(e->bias + column + j, width - j);
      for (size_t i = 0; i < rows; i++) {
        float *sums = tile + i * ld + j;
        v_store(sums, alpha * v_load(sums) + bias);
      }
    }
  } else if (e->alpha != 1.0f) {
    for (size_t i = 0; i < rows * ld; i += SLK_WIDTH) v_store(tile + i, alpha * v_load(tile + i));
  }
  if (e->residual && e->residual_first) {
    SLK_NAME(add_residual)(e, tile, ld, rows, width, row, column);
  }
  if (e->activation) {
    SLK_NAME(slk_unary)(e->activation, tile, tile, rows * ld, e->activation_p, e->activation_q);
  }
  if (e->residual && !e->residual_first) {
    SLK_NAME(add_residual)(e, tile, ld, rows, width, row, column);
  }
  for (size_t i = 0; i < rows; i++) {
    float *sums = tile + i * ld;
    for (size_t j = 0; e->gate && j < width; j += SLK_WIDTH) {
      v_store(sums + j, SLK_NAME(gated)(e, v_load(sums + j), row + i, column + j, width - j));
    }
    if (e->store_bf16) {
      slk_bf16_from_f32(sums, (uint16_t *)c + (row + i) * ldc + column, width);
      continue;
    }
    float *out = (float *)c + (row + i) * ldc + column;
    for (size_t j = 0; j < width; j += SLK_WIDTH) {
      vf v = v_load(sums + j);
      if (e->accumulate) v += v_load_n(out + j, width - j);
      v_store_n(out + j, v, width - j);
    }
  }
}
