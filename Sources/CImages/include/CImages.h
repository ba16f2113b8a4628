// Images into rows of red, green and blue bytes. The libraries are opened when they are first needed.
#ifndef SL_CIMAGES_H
#define SL_CIMAGES_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
  SLI_OK = 0,
  SLI_NO_LIBRARY = 1, // the library is not installed, or lacks a function
  SLI_BROKEN = 2,     // the bytes are no complete image of the format
  SLI_TOO_LARGE = 3,  // the image declares more pixels than allowed
  SLI_NO_MEMORY = 4
} sli_status;

typedef struct {
  int64_t width;
  int64_t height;
  uint8_t *pixels; // 3 bytes a pixel, rows from the top; released by sli_image_free
} sli_image;

// All take `size` readable bytes, refuse more than `limit` pixels, and leave `image` alone unless they
// return SLI_OK.
sli_status sli_decode_jpeg(const uint8_t *data, size_t size, int64_t limit, sli_image *image);
sli_status sli_decode_png(const uint8_t *data, size_t size, int64_t limit, sli_image *image);
sli_status sli_decode_webp(const uint8_t *data, size_t size, int64_t limit, sli_image *image);
sli_status sli_decode_tiff(const uint8_t *data, size_t size, int64_t limit, sli_image *image);
sli_status sli_decode_jpeg2000(const uint8_t *data, size_t size, int64_t limit, sli_image *image);

void sli_image_free(sli_image *image);

#endif
