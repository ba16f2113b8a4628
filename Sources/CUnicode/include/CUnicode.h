// Character tables of the tokenizer, in read-only memory so that a process pays for them only when
// it reads them. UnicodeTables.c is generated; scripts/generate-unicode-tables.py explains the data.
#ifndef SL_CUNICODE_H
#define SL_CUNICODE_H

#include <stdint.h>

// Bits of `flags`. A code point's flags are flags[first[c >> 7] * 128 + (c & 127)].
enum {
  SL_CHAR_REMOVED = 1,      // control, format, private or unassigned: BERT's clean_text drops it
  SL_CHAR_SPACE = 2,        // white space
  SL_CHAR_IDEOGRAPH = 4,    // BERT puts spaces around it
  SL_CHAR_MARK = 8,         // non-spacing mark, dropped when accents are stripped
  SL_CHAR_PUNCTUATION = 16, // a word of its own
  SL_CHAR_DECOMPOSES = 32,  // canonical decomposition differs from itself (Hangul syllables included)
  SL_CHAR_LOWERS = 64,      // lower case differs from itself
  SL_CHAR_REORDERS = 128    // combining class above 0
};

typedef struct {
  const uint16_t *first;
  const uint8_t *flags;
  // Sorted keys; the decomposition of key i is targets[starts[i]..<starts[i + 1]].
  const uint32_t *decomposition_keys;
  const uint16_t *decomposition_starts;
  const uint32_t *decomposition_targets;
  int64_t decomposition_count;
  // Sorted keys and their lower case; U+0130 becomes `i` followed by U+0307.
  const uint32_t *lower_keys;
  const uint32_t *lower_values;
  int64_t lower_count;
  // Sorted triples: first code point, last code point, combining class.
  const uint32_t *class_ranges;
  int64_t class_count;
  // Sorted pairs: first and last code point of letters, digits, marks and connectors.
  const uint32_t *word_ranges;
  int64_t word_count;
} sl_unicode_tables;

const sl_unicode_tables *slu_unicode(void);

// Code points of one script, first to last; ScriptTables.c is generated.
typedef struct {
  uint32_t script;
  uint32_t first;
  uint32_t last;
} sl_script_range;

typedef struct {
  const char *const *names;
  int64_t name_count;
  const sl_script_range *ranges;
  int64_t range_count;
} sl_script_tables;

const sl_script_tables *slu_scripts(void);

#endif
