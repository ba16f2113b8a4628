// TIFF through libtiff, first page, in the form that its own viewers show.
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

typedef struct tiff tiff;
typedef struct tiff_options tiff_options;
typedef int (*tiff_message)(tiff *self, void *user, const char *module, const char *format,
                            va_list arguments);
typedef int64_t (*tiff_transfer)(void *client, void *buffer, int64_t count);
typedef uint64_t (*tiff_seek)(void *client, uint64_t offset, int whence);
typedef int (*tiff_close)(void *client);
typedef uint64_t (*tiff_size)(void *client);
typedef int (*tiff_map)(void *client, void **base, uint64_t *size);
typedef void (*tiff_unmap)(void *client, void *base, uint64_t size);

enum { TAG_WIDTH = 256, TAG_HEIGHT = 257, TOP_LEFT = 1 };

static struct {
  tiff *(*open)(const char *name, const char *mode, void *client, tiff_transfer read,
                tiff_transfer write, tiff_seek seek, tiff_close close, tiff_size size,
                tiff_map map, tiff_unmap unmap, tiff_options *options);
  void (*close)(tiff *self);
  int (*get_field)(tiff *self, uint32_t tag, ...);
  int (*read_rgba)(tiff *self, uint32_t width, uint32_t height, uint32_t *raster, int orientation,
                   int stops);
  tiff_options *(*options_create)(void);
  void (*options_destroy)(tiff_options *options);
  void (*options_errors)(tiff_options *options, tiff_message handler, void *user);
  void (*options_warnings)(tiff_options *options, tiff_message handler, void *user);
  void (*options_allocation)(tiff_options *options, int64_t byte_count);
} libtiff;
static bool is_loaded;

static void load(void) {
  static const char *const names[] = {
      "TIFFClientOpenExt", "TIFFClose", "TIFFGetField", "TIFFReadRGBAImageOriented",
      "TIFFOpenOptionsAlloc", "TIFFOpenOptionsFree", "TIFFOpenOptionsSetErrorHandlerExtR",
      "TIFFOpenOptionsSetWarningHandlerExtR", "TIFFOpenOptionsSetMaxSingleMemAlloc", NULL};
  is_loaded = sli_load("libtiff.so.6", names, (void **)&libtiff);
}

// 1: the message needs nobody else.
static int on_message(tiff *self, void *user, const char *module, const char *format,
                      va_list arguments) {
  (void)self;
  (void)user;
  (void)module;
  (void)format;
  (void)arguments;
  return 1;
}

typedef struct {
  const uint8_t *data;
  uint64_t size;
  uint64_t position;
} tiff_source;

static int64_t read_bytes(void *client, void *buffer, int64_t count) {
  tiff_source *source = client;
  if (count <= 0 || source->position >= source->size) return 0;
  uint64_t rest = source->size - source->position;
  uint64_t length = (uint64_t)count < rest ? (uint64_t)count : rest;
  memcpy(buffer, source->data + source->position, length);
  source->position += length;
  return (int64_t)length;
}

static int64_t write_bytes(void *client, void *buffer, int64_t count) {
  (void)client;
  (void)buffer;
  (void)count;
  return -1;
}

static uint64_t seek(void *client, uint64_t offset, int whence) {
  tiff_source *source = client;
  uint64_t base = whence == 1 ? source->position : whence == 2 ? source->size : 0;
  source->position = base + offset;
  return source->position;
}

static int close_source(void *client) {
  (void)client;
  return 0;
}

static uint64_t size_of(void *client) { return ((tiff_source *)client)->size; }

static sli_status read_image(tiff *self, int64_t limit, sli_image *image) {
  uint32_t width = 0, height = 0;
  if (!libtiff.get_field(self, TAG_WIDTH, &width) ||
      !libtiff.get_field(self, TAG_HEIGHT, &height)) {
    return SLI_BROKEN;
  }
  sli_status status = sli_image_create(width, height, limit, image);
  if (status != SLI_OK) return status;
  uint32_t *raster = calloc((size_t)width * height, sizeof(uint32_t));
  if (!raster) return SLI_NO_MEMORY;
  if (!libtiff.read_rgba(self, width, height, raster, TOP_LEFT, 1)) {
    free(raster);
    return SLI_BROKEN;
  }
  for (size_t i = 0; i < (size_t)width * height; i++) {
    for (int c = 0; c < 3; c++) image->pixels[3 * i + c] = (uint8_t)(raster[i] >> (8 * c));
  }
  free(raster);
  return SLI_OK;
}

sli_status sli_decode_tiff(const uint8_t *data, size_t size, int64_t limit, sli_image *image) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!is_loaded) return SLI_NO_LIBRARY;
  tiff_options *options = libtiff.options_create();
  if (!options) return SLI_NO_MEMORY;
  libtiff.options_errors(options, on_message, NULL);
  libtiff.options_warnings(options, on_message, NULL);
  libtiff.options_allocation(options, limit * 8);
  tiff_source source = {data, size, 0};
  // m: the bytes are not mapped, so that every read is checked above.
  tiff *self = libtiff.open("image", "rm", &source, read_bytes, write_bytes, seek, close_source,
                            size_of, NULL, NULL, options);
  libtiff.options_destroy(options);
  if (!self) return SLI_BROKEN;
  sli_image result = {0, 0, NULL};
  sli_status status = read_image(self, limit, &result);
  libtiff.close(self);
  if (status != SLI_OK) {
    sli_image_free(&result);
    return status;
  }
  *image = result;
  return SLI_OK;
}
