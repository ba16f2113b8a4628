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

void SLK_NAME(slk_finish)(SLK_EPILOGUE_PARAMETERS) {
  const slk_epilogue *e = epilogue;
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
    const float *sums = tile + i * ld;
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
