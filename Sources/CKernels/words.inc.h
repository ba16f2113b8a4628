/// Vectors of columns that are worked on together: the outputs of a word stay in registers then.
#define SLK_GROUP (SLK_WIDTH == 16 ? 2 : 1)

/// Columns 0 ..< stride in groups of `group` vectors' widths, a constant: `at` is the first column of
/// a group.
#define SLK_GROUPS(...)                                                                    \
  for (size_t at = 0; at < stride;) {                                                      \
    if (SLK_GROUP == 2 && stride - at >= 2 * SLK_WIDTH) {                                  \
      const size_t group = 2;                                                              \
      __VA_ARGS__;                                                                         \
      at += 2 * SLK_WIDTH;                                                                 \
    } else {                                                                               \
      const size_t group = 1;                                                              \
      __VA_ARGS__;                                                                         \
      at += SLK_WIDTH;                                                                     \
    }                                                                                      \
  }

/// Stores the mean of `n` rows, a group of columns of it.
SLK_INLINE void SLK_NAME(store_mean)(const float *table, size_t stride, const int32_t *rows,
                                     int32_t n, size_t at, const size_t group, float *target) {
  vf mean[SLK_GROUP];
  for (size_t g = 0; g < group; g++) mean[g] = v_set(0.0f);
  for (int32_t i = 0; i < n; i++) {
    const float *row = table + (size_t)rows[i] * stride + at;
    for (size_t g = 0; g < group; g++) mean[g] += v_load(row + g * SLK_WIDTH);
  }
  for (size_t g = 0; g < group; g++) v_store(target + at + g * SLK_WIDTH, mean[g] * (1.0f / (float)n));
}

// Scores --------------------------------------------------------------------------------------

/// Asks for the rows of a word that soon comes: the tables are larger than the near caches.
SLK_INLINE void SLK_NAME(fetch)(const slk_word_tables *tables, const slk_word_batch *batch,
                                size_t place) {
  if (place >= batch->last || batch->words[place] < 0) return;
  const size_t outputs = tables->shape.outputs;
  const int32_t *drawn = batch->drawn + (place - batch->first) * outputs;
  for (size_t k = 0; k < outputs; k++) {
    const float *row = tables->output + (size_t)drawn[k] * tables->stride;
    for (size_t at = 0; at < tables->stride; at += 16) __builtin_prefetch(row + at);
  }
  const float *own = tables->input + (size_t)batch->words[place] * tables->stride;
  for (size_t at = 0; at < tables->stride; at += 16) __builtin_prefetch(own + at);
}

/// Dot products of each of `examples` rows, one or two, with `outputs` rows of a table: constants
/// where it matters, so that the sums stay in registers.
SLK_INLINE void SLK_NAME(dots)(const float *const *x, const size_t examples, const float *table,
                               size_t stride, const int32_t *rows, const size_t outputs,
                               float *dots) {
  vf sums[2 * SLK_MOST_WORD_OUTPUTS + SLK_WIDTH];
  const size_t count = examples * outputs;
  const size_t whole = (count + SLK_WIDTH - 1) / SLK_WIDTH * SLK_WIDTH;
  for (size_t i = 0; i < whole; i++) sums[i] = v_set(0.0f);
  for (size_t at = 0; at < stride; at += SLK_WIDTH) {
    const vf first = v_load(x[0] + at), second = v_load(x[examples - 1] + at);
    for (size_t k = 0; k < outputs; k++) {
      const vf held = v_load(table + (size_t)rows[k] * stride + at);
      sums[k] = v_fma(first, held, sums[k]);
      if (examples == 2) sums[outputs + k] = v_fma(second, held, sums[outputs + k]);
    }
  }
  for (size_t i = 0; i < count; i += SLK_WIDTH) v_store_n(dots + i, v_sums(sums + i), count - i);
}

SLK_INLINE size_t SLK_NAME(scores_of)(const slk_word_tables *tables, const slk_word_batch *batch,
                                    const size_t outputs, float *scores) {
  const float *start = scores;
  const size_t stride = tables->stride;
  int32_t *rows = batch->rows, *ends = batch->ends;
  float *means = batch->means;
  for (size_t place = batch->first; place < batch->last; place++) {
    const size_t index = place - batch->first;
    SLK_NAME(fetch)(tables, batch, place + 4);
    const int32_t *drawn = batch->drawn + index * outputs;
    const size_t examples = list_rows(tables, batch->words + place, batch->reaches[index], rows,
                                      ends);
    batch->examples[index] = (int32_t)examples;
    const float *x[2];
    int32_t first = 0;
    for (size_t e = 0; e < examples; first = ends[e++], means += mean_stride(tables)) {
      const int32_t *own = rows + first, n = ends[e] - first;
      x[e % 2] = tables->input + (size_t)own[0] * stride;
      if (n > 1) {
        SLK_GROUPS(SLK_NAME(store_mean)(tables->input, stride, own, n, at, group, means))
        x[e % 2] = means;
      }
      if (e % 2 == 1) {
        SLK_NAME(dots)(x, 2, tables->output, stride, drawn, outputs, scores);
        scores += 2 * outputs;
      }
    }
    if (examples % 2 == 1) {
      SLK_NAME(dots)(x, 1, tables->output, stride, drawn, outputs, scores);
      scores += outputs;
    }
    rows += first, ends += examples;
  }
  return (size_t)(scores - start);
}

