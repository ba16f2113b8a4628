// WebP through libwebp.
#include <pthread.h>

#include "library.h"

static struct {
  int (*get_info)(const uint8_t *data, size_t size, int *width, int *height);
  uint8_t *(*decode_into)(const uint8_t *data, size_t size, uint8_t *target, size_t target_size,
                          int stride);
} webp;
static bool is_loaded;

static void load(void) {
  static const char *const names[] = {"WebPGetInfo", "WebPDecodeRGBInto", NULL};
  is_loaded = sli_load("libwebp.so.7", names, (void **)&webp);
}

sli_status sli_decode_webp(const uint8_t *data, size_t size, int64_t limit, sli_image *image) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!is_loaded) return SLI_NO_LIBRARY;
  int width = 0, height = 0;
  if (!webp.get_info(data, size, &width, &height)) return SLI_BROKEN;
  sli_image result;
  sli_status status = sli_image_create(width, height, limit, &result);
  if (status != SLI_OK) return status;
  size_t byte_count = (size_t)width * (size_t)height * 3;
  if (!webp.decode_into(data, size, result.pixels, byte_count, width * 3)) {
    sli_image_free(&result);
    return SLI_BROKEN;
  }
  *image = result;
  return SLI_OK;
}
