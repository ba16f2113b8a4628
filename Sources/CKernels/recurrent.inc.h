// A tile is a few rows by one vector of units with all of their gates.

#if defined(SLK_IS_AVX512)
#define SLK_STEP_ROWS 6
#else
#define SLK_STEP_ROWS 2
#endif

/// sums[i][g] += h[i] R for one block of units, over `terms` of the state.
SLK_INLINE void SLK_NAME(step_product)(const int rows, const int gates, size_t terms,
                                       const float *h, size_t h_stride, const float *w,
                                       vf sums[SLK_STEP_ROWS][SLK_LSTM_GATES]) {
  for (size_t k = 0; k < terms; k++, w += (size_t)gates * SLK_WIDTH) {
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

/// Rows of a step from `row` on, at unit `unit`.
typedef struct {
  const float *h, *sums, *inner;
  float *c, *out, *kept;
} SLK_NAME(step_place);

SLK_INLINE SLK_NAME(step_place) SLK_NAME(place_of)(const slk_recurrent_step *s, size_t row,
                                                   size_t unit) {
  return (SLK_NAME(step_place)){
      .h = s->h + row * s->h_stride,
      .sums = s->sums + row * s->sums_stride + unit,
      .inner = s->inner ? s->inner + unit : NULL,
      .c = s->c ? s->c + row * s->size + unit : NULL,
      .out = s->out + row * s->out_stride + unit,
      .kept = s->kept ? s->kept + row * s->kept_stride + unit : NULL,
  };
}

SLK_INLINE void SLK_NAME(lstm_tile)(const int rows, const slk_recurrent_step *s, size_t row,
                                    size_t unit, const float *w) {
  const size_t size = s->size, left = size - unit;
  const SLK_NAME(step_place) at = SLK_NAME(place_of)(s, row, unit);
  vf gate[SLK_STEP_ROWS][SLK_LSTM_GATES];
  SLK_NAME(fetch_sums)(rows, SLK_LSTM_GATES, size, unit, at.sums - unit, s->sums_stride);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    SLK_UNROLL for (int g = 0; g < SLK_LSTM_GATES; g++) {
      gate[i][g] = v_load_n(at.sums + (size_t)i * s->sums_stride + (size_t)g * size, left);
    }
  }
  SLK_NAME(step_product)(rows, SLK_LSTM_GATES, s->h_is_zero ? 0 : size, at.h, s->h_stride, w, gate);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    float *memory = at.c + (size_t)i * size;
    const vf forget = v_sigmoid(gate[i][2]), input = v_sigmoid(gate[i][0]);
    const vf candidate = v_tanh(gate[i][3]), output = v_sigmoid(gate[i][1]);
    const vf now = v_fma(input, candidate, forget * v_load_n(memory, left));
    const vf shown = output * v_tanh(now);
    v_store_n(memory, now, left);
    v_store_n(at.out + (size_t)i * s->out_stride, shown, left);
    if (!at.kept) continue;
    const vf kept[6] = {input, output, forget, candidate, now, shown};
    float *place = at.kept + (size_t)i * s->kept_stride;
    SLK_UNROLL for (int g = 0; g < 6; g++) v_store_n(place + (size_t)g * size, kept[g], left);
  }
}

SLK_INLINE void SLK_NAME(gru_tile)(const int rows, const slk_recurrent_step *s, size_t row,
                                   size_t unit, const float *w) {
  const size_t size = s->size, left = size - unit;
  const SLK_NAME(step_place) at = SLK_NAME(place_of)(s, row, unit);
  vf gate[SLK_STEP_ROWS][SLK_LSTM_GATES];
  SLK_NAME(fetch_sums)(rows, SLK_GRU_GATES, size, unit, at.sums - unit, s->sums_stride);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    const float *own = at.sums + (size_t)i * s->sums_stride;
    gate[i][0] = v_load_n(own, left);
    gate[i][1] = v_load_n(own + size, left);
    gate[i][2] = v_load_n(at.inner, left);
  }
  SLK_NAME(step_product)(rows, SLK_GRU_GATES, s->h_is_zero ? 0 : size, at.h, s->h_stride, w, gate);
  SLK_UNROLL for (int i = 0; i < rows; i++) {
    const vf own = v_load_n(at.sums + (size_t)i * s->sums_stride + 2 * size, left);
    const vf reset = v_sigmoid(gate[i][1]), update = v_sigmoid(gate[i][0]);
    const vf candidate = v_tanh(v_fma(reset, gate[i][2], own));
    const vf before = v_load_n(at.h + (size_t)i * s->h_stride + unit, left);
    const vf now = v_fma(1.0f - update, candidate, update * before);
    v_store_n(at.out + (size_t)i * s->out_stride, now, left);
    if (!at.kept) continue;
    const vf kept[5] = {update, reset, candidate, gate[i][2], now};
    float *place = at.kept + (size_t)i * s->kept_stride;
    SLK_UNROLL for (int g = 0; g < 5; g++) v_store_n(place + (size_t)g * size, kept[g], left);
  }
}

SLK_INLINE void SLK_NAME(step_tile)(const int gates, const int rows, const slk_recurrent_step *s,
                                    size_t row, size_t unit, const float *w) {
  if (gates == SLK_LSTM_GATES) {
    SLK_NAME(lstm_tile)(rows, s, row, unit, w);
  } else {
    SLK_NAME(gru_tile)(rows, s, row, unit, w);
  }
}

SLK_INLINE void SLK_NAME(walk_blocks)(const int gates, const slk_recurrent_step *s,
                                      size_t block_begin, size_t block_end) {
  if (s->rows == 1) SLK_NAME(fetch_state)(s->size, s->h);
  for (size_t turn = block_begin; turn < block_end; turn++) {
    const size_t block = s->descends ? block_begin + block_end - 1 - turn : turn;
    const size_t unit = block * SLK_WIDTH;
    const float *w = (const float *)s->packed + unit * (size_t)gates * s->size;
    // Tiles of nearly equal rows: a single one would wait for the weights.
    const size_t tiles = slk_divide_up(s->rows, SLK_STEP_ROWS);
    size_t row = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
      const size_t end = s->rows * (tile + 1) / tiles;
      switch (end - row) {
        case 1: SLK_NAME(step_tile)(gates, 1, s, row, unit, w); break;
        case 2: SLK_NAME(step_tile)(gates, 2, s, row, unit, w); break;
#if SLK_STEP_ROWS > 2
        case 3: SLK_NAME(step_tile)(gates, 3, s, row, unit, w); break;
        case 4: SLK_NAME(step_tile)(gates, 4, s, row, unit, w); break;
        case 5: SLK_NAME(step_tile)(gates, 5, s, row, unit, w); break;
        default: SLK_NAME(step_tile)(gates, 6, s, row, unit, w); break;
#endif
      }
      row = end;
    }
  }
}

static void SLK_NAME(lstm_step)(const slk_recurrent_step *step, size_t block_begin,
                                size_t block_end) {
  SLK_NAME(walk_blocks)(SLK_LSTM_GATES, step, block_begin, block_end);
}

static void SLK_NAME(gru_step)(const slk_recurrent_step *step, size_t block_begin,
                               size_t block_end) {
  SLK_NAME(walk_blocks)(SLK_GRU_GATES, step, block_begin, block_end);
}
#undef SLK_STEP_ROWS
