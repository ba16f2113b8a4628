/* The headers alone compile as C99 without a warning, and the library is at least as new. */
#include "stacklens.h"
#include "stacklens_easy.h"

int main(void) {
  sl_session_options session = SL_SESSION_OPTIONS_INIT;
  sl_tokenizer_options tokenizer = SL_TOKENIZER_OPTIONS_INIT;
  sl_embedder_options embedder = SL_EMBEDDER_OPTIONS_INIT;
  sl_encode_options encode = SL_ENCODE_OPTIONS_INIT;
  if (session.struct_size != sizeof session || session.optimization_level != 2) return 1;
  if (tokenizer.struct_size != sizeof tokenizer || tokenizer.special_tokens != 1) return 1;
  if (embedder.struct_size != sizeof embedder || embedder.precision != SL_PRECISION_FP32) return 1;
  if (encode.struct_size != sizeof encode || encode.normalize != 1) return 1;
  return sl_api_version() >= SL_API_VERSION ? 0 : 1;
}
