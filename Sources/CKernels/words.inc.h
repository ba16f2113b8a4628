/// Columns begin ..< end in groups of `group` vectors' widths, a constant so that they stay in
/// registers: `at` is the first column of a group.
#define SLK_GROUPS(...)                                                                    \
  for (size_t at = begin, group_end; at < end; at = group_end) {                           \
    const size_t left = (end - at) / SLK_WIDTH;                                            \
    group_end = at + (left < 4 ? left : 4) * SLK_WIDTH;                                    \
    switch (left) {                                                                        \
      case 1: { const size_t group = 1; __VA_ARGS__; break; }                              \
      case 2: { const size_t group = 2; __VA_ARGS__; break; }                              \
      case 3: { const size_t group = 3; __VA_ARGS__; break; }                              \
      default: { const size_t group = 4; __VA_ARGS__; break; }                             \
    }                                                                                      \
  }

/// The mean of `n` rows.
SLK_INLINE void SLK_NAME(mean)(const float *table, size_t stride, const int32_t *rows, int32_t n,
                               size_t at, const size_t group, vf mean[4]) {
  const float *row = table + (size_t)rows[0] * stride + at;
  for (size_t g = 0; g < group; g++) mean[g] = v_load(row + g * SLK_WIDTH);
  if (n == 1) return;
  for (int32_t i = 1; i < n; i++) {
    row = table + (size_t)rows[i] * stride + at;
    for (size_t g = 0; g < group; g++) mean[g] += v_load(row + g * SLK_WIDTH);
  }
  for (size_t g = 0; g < group; g++) mean[g] *= 1.0f / (float)n;
}

SLK_INLINE void SLK_NAME(store_mean)(const float *table, size_t stride, const int32_t *rows,
                                     int32_t n, size_t at, const size_t group, float *target) {
  vf mean[4];
  SLK_NAME(mean)(table, stride, rows, n, at, group, mean);
  for (size_t g = 0; g < group; g++) v_store(target + at + g * SLK_WIDTH, mean[g]);
}

// Scores --------------------------------------------------------------------------------------

/// Asks for the rows of a word that soon comes: the tables are larger than the near caches.
SLK_INLINE void SLK_NAME(fetch)(const slk_word_tables *tables, const slk_word_batch *batch,
                                size_t place, size_t begin, size_t end) {
  if (place >= batch->last || batch->words[place] < 0) return;
  const size_t outputs = tables->shape.outputs;
  const int32_t *drawn = batch->drawn + (place - batch->first) * outputs;
  for (size_t k = 0; k < outputs; k++) {
    const float *row = tables->output + (size_t)drawn[k] * tables->stride;
    for (size_t at = begin; at < end; at += 16) __builtin_prefetch(row + at);
  }
  const float *own = tables->input + (size_t)batch->words[place] * tables->stride;
  for (size_t at = begin; at < end; at += 16) __builtin_prefetch(own + at);
}

/// `count` is a constant where it matters, so that the sums stay in registers.
SLK_INLINE void SLK_NAME(dots)(const float *x, const float *table, size_t stride,
                               const int32_t *rows, const size_t count, size_t begin, size_t end,
                               float *dots) {
  vf sums[SLK_MOST_WORD_OUTPUTS];
  for (size_t k = 0; k < count; k++) sums[k] = v_set(0.0f);
  for (size_t at = begin; at < end; at += SLK_WIDTH) {
    const vf value = v_load(x + at);
    for (size_t k = 0; k < count; k++) {
      sums[k] = v_fma(value, v_load(table + (size_t)rows[k] * stride + at), sums[k]);
    }
  }
  for (size_t k = 0; k < count; k++) dots[k] = v_sum(sums[k]);
}

SLK_INLINE size_t SLK_NAME(scores_of)(const slk_word_tables *tables, const slk_word_batch *batch,
                                    const size_t outputs, size_t begin, size_t end,
                                    float *scores) {
  const float *start = scores;
  int32_t ends[2 * SLK_MOST_WORD_REACH];
  const size_t stride = tables->stride;
  for (size_t place = batch->first; place < batch->last; place++) {
    const size_t index = place - batch->first;
    SLK_NAME(fetch)(tables, batch, place + 4, begin, end);
    const int32_t *drawn = batch->drawn + index * outputs;
    const size_t examples = list_rows(tables, batch->words + place, batch->reaches[index],
                                      batch->rows, ends);
    int32_t first = 0;
    for (size_t e = 0; e < examples; first = ends[e++], scores += outputs) {
      const int32_t *rows = batch->rows + first, n = ends[e] - first;
      const float *x = tables->input + (size_t)rows[0] * stride;
      if (n > 1) {
        SLK_GROUPS(
            SLK_NAME(store_mean)(tables->input, stride, rows, n, at, group, batch->mean))
        x = batch->mean;
      }
      SLK_NAME(dots)(x, tables->output, stride, drawn, outputs, begin, end, scores);
    }
  }
  return (size_t)(scores - start);
}

static size_t SLK_NAME(word_scores)(const slk_word_tables *tables, const slk_word_batch *batch,
                                  size_t begin, size_t end, float *scores) {
  if (tables->shape.outputs == 6) return SLK_NAME(scores_of)(tables, batch, 6, begin, end, scores);
  return SLK_NAME(scores_of)(tables, batch, tables->shape.outputs, begin, end, scores);
}

