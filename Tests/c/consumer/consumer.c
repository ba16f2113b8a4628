#include <stdio.h>

#include <stacklens.h>
#include <stacklens_easy.h>

int main(void) {
  printf("stacklens %s on %s\n", sl_version(), sl_cpu_features());
  return sl_api_version() < SL_API_VERSION;
}
