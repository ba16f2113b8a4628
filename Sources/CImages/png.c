// PNG through libpng. Its structs stay opaque: everything goes through functions.
#include <pthread.h>
#include <setjmp.h>
#include <string.h>

#include "library.h"

typedef void *png_struct;
typedef void *png_info;
typedef void (*png_message)(png_struct png, const char *text);
typedef void (*png_read)(png_struct png, uint8_t *target, size_t count);

static struct {
  png_struct (*create_read_struct)(const char *version, void *user, png_message error,
                                   png_message warning);
  png_info (*create_info_struct)(png_struct png);
  void (*destroy_read_struct)(png_struct *png, png_info *info, png_info *end);
  jmp_buf *(*set_longjmp)(png_struct png, void (*jump)(jmp_buf, int), size_t size);
  void (*longjmp)(png_struct png, int value);
  void (*set_read)(png_struct png, void *user, png_read read);
  void *(*get_io)(png_struct png);
  void (*set_user_limits)(png_struct png, uint32_t width, uint32_t height);
  void (*read_info)(png_struct png, png_info info);
  uint32_t (*get_width)(png_struct png, png_info info);
  uint32_t (*get_height)(png_struct png, png_info info);
  void (*set_expand)(png_struct png);
  void (*set_strip_16)(png_struct png);
  void (*set_gray_to_rgb)(png_struct png);
  void (*set_strip_alpha)(png_struct png);
  int (*set_interlace_handling)(png_struct png);
  void (*read_update_info)(png_struct png, png_info info);
  size_t (*get_row_bytes)(png_struct png, png_info info);
  void (*read_row)(png_struct png, uint8_t *row, uint8_t *display);
  void (*read_end)(png_struct png, png_info info);
} png;
static bool is_loaded;

static void load(void) {
  static const char *const names[] = {
      "png_create_read_struct", "png_create_info_struct", "png_destroy_read_struct",
      "png_set_longjmp_fn", "png_longjmp", "png_set_read_fn", "png_get_io_ptr",
      "png_set_user_limits", "png_read_info", "png_get_image_width", "png_get_image_height",
      "png_set_expand", "png_set_strip_16", "png_set_gray_to_rgb", "png_set_strip_alpha",
      "png_set_interlace_handling", "png_read_update_info", "png_get_rowbytes", "png_read_row",
      "png_read_end", NULL};
  is_loaded = sli_load("libpng16.so.16", names, (void **)&png);
}

typedef struct {
  const uint8_t *data;
  size_t size;
  size_t position;
} png_source;

static void read_bytes(png_struct self, uint8_t *target, size_t count) {
  png_source *source = png.get_io(self);
  if (count > source->size - source->position) png.longjmp(self, 1);
  memcpy(target, source->data + source->position, count);
  source->position += count;
}

static void on_error(png_struct self, const char *text) {
  (void)text;
  png.longjmp(self, 1);
}

static void on_warning(png_struct self, const char *text) {
  (void)self;
  (void)text;
}

// Between the first and the last call of the library nothing may be on the stack that a long jump
// would lose: all state lives in the caller's frame.
static sli_status read_image(png_struct self, png_info info, int64_t limit, sli_image *image) {
  jmp_buf *jump = png.set_longjmp(self, longjmp, sizeof(jmp_buf));
  if (!jump) return SLI_NO_LIBRARY;
  if (setjmp(*jump)) return SLI_BROKEN;
  png.read_info(self, info);
  int64_t width = png.get_width(self, info), height = png.get_height(self, info);
  sli_status status = sli_image_create(width, height, limit, image);
  if (status != SLI_OK) return status;
  png.set_expand(self);
  png.set_strip_16(self);
  png.set_gray_to_rgb(self);
  png.set_strip_alpha(self);
  int passes = png.set_interlace_handling(self);
  png.read_update_info(self, info);
  if (png.get_row_bytes(self, info) != (size_t)width * 3) return SLI_BROKEN;
  for (int pass = 0; pass < passes; pass++) {
    for (int64_t row = 0; row < height; row++) {
      png.read_row(self, image->pixels + row * width * 3, NULL);
    }
  }
  png.read_end(self, NULL);
  return SLI_OK;
}

sli_status sli_decode_png(const uint8_t *data, size_t size, int64_t limit, sli_image *image) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!is_loaded) return SLI_NO_LIBRARY;
  // Only the major version has to agree.
  png_struct self = png.create_read_struct("1.6.0", NULL, on_error, on_warning);
  png_info info = self ? png.create_info_struct(self) : NULL;
  sli_status status = SLI_NO_MEMORY;
  sli_image result = {0, 0, NULL};
  if (info) {
    png_source source = {data, size, 0};
    png.set_read(self, &source, read_bytes);
    png.set_user_limits(self, INT32_MAX, INT32_MAX);
    status = read_image(self, info, limit, &result);
  }
  png.destroy_read_struct(&self, &info, NULL);
  if (status != SLI_OK) {
    sli_image_free(&result);
    return status;
  }
  *image = result;
  return SLI_OK;
}
