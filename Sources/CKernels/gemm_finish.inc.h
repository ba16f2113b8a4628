// The end of a tile of float32 sums: a light epilogue on their way from the registers to C, none where
// there is no epilogue to a whole tile.

SLK_INLINE void SLK_NAME(store_finished)(const int rows, const int vectors,
                                         vf acc[SLK_MOST_ROWS][SLK_MOST_VECTORS], float *out,
                                         size_t ldo, const slk_epilogue *e, size_t row,
                                         size_t column) {
  if (e && e->bias) {
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      const vf bias = v_load(e->bias + column + (size_t)j * SLK_WIDTH);
      SLK_UNROLL for (int i = 0; i < rows; i++) acc[i][j] += bias;
    }
  }
  if (e && e->residual) {
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      const float *from = e->residual + (row + (size_t)i) * e->residual_row_stride + column;
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] += v_load(from + (size_t)j * SLK_WIDTH);
    }
  }
  const vf zero = v_set(0.0f);
  if (e && e->activation == SLK_UNARY_RELU) {
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = acc[i][j] < zero ? zero : acc[i][j];
    }
  } else if (e && e->activation == SLK_UNARY_HARD_SWISH) {
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      SLK_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = v_hard_swish(acc[i][j]);
    }
  }
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    SLK_UNROLL for (int j = 0; j < vectors; j++) {
      v_store(out + (size_t)i * ldo + (size_t)j * SLK_WIDTH, acc[i][j]);
    }
  }
}
