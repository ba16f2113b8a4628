// A tile is a few rows by one vector of units with all of their gates.

#if defined(SLK_IS_AVX512)
#define SLK_STEP_ROWS 6
#else
#define SLK_STEP_ROWS 2
#endif

/// sums[i][g] += h[i] R for one block of units.
SLK_INLINE void SLK_NAME(step_product)(const int rows, const int gates, size_t size,
                                       const float *h, size_t h_stride, const float *w,
                                       vf sums[SLK_STEP_ROWS][SLK_LSTM_GATES]) {
  for (size_t k = 0; k < size; k++, w += (size_t)gates * SLK_WIDTH) {
    vf right[SLK_LSTM_GATES];
    SLK_UNROLL for (int g = 0; g < gates; g++) right[g] = v_load(w + (size_t)g * SLK_WIDTH);
    SLK_UNROLL for (int i = 0; i < rows; i++) {
      const vf left = v_set(h[(size_t)i * h_stride + k]);
      SLK_UNROLL for (int g = 0; g < gates; g++) sums[i][g] = v_fma(left, right[g], sums[i][g]);
    }
  }
}

/// Fetches the sums of the next block of units: another processor may have written them, and the
/// product that starts with them would wait.
SLK_INLINE void SLK_NAME(fetch_sums)(const int rows, const int gates, size_t size, size_t unit,
                                     const float *sums, size_t sums_stride) {
  if (unit + SLK_WIDTH >= size) return;
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    SLK_UNROLL for (int g = 0; g < gates; g++) {
      const float *row = sums + (size_t)i * sums_stride + (size_t)g * size;
      __builtin_prefetch(row + unit + SLK_WIDTH, 0, 3);
    }
  }
}

/// Fetches the states, for the same reason.
SLK_INLINE void SLK_NAME(fetch_state)(size_t size, const float *h) {
  for (size_t k = 0; k < size; k += 64 / sizeof(float)) __builtin_prefetch(h + k, 0, 3);
}

SLK_INLINE void SLK_NAME(lstm_tile)(const int rows, size_t size, size_t unit, const float *h,
                                    size_t h_stride, const float *w, const float *sums,
                                    size_t sums_stride, float *c, float *out, size_t out_stride) {
  const size_t left = size - unit;
  vf gate[SLK_STEP_ROWS][SLK_LSTM_GATES];
  SLK_NAME(fetch_sums)(rows, SLK_LSTM_GATES, size, unit, sums, sums_stride);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    SLK_UNROLL for (int g = 0; g < SLK_LSTM_GATES; g++) {
      gate[i][g] = v_load_n(sums + (size_t)i * sums_stride + (size_t)g * size + unit, left);
    }
  }
  SLK_NAME(step_product)(rows, SLK_LSTM_GATES, size, h, h_stride, w, gate);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    float *memory = c + (size_t)i * size + unit;
    const vf kept = v_sigmoid(gate[i][2]) * v_load_n(memory, left);
    const vf now = v_fma(v_sigmoid(gate[i][0]), v_tanh(gate[i][3]), kept);
    v_store_n(memory, now, left);
    v_store_n(out + (size_t)i * out_stride + unit, v_sigmoid(gate[i][1]) * v_tanh(now), left);
  }
}

SLK_INLINE void SLK_NAME(gru_tile)(const int rows, size_t size, size_t unit, const float *h,
                                   size_t h_stride, const float *w, const float *sums,
                                   size_t sums_stride, const float *inner, float *out,
                                   size_t out_stride) {
  const size_t left = size - unit;
  vf gate[SLK_STEP_ROWS][SLK_LSTM_GATES];
  SLK_NAME(fetch_sums)(rows, SLK_GRU_GATES, size, unit, sums, sums_stride);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    const float *row = sums + (size_t)i * sums_stride + unit;
    gate[i][0] = v_load_n(row, left);
    gate[i][1] = v_load_n(row + size, left);
    gate[i][2] = v_load_n(inner + unit, left);
  }
  SLK_NAME(step_product)(rows, SLK_GRU_GATES, size, h, h_stride, w, gate);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    const vf own = v_load_n(sums + (size_t)i * sums_stride + 2 * size + unit, left);
    const vf candidate = v_tanh(v_fma(v_sigmoid(gate[i][1]), gate[i][2], own));
    const vf update = v_sigmoid(gate[i][0]);
    const vf before = v_load_n(h + (size_t)i * h_stride + unit, left);
    const vf kept = update * before;
    v_store_n(out + (size_t)i * out_stride + unit, v_fma(1.0f - update, candidate, kept), left);
  }
}

static void SLK_NAME(lstm_step)(size_t size, const float *h, size_t h_stride, const float *packed,
                                const float *sums, size_t sums_stride, float *c, float *out,
                                size_t out_stride, size_t rows, size_t block_begin,
                                size_t block_end) {
  if (rows == 1) SLK_NAME(fetch_state)(size, h);
  for (size_t block = block_begin; block < block_end; block++) {
    const float *w = packed + block * SLK_WIDTH * SLK_LSTM_GATES * size;
    size_t row = 0;
    for (; row + SLK_STEP_ROWS <= rows; row += SLK_STEP_ROWS) {
      SLK_NAME(lstm_tile)(SLK_STEP_ROWS, size, block * SLK_WIDTH, h + row * h_stride, h_stride, w,
                          sums + row * sums_stride, sums_stride, c + row * size,
                          out + row * out_stride, out_stride);
    }
    for (; row < rows; row++) {
      SLK_NAME(lstm_tile)(1, size, block * SLK_WIDTH, h + row * h_stride, h_stride, w,
                          sums + row * sums_stride, sums_stride, c + row * size,
                          out + row * out_stride, out_stride);
    }
  }
}

static void SLK_NAME(gru_step)(size_t size, const float *h, size_t h_stride, const float *packed,
                               const float *sums, size_t sums_stride, const float *inner,
                               float *out, size_t out_stride, size_t rows, size_t block_begin,
                               size_t block_end) {
  if (rows == 1) SLK_NAME(fetch_state)(size, h);
  for (size_t block = block_begin; block < block_end; block++) {
    const float *w = packed + block * SLK_WIDTH * SLK_GRU_GATES * size;
    size_t row = 0;
    for (; row + SLK_STEP_ROWS <= rows; row += SLK_STEP_ROWS) {
      SLK_NAME(gru_tile)(SLK_STEP_ROWS, size, block * SLK_WIDTH, h + row * h_stride, h_stride, w,
                         sums + row * sums_stride, sums_stride, inner, out + row * out_stride,
                         out_stride);
    }
    for (; row < rows; row++) {
      SLK_NAME(gru_tile)(1, size, block * SLK_WIDTH, h + row * h_stride, h_stride, w,
                         sums + row * sums_stride, sums_stride, inner, out + row * out_stride,
                         out_stride);
    }
  }
}
#undef SLK_STEP_ROWS
