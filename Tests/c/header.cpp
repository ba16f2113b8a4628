// The headers compile as C++ without a warning.
#include "stacklens.h"
#include "stacklens_easy.h"

int main() {
  sl_session_options session = SL_SESSION_OPTIONS_INIT;
  sl_tokenizer_options tokenizer = SL_TOKENIZER_OPTIONS_INIT;
  sl_embedder_options embedder = SL_EMBEDDER_OPTIONS_INIT;
  sl_encode_options encode = SL_ENCODE_OPTIONS_INIT;
  bool has_sizes = session.struct_size && tokenizer.struct_size && embedder.struct_size &&
                   encode.struct_size;
  return has_sizes && sl_api_version() >= SL_API_VERSION ? 0 : 1;
}
