// JPEG through libjpeg-turbo with the binary interface of libjpeg 6.2, which never changes. Of its
// structs only what is read here has a name; the library compares their sizes with its own.
#include <pthread.h>
#include <setjmp.h>
#include <string.h>

#include "library.h"

enum { ABI_VERSION = 62, GRAY = 1, RGB = 2, CMYK = 4, YCCK = 5, END_OF_DATA = 120, MAX_SCANS = 500 };

typedef struct jpeg jpeg;

typedef struct {
  void (*error_exit)(jpeg *self);
  void (*emit_message)(jpeg *self, int level);
  void (*output_message)(jpeg *self);
  void (*format_message)(jpeg *self, char *buffer);
  void (*reset)(jpeg *self);
  int message_code;
  uint8_t rest[124];
} jpeg_errors;

typedef struct {
  void (*monitor)(jpeg *self);
  uint8_t rest[24];
} jpeg_progress;

struct jpeg {
  jpeg_errors *errors;
  void *memory;
  jpeg_progress *progress;
  void *client;
  int is_decompressor;
  int global_state;
  void *source;
  uint32_t width;
  uint32_t height;
  int component_count;
  int color_space;
  int out_color_space;
  uint8_t scaling[68];
  uint32_t output_width;
  uint32_t output_height;
  int out_color_components;
  int output_components;
  uint8_t state[16];
  uint32_t output_scanline;
  int input_scan;
  uint8_t tables[208];
  int saw_adobe;
  uint8_t rest[244];
};

_Static_assert(sizeof(jpeg_errors) == 168, "libjpeg's error manager");
_Static_assert(offsetof(jpeg, output_width) == 136, "libjpeg's output size");
_Static_assert(offsetof(jpeg, input_scan) == 172, "libjpeg's scan number");
_Static_assert(offsetof(jpeg, saw_adobe) == 384, "libjpeg's Adobe flag");
_Static_assert(sizeof(jpeg) == 632, "libjpeg's decompressor");

static struct {
  jpeg_errors *(*std_error)(jpeg_errors *errors);
  void (*create)(jpeg *self, int version, size_t size);
  void (*mem_src)(jpeg *self, const uint8_t *data, unsigned long size);
  int (*read_header)(jpeg *self, int needs_image);
  int (*start)(jpeg *self);
  uint32_t (*read_scanlines)(jpeg *self, uint8_t **rows, uint32_t count);
  int (*finish)(jpeg *self);
  void (*destroy)(jpeg *self);
} libjpeg;
static bool is_loaded;

static void load(void) {
  static const char *const names[] = {
      "jpeg_std_error", "jpeg_CreateDecompress", "jpeg_mem_src", "jpeg_read_header",
      "jpeg_start_decompress", "jpeg_read_scanlines", "jpeg_finish_decompress",
      "jpeg_destroy_decompress", NULL};
  is_loaded = sli_load("libjpeg.so.62", names, (void **)&libjpeg);
}

static void on_error(jpeg *self) { longjmp(*(jmp_buf *)self->client, 1); }

// The library fills up a stream that ends too early; to us it is broken.
static void on_message(jpeg *self, int level) {
  if (level < 0 && self->errors->message_code == END_OF_DATA) on_error(self);
}

static void on_output(jpeg *self) { (void)self; }

// A small file may declare any number of passes over a large image.
static void on_progress(jpeg *self) {
  int64_t work = (int64_t)self->input_scan * self->width * self->height;
  if (self->input_scan > MAX_SCANS || work > (int64_t)1 << 31) on_error(self);
}

// Four inks to three lights, in place at the front of `row`. Adobe stores inks turned around.
static void convert_inks(const uint8_t *inks, uint8_t *row, int64_t width, bool is_inverted) {
  for (int64_t i = 0; i < width; i++) {
    unsigned black = is_inverted ? inks[4 * i + 3] : 255u - inks[4 * i + 3];
    for (int c = 0; c < 3; c++) {
      unsigned ink = is_inverted ? inks[4 * i + c] : 255u - inks[4 * i + c];
      row[3 * i + c] = (uint8_t)((ink * black + 127) / 255);
    }
  }
}

static sli_status read_image(jpeg *self, const uint8_t *data, size_t size, int64_t limit,
                             jpeg_progress *progress, sli_image *image, sli_image *inks) {
  jmp_buf jump;
  self->client = &jump;
  if (setjmp(jump)) return SLI_BROKEN;
  libjpeg.create(self, ABI_VERSION, sizeof(jpeg));
  self->progress = progress;
  libjpeg.mem_src(self, data, size);
  libjpeg.read_header(self, 1);
  sli_status status = sli_image_create(self->width, self->height, limit, image);
  if (status != SLI_OK) return status;
  bool has_inks = self->color_space == CMYK || self->color_space == YCCK;
  if (has_inks) {
    // One row of four bytes a pixel.
    status = sli_image_create((int64_t)self->width * 4 / 3 + 1, 1, INT64_MAX, inks);
    if (status != SLI_OK) return status;
  }
  self->out_color_space = has_inks ? CMYK : RGB;
  libjpeg.start(self);
  if (self->output_width != self->width || self->output_height != self->height ||
      self->output_components != (has_inks ? 4 : 3)) {
    return SLI_BROKEN;
  }
  while (self->output_scanline < self->output_height) {
    uint8_t *row = image->pixels + (int64_t)self->output_scanline * image->width * 3;
    uint8_t *target = has_inks ? inks->pixels : row;
    if (libjpeg.read_scanlines(self, &target, 1) != 1) return SLI_BROKEN;
    if (has_inks) convert_inks(inks->pixels, row, image->width, self->saw_adobe != 0);
  }
  libjpeg.finish(self);
  return SLI_OK;
}

sli_status sli_decode_jpeg(const uint8_t *data, size_t size, int64_t limit, sli_image *image) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!is_loaded) return SLI_NO_LIBRARY;
  jpeg self;
  jpeg_errors errors;
  jpeg_progress progress;
  memset(&self, 0, sizeof self);
  memset(&progress, 0, sizeof progress);
  self.errors = libjpeg.std_error(&errors);
  errors.error_exit = on_error;
  errors.emit_message = on_message;
  errors.output_message = on_output;
  progress.monitor = on_progress;
  sli_image result = {0, 0, NULL}, inks = {0, 0, NULL};
  sli_status status = read_image(&self, data, size, limit, &progress, &result, &inks);
  if (self.memory) libjpeg.destroy(&self);
  sli_image_free(&inks);
  if (status != SLI_OK) {
    sli_image_free(&result);
    return status;
  }
  *image = result;
  return SLI_OK;
}
