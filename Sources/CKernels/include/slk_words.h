// Word vectors by negative sampling: a text, what is drawn for it, scores of examples, and the steps
// that follow from them. An example is the mean of some rows of the input table, held against rows of
// the output table, the first of which is right.
#ifndef STACKLENS_SLK_WORDS_H
#define STACKLENS_SLK_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLK_MOST_WORD_OUTPUTS 65
#define SLK_MOST_WORD_REACH 100

/// What examples a word has.
typedef struct {
  size_t outputs;  ///< The word itself and what it is held against, in all of its examples.
  size_t reach;    ///< Neighbours on each side at most.
  bool is_cbow;    ///< One example of all neighbours of a word, or one of each.
} slk_word_shape;

/// Examples of a word at most.
static inline size_t slk_word_examples(const slk_word_shape *shape) {
  return shape->is_cbow ? 1 : 2 * shape->reach;
}

/// Room for the scores of all examples of a word.
static inline size_t slk_word_scores(const slk_word_shape *shape) {
  return slk_word_examples(shape) * shape->outputs;
}

/// Some columns of the tables, a part that one thread learns. Words of a text are ids; -1 stands between
/// sentences, before the first and after the last.
typedef struct {
  float *input, *output;    ///< Rows of `stride` numbers.
  size_t stride;            ///< A multiple of 16; what fills rows up is 0.
  const int32_t *bag_ends;  ///< The rows of a word w: bag_rows[bag_ends[w] ..< bag_ends[w + 1]];
  const int32_t *bag_rows;  ///< NULL where each word has the row of its own id alone.
  slk_word_shape shape;
} slk_word_tables;

/// Negatives in proportion to their chances, in one step each (Walker, 1977; Vose, 1991).
typedef struct {
  const uint32_t *chance;  ///< Below it a column gives itself, above its alias.
  const int32_t *alias;
  size_t count;
} slk_word_chances;

/// Keeps each word with the chance keep / 2^32 of its id, and the separators.
/// @return How many were kept.
size_t slk_words_kept(const int32_t *words, size_t count, const uint32_t *keep, uint64_t seed,
                      int32_t *kept);

/// For each of the words first ..< last of a text: how far it looks, 1 to the reach of `shape`, and
/// its outputs.
void slk_word_draws(const slk_word_chances *chances, const int32_t *words, size_t first,
                    size_t last, uint64_t seed, const slk_word_shape *shape, int32_t *reaches,
                    int32_t *drawn);

/// What is drawn for the words first ..< last, and room for what the scores leave to the steps.
typedef struct {
  const int32_t *words;
  size_t first, last;
  const int32_t *reaches, *drawn;  ///< Of the word `first` and those behind it.
  int32_t *examples;  ///< How many each word has.
  int32_t *ends;      ///< Where the rows of each example end, from the first of its word.
  int32_t *rows;      ///< Those of all examples.
  float *means;       ///< `stride` for each example, of those that have several rows.
  float *errors;      ///< As many as there are scores.
} slk_word_batch;

/// Dot products of examples with their outputs, one behind the other.
/// @return How many they are.
size_t slk_word_scores_f32(const slk_word_tables *tables, const slk_word_batch *batch,
                           float *scores);

/// Dot products over all parts: the sums of `parts` arrays of `count` numbers, `part` apart.
typedef struct {
  const float *scores;
  size_t count, parts, part;
} slk_word_sums;

/// A step of gradient descent on the tables of a part.
/// @param loss  The loss of all examples, and how many they are, are added to it; or NULL.
void slk_word_steps_f32(const slk_word_tables *tables, const slk_word_batch *batch,
                        const slk_word_sums *sums, float rate, double loss[2]);

#endif
