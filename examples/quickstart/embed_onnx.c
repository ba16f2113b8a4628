/* Runs an encoder from its ONNX file:  embed_onnx FOLDER ENCODER.onnx TEXT...
 *
 * FOLDER is the sentence-transformers folder that ENCODER.onnx was written from. The texts become
 * token ids with FOLDER's tokenizer, the ONNX file makes a vector of each, and the vectors are held
 * against those of the embedder, which loads FOLDER itself. Ends with 1 when they differ by more
 * than 1e-5 anywhere.
 */
#include <math.h>

#include "stacklens_easy.h"

/* One field of every text's tokens as a tensor [texts, longest]; the batch is padded. */
static sl_status gather(const sl_encoding *encoding, size_t count, int field, sl_tensor **out) {
  const int64_t *source;
  int64_t dims[2], *rows = NULL;
  size_t text;
  sl_tokens tokens;
  sl_status status = sl_encoding_tokens(encoding, 0, &tokens);
  if (status != SL_OK) return status;
  dims[0] = (int64_t)count;
  dims[1] = (int64_t)tokens.count;
  rows = (int64_t *)calloc(count * tokens.count, sizeof *rows);
  if (!rows) return SL_OUT_OF_MEMORY;
  for (text = 0; text < count && status == SL_OK; text++) {
    status = sl_encoding_tokens(encoding, text, &tokens);
    if (status != SL_OK) break;
    source = field == 0 ? tokens.ids : field == 1 ? tokens.attention_mask : tokens.type_ids;
    memcpy(rows + text * (size_t)dims[1], source, tokens.count * sizeof *rows);
  }
  if (status == SL_OK) status = sle_ints(rows, dims, 2, out);
  free(rows);
  return status;
}

/* Scales a vector to length 1. */
static void normalize(float *vector, size_t dimension) {
  double sum = 0;
  size_t i;
  for (i = 0; i < dimension; i++) sum += (double)vector[i] * (double)vector[i];
  for (i = 0; sum > 0 && i < dimension; i++) vector[i] = (float)((double)vector[i] / sqrt(sum));
}

int main(int argc, char **argv) {
  static const char *const names[3] = {"input_ids", "attention_mask", "token_type_ids"};
  static const char *const wanted[1] = {"sentence_embedding"};
  sl_tokenizer_options pad = SL_TOKENIZER_OPTIONS_INIT;
  sl_embedder *embedder = NULL;
  sl_tokenizer *tokenizer = NULL;
  sl_encoding *encoding = NULL;
  sl_session *session = NULL;
  sl_value *inputs[3] = {NULL, NULL, NULL}, *output = NULL;
  sl_text *texts = NULL;
  const float *pooled = NULL;
  float *expected = NULL, *vector = NULL, largest = 0;
  size_t count = argc > 3 ? (size_t)argc - 3 : 0, dimension = 0, elements = 0, text, i;
  int result = EXIT_FAILURE;

  if (count == 0) {
    fprintf(stderr, "usage: %s FOLDER ENCODER.onnx TEXT...\n", argv[0]);
    return EXIT_FAILURE;
  }
  SLE_TRY(sl_embedder_load(argv[1], NULL, &embedder), done);
  SLE_TRY(sl_embedder_dimension(embedder, &dimension), done);
  texts = (sl_text *)calloc(count, sizeof *texts);
  expected = (float *)calloc(count * dimension, sizeof *expected);
  vector = (float *)calloc(dimension, sizeof *vector);
  if (!texts || !expected || !vector) goto done;
  for (text = 0; text < count; text++) texts[text] = sle_text(argv[text + 3]);
  SLE_TRY(sl_embedder_encode(embedder, texts, count, NULL, expected, count * dimension), done);

  SLE_TRY(sl_tokenizer_load(argv[1], &tokenizer), done);
  pad.pad = 1;
  SLE_TRY(sl_tokenizer_encode(tokenizer, texts, NULL, count, &pad, &encoding), done);
  for (i = 0; i < 3; i++) SLE_TRY(gather(encoding, count, (int)i, &inputs[i]), done);

  SLE_TRY(sle_open(argv[2], 0, &session), done);
  SLE_TRY(sl_session_run(session, names, (const sl_value *const *)inputs, 3, wanted, 1, NULL,
                         &output),
          done);
  SLE_TRY(sle_float_data(output, &pooled, &elements), done);
  if (elements != count * dimension) {
    fprintf(stderr, "%zu numbers for %zu texts of %zu\n", elements, count, dimension);
    goto done;
  }

  for (text = 0; text < count; text++) {
    memcpy(vector, pooled + text * dimension, dimension * sizeof *vector);
    normalize(vector, dimension);
    printf("  [%8.5f %8.5f %8.5f ...]  %.60s\n", (double)vector[0], (double)vector[1],
           (double)vector[2], argv[text + 3]);
    for (i = 0; i < dimension; i++) {
      float difference = fabsf(vector[i] - expected[text * dimension + i]);
      if (!(difference <= largest)) largest = difference;
    }
  }
  result = largest <= 1e-5f ? EXIT_SUCCESS : EXIT_FAILURE;
  printf("  %s: the ONNX file and the embedder differ by %.1e at most\n",
         result == EXIT_SUCCESS ? "equal" : "NOT EQUAL", (double)largest);

done:
  free(texts);
  free(expected);
  free(vector);
  for (i = 0; i < 3; i++) sl_value_release(inputs[i]);
  sl_value_release(output);
  sl_session_release(session);
  sl_encoding_release(encoding);
  sl_tokenizer_release(tokenizer);
  sl_embedder_release(embedder);
  return result;
}