// Steps ---------------------------------------------------------------------------------------

/// What examples are off by if nothing of what they have is right: -rate sigmoid(score).
/// @return The loss then, where it is wanted: the sum of -log sigmoid(-score).
SLK_INLINE double SLK_NAME(errors_of)(const slk_word_sums *sums, float rate, bool wants_loss,
                                      float *errors) {
  vf loss = v_set(0.0f);
  for (size_t at = 0, left = sums->count; at < sums->count;
       at += SLK_WIDTH, left = sums->count - at) {
    vf score = v_load_n(sums->scores + at, left);
    for (size_t p = 1; p < sums->parts; p++) {
      score += v_load_n(sums->scores + p * sums->part + at, left);
    }
    v_store_n(errors + at, v_sigmoid(score) * -rate, left);
    if (wants_loss) loss += v_keep(v_softplus(score), left);
  }
  return v_sum(loss);
}

/// The first output of each example is right after all, and none is held against itself.
/// @param at  The place of the first example among all scores.
/// @return What that adds to the loss, where it is wanted.
SLK_INLINE double SLK_NAME(correct)(const slk_word_sums *sums, size_t at, const int32_t *drawn,
                                    size_t examples, const size_t outputs, float rate,
                                    bool wants_loss, float *errors) {
  double loss = 0.0;
  for (size_t e = 0; e < examples; e++, at += outputs) {
    errors[at] += rate;
    // log sigmoid(-x) is log sigmoid(x) - x.
    for (size_t p = 0; wants_loss && p < sums->parts; p++) loss -= sums->scores[p * sums->part + at];
    for (size_t k = 1; k < outputs; k++) {
      if (drawn[k] != drawn[0]) continue;
      errors[at + k] = 0.0f;
      float score = 0.0f;
      for (size_t p = 0; p < sums->parts; p++) score += sums->scores[p * sums->part + at + k];
      loss -= v_softplus(v_set(score))[0];
    }
  }
  return loss;
}

/// The rows of an example and of its outputs move, a group of columns of them.
SLK_INLINE void SLK_NAME(move)(const slk_word_tables *tables, const int32_t *drawn,
                               const int32_t *rows, int32_t n, const size_t outputs,
                               const float *errors, size_t at, const size_t group) {
  const size_t stride = tables->stride;
  vf x[4], move[4];
  SLK_NAME(mean)(tables->input, stride, rows, n, at, group, x);
  for (size_t g = 0; g < group; g++) move[g] = v_set(0.0f);
  for (size_t k = 0; k < outputs; k++) {
    float *row = tables->output + (size_t)drawn[k] * stride + at;
    const vf error = v_set(errors[k]);
    for (size_t g = 0; g < group; g++) {
      const vf held = v_load(row + g * SLK_WIDTH);
      move[g] = v_fma(error, held, move[g]);
      v_store(row + g * SLK_WIDTH, v_fma(error, x[g], held));
    }
  }
  for (int32_t i = 0; i < n; i++) {
    float *row = tables->input + (size_t)rows[i] * stride + at;
    for (size_t g = 0; g < group; g++) {
      v_store(row + g * SLK_WIDTH, v_load(row + g * SLK_WIDTH) + move[g]);
    }
  }
}

SLK_INLINE void SLK_NAME(steps_of)(const slk_word_tables *tables, const slk_word_batch *batch,
                                   const size_t outputs, size_t begin, size_t end,
                                   const slk_word_sums *sums, float rate, double *loss) {
  int32_t ends[2 * SLK_MOST_WORD_REACH];
  const bool wants_loss = loss != NULL;
  float *errors = batch->errors;
  double sum = SLK_NAME(errors_of)(sums, rate, wants_loss, errors);
  size_t at_score = 0;
  for (size_t place = batch->first; place < batch->last; place++) {
    const size_t index = place - batch->first;
    const int32_t *drawn = batch->drawn + index * outputs;
    const size_t examples = list_rows(tables, batch->words + place, batch->reaches[index],
                                      batch->rows, ends);
    sum += SLK_NAME(correct)(sums, at_score, drawn, examples, outputs, rate, wants_loss, errors);
    int32_t first = 0;
    for (size_t e = 0; e < examples; first = ends[e++], at_score += outputs) {
      SLK_GROUPS(SLK_NAME(move)(tables, drawn, batch->rows + first, ends[e] - first, outputs,
                                errors + at_score, at, group))
    }
  }
  if (!wants_loss) return;
  loss[0] += sum;
  loss[1] += (double)sums->count / (double)outputs;
}

static void SLK_NAME(word_steps)(const slk_word_tables *tables, const slk_word_batch *batch,
                                 size_t begin, size_t end, const slk_word_sums *sums, float rate,
                                 double *loss) {
  if (tables->shape.outputs == 6) {
    SLK_NAME(steps_of)(tables, batch, 6, begin, end, sums, rate, loss);
  } else {
    SLK_NAME(steps_of)(tables, batch, tables->shape.outputs, begin, end, sums, rate, loss);
  }
}

#undef SLK_GROUPS
