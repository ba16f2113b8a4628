// Word vectors: a batch of a small text against double precision, columns in parts or at once.
#include "check.h"

enum { word_count = 9, row_count = 15, most_stride = 112, most_outputs = 9, text_length = 17 };

static const int32_t text[text_length] = {-1, 3, 1, 4, 1, 5, -1, 0, 8, -1, 2, -1, 6, 6, 7, 2, -1};
static const int32_t bag_ends[word_count + 1] = {0, 1, 3, 5, 6, 9, 10, 12, 13, 15};
static const int32_t bag_rows[15] = {0, 1, 9, 2, 10, 3, 4, 11, 12, 5, 6, 13, 7, 8, 14};

typedef struct {
  double input[row_count][most_stride], output[word_count][most_stride];
} tables;

/// The rows of the examples of a word.
static size_t examples_of(const slk_word_tables *t, size_t at, int32_t reach,
                          int32_t rows[8][32], size_t counts[8]) {
  size_t examples = 0;
  counts[0] = 0;
  for (int32_t side = -1; side <= 1; side += 2) {
    int32_t far = 0;
    while (far < reach && text[(int32_t)at + side * (far + 1)] >= 0) far++;
    for (int32_t i = 1; i <= far; i++) {
      // Those before a word are listed from the farthest on.
      const int32_t word = text[(int32_t)at + side * (side < 0 ? far + 1 - i : i)];
      if (!t->shape.is_cbow) counts[examples] = 0;
      int32_t first = word, last = word + 1;
      if (t->bag_ends) first = bag_ends[word], last = bag_ends[word + 1];
      for (int32_t r = first; r < last; r++) {
        rows[examples][counts[examples]++] = t->bag_ends ? bag_rows[r] : r;
      }
      if (!t->shape.is_cbow) examples++;
    }
  }
  return t->shape.is_cbow ? counts[0] > 0 : examples;
}

static double dot(const tables *s, const int32_t *rows, size_t n, int32_t output, size_t width) {
  double sum = 0;
  for (size_t d = 0; d < width; d++) {
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += s->input[rows[i]][d] / (double)n;
    sum += mean * s->output[output][d];
  }
  return sum;
}

static double step(tables *s, const slk_word_tables *t, const int32_t *reaches, const int32_t *drawn,
                 double rate) {
  const tables before = *s;
  double loss = 0;
  for (size_t at = 0; at < text_length; at++) {
    int32_t rows[8][32];
    size_t counts[8];
    const int32_t *outputs = drawn + at * t->shape.outputs;
    const size_t n = text[at] < 0 ? 0 : examples_of(t, at, reaches[at], rows, counts);
    for (size_t e = 0; e < n; e++) {
      double errors[most_outputs], mean[most_stride] = {0}, move[most_stride] = {0};
      for (size_t k = 0; k < t->shape.outputs; k++) {
        const double score = dot(&before, rows[e], counts[e], outputs[k], t->stride);
        errors[k] = rate * ((k == 0) - 1 / (1 + exp(-score)));
        const bool is_own = k > 0 && outputs[k] == outputs[0];
        if (is_own) errors[k] = 0;
        if (!is_own) loss += log1p(exp(k == 0 ? -score : score));
        // What was drawn twice moves once.
        for (size_t j = 0; j < k; j++) {
          if (outputs[j] != outputs[k]) continue;
          errors[j] += errors[k], errors[k] = 0;
          break;
        }
      }
      // Examples of several rows are what they were when they were scored.
      const tables *held = counts[e] > 1 ? &before : s;
      for (size_t d = 0; d < t->stride; d++) {
        for (size_t i = 0; i < counts[e]; i++) {
          mean[d] += held->input[rows[e][i]][d] / (double)counts[e];
        }
        for (size_t k = 0; k < t->shape.outputs; k++) {
          move[d] += errors[k] * s->output[outputs[k]][d];
          s->output[outputs[k]][d] += errors[k] * mean[d];
        }
        for (size_t i = 0; i < counts[e]; i++) s->input[rows[e][i]][d] += move[d];
      }
    }
  }
  return loss;
}

static const uint32_t chance[word_count] = {0, 1u << 31, ~0u, 5, 1u << 30, ~0u, 7, 8, 1u << 29};
static const int32_t alias[word_count] = {1, 2, 2, 4, 5, 5, 7, 8, 0};
static const slk_word_chances chances = {chance, alias, word_count};

static void check_draws(void) {
  enum { count = 20000 };
  const slk_word_shape shape = {4, 5, false};
  int32_t *words = block(count * sizeof(int32_t)), *reaches = block(count * sizeof(int32_t));
  int32_t *drawn = block(count * 4 * sizeof(int32_t)), *half = block(count * 4 * sizeof(int32_t));
  for (size_t i = 0; i < count; i++) words[i] = (int32_t)(i % word_count);
  slk_word_draws(&chances, words, 0, count, 11, &shape, reaches, drawn);
  double expected[word_count] = {0}, far = 0;
  for (size_t w = 0; w < word_count; w++) {
    const double own = chance[w] / 4294967296.0;
    expected[w] += own / word_count, expected[alias[w]] += (1 - own) / word_count;
  }
  for (size_t i = 0; i < count; i++) {
    far += reaches[i] / (double)count;
    for (size_t k = 1; k < 4; k++) expected[drawn[4 * i + k]] -= 1.0 / (3.0 * count);
  }
  // Five deviations of 60,000 draws, and of 20,000 of 1 to 5.
  for (size_t w = 0; w < word_count; w++) CHECK(fabs(expected[w]) < 0.01, "word %zu", w);
  CHECK(fabs(far - 3) < 0.05, "mean reach %g", far);
  // Who draws for a word does not matter.
  slk_word_draws(&chances, words, count / 2, count, 11, &shape, reaches, half);
  CHECK(memcmp(half, drawn + 2 * count, 2 * count * sizeof(int32_t)) == 0, "other draws");
  free(words), free(reaches), free(drawn), free(half);
}