static size_t SLK_NAME(word_scores)(const slk_word_tables *tables, const slk_word_batch *batch,
                                  float *scores) {
  if (tables->shape.outputs == 6) return SLK_NAME(scores_of)(tables, batch, 6, scores);
  return SLK_NAME(scores_of)(tables, batch, tables->shape.outputs, scores);
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

/// The first output of each example is right after all, and none is held against itself. What was
/// drawn twice moves once, at its first place.
/// @param at  The place of the first example among all scores.
/// @return What that adds to the loss, where it is wanted.
SLK_INLINE double SLK_NAME(correct)(const slk_word_sums *sums, size_t at, const int32_t *drawn,
                                    size_t examples, const size_t outputs, float rate,
                                    bool wants_loss, float *errors) {
  double loss = 0.0;
  const size_t end = at + examples * outputs;
  for (size_t i = at; i < end; i += outputs) {
    errors[i] += rate;
    // log sigmoid(-x) is log sigmoid(x) - x.
    for (size_t p = 0; wants_loss && p < sums->parts; p++) loss -= sums->scores[p * sums->part + i];
  }
  for (size_t k = 1; k < outputs; k++) {
    size_t same = 0;
    while (drawn[same] != drawn[k]) same++;
    if (same == k) continue;
    for (size_t i = at; i < end; i += outputs) {
      if (same > 0) {
        errors[i + same] += errors[i + k];
      } else {
        float score = 0.0f;
        for (size_t p = 0; p < sums->parts; p++) score += sums->scores[p * sums->part + i + k];
        loss -= v_softplus(v_set(score))[0];
      }
      errors[i + k] = 0.0f;
    }
  }
  return loss;
}

/// The rows of all examples of a word and of its outputs move, a group of columns of them. Examples of
/// several rows are what they were when they were scored.
SLK_INLINE void SLK_NAME(move)(const slk_word_tables *tables, const int32_t *drawn,
                               const int32_t *rows, const int32_t *ends, size_t examples,
                               const float *means, const size_t outputs, const float *errors,
                               size_t at, const size_t group) {
  const size_t stride = tables->stride;
  vf held[SLK_MOST_WORD_OUTPUTS][SLK_GROUP];
  for (size_t k = 0; k < outputs; k++) {
    const float *row = tables->output + (size_t)drawn[k] * stride + at;
    for (size_t g = 0; g < group; g++) held[k][g] = v_load(row + g * SLK_WIDTH);
  }
  int32_t first = 0;
  for (size_t e = 0; e < examples; first = ends[e++]) {
    vf x[SLK_GROUP], move[SLK_GROUP];
    const bool is_mean = ends[e] - first > 1;
    const float *own = is_mean ? means : tables->input + (size_t)rows[first] * stride;
    for (size_t g = 0; g < group; g++) {
      x[g] = v_load(own + at + g * SLK_WIDTH);
      move[g] = v_set(0.0f);
    }
    for (size_t k = 0; k < outputs; k++) {
      const vf error = v_set(errors[k]);
      for (size_t g = 0; g < group; g++) {
        move[g] = v_fma(error, held[k][g], move[g]);
        held[k][g] = v_fma(error, x[g], held[k][g]);
      }
    }
    for (int32_t i = first; i < ends[e]; i++) {
      float *row = tables->input + (size_t)rows[i] * stride + at;
      for (size_t g = 0; g < group; g++) {
        v_store(row + g * SLK_WIDTH, v_load(row + g * SLK_WIDTH) + move[g]);
      }
    }
    errors += outputs, means += mean_stride(tables);
  }
  // The first place of what was drawn twice is written last.
  for (size_t k = outputs; k-- > 0;) {
    float *row = tables->output + (size_t)drawn[k] * stride + at;
    for (size_t g = 0; g < group; g++) v_store(row + g * SLK_WIDTH, held[k][g]);
  }
}

SLK_INLINE void SLK_NAME(steps_of)(const slk_word_tables *tables, const slk_word_batch *batch,
                                   const size_t outputs, const slk_word_sums *sums, float rate, double *loss) {
  const bool wants_loss = loss != NULL;
  const size_t stride = tables->stride;
  const int32_t *rows = batch->rows, *ends = batch->ends;
  const float *means = batch->means;
  float *errors = batch->errors;
  double sum = SLK_NAME(errors_of)(sums, rate, wants_loss, errors);
  size_t at_score = 0;
  for (size_t index = 0; index < batch->last - batch->first; index++) {
    const int32_t *drawn = batch->drawn + index * outputs;
    const size_t examples = (size_t)batch->examples[index];
    if (examples == 0) continue;
    sum += SLK_NAME(correct)(sums, at_score, drawn, examples, outputs, rate, wants_loss, errors);
    SLK_GROUPS(SLK_NAME(move)(tables, drawn, rows, ends, examples, means, outputs,
                              errors + at_score, at, group))
    at_score += examples * outputs;
    rows += ends[examples - 1], ends += examples, means += examples * mean_stride(tables);
  }
  if (!wants_loss) return;
  loss[0] += sum;
  loss[1] += (double)sums->count / (double)outputs;
}

static void SLK_NAME(word_steps)(const slk_word_tables *tables, const slk_word_batch *batch,
                                 const slk_word_sums *sums, float rate, double *loss) {
  if (tables->shape.outputs == 6) {
    SLK_NAME(steps_of)(tables, batch, 6, sums, rate, loss);
  } else {
    SLK_NAME(steps_of)(tables, batch, tables->shape.outputs, sums, rate, loss);
  }
}

#undef SLK_GROUPS
#undef SLK_GROUP
