#include "library.h"

#include <dlfcn.h>
#include <stdlib.h>

bool sli_load(const char *library, const char *const *names, void **table) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return false;
  for (size_t index = 0; names[index]; index++) {
    table[index] = dlsym(handle, names[index]);
    if (!table[index]) return false;
  }
  return true;
}

sli_status sli_image_create(int64_t width, int64_t height, int64_t limit, sli_image *image) {
  if (width <= 0 || height <= 0) return SLI_BROKEN;
  if (width > limit / height) return SLI_TOO_LARGE;
  uint8_t *pixels = calloc((size_t)(width * height), 3);
  if (!pixels) return SLI_NO_MEMORY;
  *image = (sli_image){width, height, pixels};
  return SLI_OK;
}

void sli_image_free(sli_image *image) {
  free(image->pixels);
  image->pixels = NULL;
}
