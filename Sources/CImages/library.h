// Opening libraries and making room for pixels: what the decoders share.
#ifndef SL_CIMAGES_LIBRARY_H
#define SL_CIMAGES_LIBRARY_H

#include <stdbool.h>

#include "CImages.h"

// Fills `table`, an array of function pointers, with the addresses of `names`, which end with NULL.
bool sli_load(const char *library, const char *const *names, void **table);

// Room for an image, or why there is none.
sli_status sli_image_create(int64_t width, int64_t height, int64_t limit, sli_image *image);

#endif
