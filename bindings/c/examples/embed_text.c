/* Compares texts by meaning:  embed_text FOLDER TEXT TEXT...
 *
 * FOLDER is a sentence-transformers folder such as all-MiniLM-L6-v2, or - for the encoder that comes
 * with the library. Prints a table of cosine
 * similarities, and on stderr how long it took from the start of the program to the first vector.
 */
#define _POSIX_C_SOURCE 199309L
#include <string.h>
#include <time.h>

#include "stacklens_easy.h"

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

int main(int argc, char **argv) {
  double start = milliseconds();
  sl_embedder *embedder = NULL;
  sl_text *texts = NULL;
  float *vectors = NULL;
  size_t dimension = 0, count = argc > 2 ? (size_t)argc - 2 : 0, row, column;
  int result = EXIT_FAILURE;

  if (count == 0) {
    fprintf(stderr, "usage: %s FOLDER TEXT TEXT...\n", argv[0]);
    return EXIT_FAILURE;
  }
  SLE_TRY(sl_embedder_load(strcmp(argv[1], "-") == 0 ? NULL : argv[1], NULL, &embedder), done);
  SLE_TRY(sl_embedder_dimension(embedder, &dimension), done);

  texts = (sl_text *)calloc(count, sizeof *texts);
  vectors = (float *)calloc(count * dimension, sizeof *vectors);
  if (!texts || !vectors) goto done;
  for (row = 0; row < count; row++) texts[row] = sle_text(argv[row + 2]);

  SLE_TRY(sl_embedder_encode(embedder, texts, 1, NULL, vectors, dimension), done);
  fprintf(stderr, "first vector after %.1f ms\n", milliseconds() - start);
  SLE_TRY(sl_embedder_encode(embedder, texts, count, NULL, vectors, count * dimension), done);

  for (row = 0; row < count; row++) {
    for (column = 0; column < count; column++) {
      float similarity = 0;
      SLE_TRY(sl_similarity(vectors + row * dimension, vectors + column * dimension, dimension,
                            &similarity),
              done);
      printf("%7.4f", (double)similarity);
    }
    printf("  %s\n", argv[row + 2]);
  }
  result = EXIT_SUCCESS;

done:
  free(texts);
  free(vectors);
  sl_embedder_release(embedder);
  return result;
}
