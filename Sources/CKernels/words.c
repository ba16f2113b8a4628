#include "include/slk_words.h"

#include "simd_names.h"

/// The next of a row of random numbers (SplitMix64: Steele, Lea and Flood, 2014).
static inline uint64_t random_of(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

size_t slk_words_kept(const int32_t *words, size_t count, const uint32_t *keep, uint64_t seed,
                      int32_t *kept) {
  size_t length = 0;
  for (size_t i = 0; i < count; i++) {
    kept[length] = words[i];
    length += words[i] < 0 || (uint32_t)(random_of(&seed) >> 32) <= keep[words[i]];
  }
  return length;
}

void slk_word_draws(const slk_word_chances *chances, const int32_t *words, size_t first,
                    size_t last, uint64_t seed, const slk_word_shape *shape, int32_t *reaches,
                    int32_t *drawn) {
  for (size_t at = first; at < last; at++, reaches++) {
    // Each word has random numbers of its own, so that anybody can draw for it.
    uint64_t start = seed ^ (at * 0xd1342543de82ef95u), state = random_of(&start);
    *reaches = 1 + (int32_t)((random_of(&state) >> 32) * shape->reach >> 32);
    *drawn++ = words[at];
    for (size_t k = 1; k < shape->outputs; k++) {
      const uint64_t bits = random_of(&state);
      const size_t column = (size_t)((bits >> 32) * chances->count >> 32);
      const bool is_own = (uint32_t)bits < chances->chance[column];
      *drawn++ = is_own ? (int32_t)column : chances->alias[column];
    }
  }
}

/// The rows of all examples of the word at a place, one example behind the other.
/// @param ends  Where the rows of each example end.
/// @return How many examples there are.
static size_t list_rows(const slk_word_tables *tables, const int32_t *word, int32_t reach,
                        int32_t *rows, int32_t *ends) {
  int32_t before = 0, behind = 0, examples = 0, count = 0;
  if (*word < 0) return 0;
  while (before < reach && word[-before - 1] >= 0) before++;
  while (behind < reach && word[behind + 1] >= 0) behind++;
  for (int32_t at = -before; at <= behind; at++) {
    if (at == 0) continue;
    if (tables->bag_ends) {
      const int32_t last = tables->bag_ends[word[at] + 1];
      for (int32_t i = tables->bag_ends[word[at]]; i < last; i++) {
        rows[count++] = tables->bag_rows[i];
      }
    } else {
      rows[count++] = word[at];
    }
    if (!tables->shape.is_cbow) ends[examples++] = count;
  }
  if (tables->shape.is_cbow && count > 0) ends[examples++] = count;
  return (size_t)examples;
}

/// From the mean of an example to the next one; 0 where all examples are single rows.
static inline size_t mean_stride(const slk_word_tables *tables) {
  return tables->shape.is_cbow || tables->bag_ends ? tables->stride : 0;
}

#define SLK_TEMPLATE "words.inc.h"
#include "tiers.h"

size_t slk_word_scores_f32(const slk_word_tables *tables, const slk_word_batch *batch,
                           float *scores) {
  return SLK_DISPATCH(word_scores, tables, batch, scores);
}

void slk_word_steps_f32(const slk_word_tables *tables, const slk_word_batch *batch,
                        const slk_word_sums *sums, float rate, double loss[2]) {
  SLK_DISPATCH(word_steps, tables, batch, sums, rate, loss);
}
