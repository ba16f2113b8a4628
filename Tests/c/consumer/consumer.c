#include <stdio.h>

#include <stacklens.h>
#include <stacklens_easy.h>

int main(void) {
  sl_embedder *embedder = NULL;
  if (sl_embedder_load(NULL, NULL, &embedder) != SL_OK) {
    fprintf(stderr, "%s\n", sl_last_error_message());
    return 1;
  }
  sl_embedder_release(embedder);
  printf("stacklens %s on %s\n", sl_version(), sl_cpu_features());
  return sl_api_version() < SL_API_VERSION;
}