/// Some columns of a table, on their own.
static float *columns(const float *table, size_t rows, size_t stride, size_t begin, size_t width) {
  float *found = block(rows * width * sizeof(float));
  for (size_t i = 0; i < rows * width; i++) {
    found[i] = table[i / width * stride + begin + i % width];
  }
  return found;
}

static void check_batch(size_t stride, size_t outputs, size_t reach, bool is_cbow, bool has_bags) {
  float *input = block(row_count * stride * sizeof(float));
  float *output = block(word_count * stride * sizeof(float));
  fill(input, row_count * stride, 1), fill(output, word_count * stride, 2);
  slk_word_tables t = {input, output, stride, has_bags ? bag_ends : NULL,
                       has_bags ? bag_rows : NULL, {outputs, reach, is_cbow}};
  tables expected;
  for (size_t i = 0; i < row_count * stride; i++) expected.input[i / stride][i % stride] = input[i];
  for (size_t i = 0; i < word_count * stride; i++) {
    expected.output[i / stride][i % stride] = output[i];
  }
  int32_t reaches[text_length], drawn[text_length * most_outputs];
  slk_word_draws(&chances, text, 0, text_length, 7, &t.shape, reaches, drawn);
  for (size_t i = 0; i < text_length; i++) {
    CHECK(reaches[i] >= 1 && reaches[i] <= (int32_t)reach, "reach %d", reaches[i]);
    CHECK(drawn[i * outputs] == text[i], "first output %d", drawn[i * outputs]);
  }
  const double expected_loss = step(&expected, &t, reaches, drawn, 0.05);

  const size_t room = text_length * slk_word_scores(&t.shape);
  const size_t most = text_length * slk_word_examples(&t.shape);
  int32_t *examples = block(text_length * sizeof(int32_t)), *ends = block(most * sizeof(int32_t));
  int32_t *rows = block(text_length * 2 * reach * 3 * sizeof(int32_t));
  float *means = block(most * stride * sizeof(float)), *errors = block(room * sizeof(float));
  float *scores = block(2 * room * sizeof(float));
  const slk_word_batch batch = {text, 0, text_length, reaches, drawn, examples, ends, rows, means, errors};
  const size_t parts = stride > 16 ? 2 : 1, cut = parts == 1 ? stride : 16;
  slk_word_tables part[2];
  for (size_t p = 0; p < parts; p++) {
    const size_t begin = p ? cut : 0, width = p ? stride - cut : cut;
    part[p] = t, part[p].stride = width;
    part[p].input = columns(input, row_count, stride, begin, width);
    part[p].output = columns(output, word_count, stride, begin, width);
  }
  slk_word_sums sums = {scores, 0, parts, room};
  for (size_t p = 0; p < parts; p++) {
    sums.count = slk_word_scores_f32(&part[p], &batch, scores + p * room);
  }
  double loss[2] = {0, 0};
  for (size_t p = 0; p < parts; p++) {
    // What the scores left is another part's by now.
    if (parts > 1) slk_word_scores_f32(&part[p], &batch, scores + p * room);
    slk_word_steps_f32(&part[p], &batch, &sums, 0.05f, p ? NULL : loss);
  }
  for (size_t p = 0; p < parts; p++) {
    const size_t begin = p ? cut : 0, width = part[p].stride;
    for (size_t i = 0; i < row_count * width; i++) {
      input[i / width * stride + begin + i % width] = part[p].input[i];
    }
    for (size_t i = 0; i < word_count * width; i++) {
      output[i / width * stride + begin + i % width] = part[p].output[i];
    }
    free(part[p].input), free(part[p].output);
  }
  CHECK(loss[1] * (double)outputs == (double)sums.count, "%g examples", loss[1]);
  CHECK(fabs(loss[0] - expected_loss) < 1e-5 * expected_loss, "loss %g, expected %g", loss[0],
        expected_loss);
  double worst = 0;
  for (size_t i = 0; i < row_count * stride; i++) {
    worst = fmax(worst, fabs(input[i] - expected.input[i / stride][i % stride]));
  }
  for (size_t i = 0; i < word_count * stride; i++) {
    worst = fmax(worst, fabs(output[i] - expected.output[i / stride][i % stride]));
  }
  CHECK(worst < 1e-5, "stride %zu, %zu outputs, cbow %d, bags %d: off by %g", stride, outputs, is_cbow,
        has_bags, worst);
  free(input), free(output), free(rows), free(means), free(examples), free(ends), free(errors), free(scores);
}

static void check_kept(void) {
  const uint32_t keep[word_count] = {~0u, 0, ~0u, ~0u, 0, ~0u, ~0u, ~0u, ~0u};
  int32_t kept[text_length];
  const size_t count = slk_words_kept(text, text_length, keep, 3, kept);
  CHECK(count == text_length - 3, "%zu words are kept", count);
  CHECK(kept[0] == -1 && kept[1] == 3 && kept[2] == 5 && kept[3] == -1, "others are kept");
}

void test_words(void) {
  check_kept();
  check_draws();
  const size_t strides[] = {16, 32, 80, 112}, outputs[] = {2, 6, 9};
  for (int s = 0; s < 4; s++) {
    for (int o = 0; o < 3; o++) {
      for (int kind = 0; kind < 4; kind++) {
        for (size_t reach = 1; reach <= 3; reach += 2) {
          check_batch(strides[s], outputs[o], reach, kind & 1, kind & 2);
        }
      }
    }
  }
}
