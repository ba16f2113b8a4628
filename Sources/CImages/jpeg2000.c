// JPEG 2000 through OpenJPEG 2.
#include <pthread.h>
#include <string.h>

#include "library.h"

enum { CODESTREAM = 0, JP2_FILE = 2, COLOR_YCC = 3 };

typedef struct {
  uint32_t dx, dy, width, height, x0, y0, precision, bits;
  uint32_t is_signed, resolution, factor;
  int32_t *data;
  uint16_t alpha;
} opj_component;

typedef struct {
  uint32_t x0, y0, x1, y1, component_count;
  int32_t color_space;
  opj_component *components;
} opj_image;

typedef void (*opj_message)(const char *text, void *user);

static struct {
  void *(*create)(int format);
  void (*destroy)(void *codec);
  void (*set_defaults)(void *parameters);
  int (*setup)(void *codec, void *parameters);
  int (*read_header)(void *stream, void *codec, opj_image **image);
  int (*decode)(void *codec, void *stream, opj_image *image);
  int (*end)(void *codec, void *stream);
  void (*image_destroy)(opj_image *image);
  void *(*stream_create)(size_t buffer, int is_input);
  void (*stream_destroy)(void *stream);
  void (*stream_read)(void *stream, size_t (*read)(void *, size_t, void *));
  void (*stream_skip)(void *stream, int64_t (*skip)(int64_t, void *));
  void (*stream_seek)(void *stream, int (*seek)(int64_t, void *));
  void (*stream_user)(void *stream, void *user, void (*release)(void *));
  void (*stream_length)(void *stream, uint64_t length);
} opj;
static bool is_loaded;

static void load(void) {
  static const char *const names[] = {
      "opj_create_decompress", "opj_destroy_codec", "opj_set_default_decoder_parameters",
      "opj_setup_decoder", "opj_read_header", "opj_decode", "opj_end_decompress",
      "opj_image_destroy", "opj_stream_create", "opj_stream_destroy",
      "opj_stream_set_read_function", "opj_stream_set_skip_function",
      "opj_stream_set_seek_function", "opj_stream_set_user_data",
      "opj_stream_set_user_data_length", NULL};
  is_loaded = sli_load("libopenjp2.so.7", names, (void **)&opj);
}

typedef struct {
  const uint8_t *data;
  size_t size;
  size_t position;
} opj_source;

static size_t read_bytes(void *target, size_t count, void *user) {
  opj_source *source = user;
  size_t rest = source->size - source->position;
  if (rest == 0) return (size_t)-1;
  size_t length = count < rest ? count : rest;
  memcpy(target, source->data + source->position, length);
  source->position += length;
  return length;
}

static int seek(int64_t position, void *user) {
  opj_source *source = user;
  if (position < 0 || (uint64_t)position > source->size) return 0;
  source->position = (size_t)position;
  return 1;
}

static int64_t skip(int64_t count, void *user) {
  opj_source *source = user;
  int64_t rest = (int64_t)(source->size - source->position);
  int64_t length = count < rest ? count : rest;
  if (length < 0 && -length > (int64_t)source->position) return -1;
  source->position = (size_t)((int64_t)source->position + length);
  return length;
}

// A component's sample for a pixel of the image, as 0 to 255.
static int sample(const opj_component *part, int64_t x, int64_t y) {
  int64_t column = x / part->dx, row = y / part->dy;
  if (column >= part->width) column = part->width - 1;
  if (row >= part->height) row = part->height - 1;
  int64_t value = part->data[row * part->width + column];
  if (part->is_signed) value += (int64_t)1 << (part->precision - 1);
  if (part->precision > 8) value >>= part->precision - 8;
  if (part->precision < 8) value = value * 255 / ((1 << part->precision) - 1);
  return value < 0 ? 0 : value > 255 ? 255 : (int)value;
}

static uint8_t clamped(double value) {
  return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5);
}

static sli_status convert(const opj_image *source, sli_image *image) {
  uint32_t count = source->component_count < 3 ? 1 : 3;
  const opj_component *parts = source->components;
  for (uint32_t c = 0; c < count; c++) {
    if (!parts[c].data || parts[c].dx == 0 || parts[c].dy == 0 || parts[c].width == 0 ||
        parts[c].height == 0 || parts[c].precision == 0 || parts[c].precision > 31) {
      return SLI_BROKEN;
    }
  }
  for (int64_t y = 0; y < image->height; y++) {
    for (int64_t x = 0; x < image->width; x++) {
      uint8_t *pixel = image->pixels + 3 * (y * image->width + x);
      int value[3];
      for (uint32_t c = 0; c < 3; c++) value[c] = sample(&parts[count == 1 ? 0 : c], x, y);
      if (count == 3 && source->color_space == COLOR_YCC) {
        double blue = value[1] - 128, red = value[2] - 128;
        pixel[0] = clamped(value[0] + 1.402 * red);
        pixel[1] = clamped(value[0] - 0.344136 * blue - 0.714136 * red);
        pixel[2] = clamped(value[0] + 1.772 * blue);
      } else {
        for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)value[c];
      }
    }
  }
  return SLI_OK;
}

static sli_status decode(void *codec, void *stream, int64_t limit, sli_image *image) {
  // The library's parameters take 8 KB; nobody here looks into them.
  _Alignas(16) uint8_t parameters[1 << 16];
  memset(parameters, 0, sizeof parameters);
  opj.set_defaults(parameters);
  opj_image *source = NULL;
  if (!opj.setup(codec, parameters) || !opj.read_header(stream, codec, &source) || !source) {
    if (source) opj.image_destroy(source);
    return SLI_BROKEN;
  }
  sli_status status = SLI_BROKEN;
  if (source->x1 > source->x0 && source->y1 > source->y0 && source->component_count > 0) {
    status = sli_image_create((int64_t)source->x1 - source->x0, (int64_t)source->y1 - source->y0,
                              limit / source->component_count, image);
  }
  if (status == SLI_OK && (!opj.decode(codec, stream, source) || !opj.end(codec, stream))) {
    status = SLI_BROKEN;
  }
  if (status == SLI_OK) status = convert(source, image);
  opj.image_destroy(source);
  return status;
}

sli_status sli_decode_jpeg2000(const uint8_t *data, size_t size, int64_t limit, sli_image *image) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!is_loaded) return SLI_NO_LIBRARY;
  bool is_codestream = size > 1 && data[0] == 0xFF && data[1] == 0x4F;
  opj_source source = {data, size, 0};
  void *codec = opj.create(is_codestream ? CODESTREAM : JP2_FILE);
  void *stream = opj.stream_create(1 << 16, 1);
  sli_image result = {0, 0, NULL};
  sli_status status = SLI_NO_MEMORY;
  if (codec && stream) {
    opj.stream_read(stream, read_bytes);
    opj.stream_skip(stream, skip);
    opj.stream_seek(stream, seek);
    opj.stream_user(stream, &source, NULL);
    opj.stream_length(stream, size);
    status = decode(codec, stream, limit, &result);
  }
  if (stream) opj.stream_destroy(stream);
  if (codec) opj.destroy(codec);
  if (status != SLI_OK) {
    sli_image_free(&result);
    return status;
  }
  *image = result;
  return SLI_OK;
}
