// Convolutions over bytes with their channels last, against plain loops.
#include "check.h"

/// The byte that a sum becomes.
static uint8_t ended(int32_t sum, int32_t offset, float scale, int32_t zero,
                     const uint8_t *table) {
  const int32_t all = (int32_t)((uint32_t)sum + (uint32_t)offset);
  float v = (float)all * scale;
  v = fminf(fmaxf(v, -1000.0f), 1000.0f);
  const long byte = lrintf(v) + zero;
  const uint8_t bounded = (uint8_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte);
  return table ? table[bounded] : bounded;
}

typedef struct {
  uint8_t *x, *table;
  const uint8_t **taps;
  int8_t *w;
  int32_t *offsets;
  float *scales;
  size_t rows, tap_count, run, n;
} problem;

/// `run` bytes at each tap; every row reads at other places of x, which ends with the last run.
static problem make(size_t rows, size_t taps, size_t run, size_t n, size_t weights, bool extreme) {
  problem p = {.rows = rows, .tap_count = taps, .run = run, .n = n};
  const size_t length = run + rows + taps;
  p.x = block(length), p.table = block(256), p.w = block(weights);
  p.taps = block(rows * taps * sizeof *p.taps);
  p.offsets = block(n * 4), p.scales = block(n * 4);
  uint32_t state = (uint32_t)(rows * 31 + taps * 7 + run * 3 + n) + 1;
  for (size_t i = 0; i < length; i++) p.x[i] = extreme ? 255 : (uint8_t)random_bits(&state);
  for (size_t i = 0; i < weights; i++) p.w[i] = extreme ? -128 : (int8_t)random_bits(&state);
  for (size_t i = 0; i < 256; i++) p.table[i] = (uint8_t)random_bits(&state);
  for (size_t i = 0; i < rows * taps; i++) {
    p.taps[i] = p.x + random_bits(&state) % (length - run + 1);
  }
  p.taps[rows * taps - 1] = p.x + length - run;
  for (size_t i = 0; i < n; i++) {
    p.offsets[i] = (int32_t)(random_bits(&state) % 20001) - 10000;
    p.scales[i] = 0.02f * (1.0f + random_unit(&state)) / (float)(1 + taps);
  }
  return p;
}

static void drop(problem p) {
  free(p.x), free(p.table), free(p.w), free(p.taps), free(p.offsets), free(p.scales);
}

static void product(size_t rows, size_t taps, size_t run, size_t n, unsigned variant) {
  problem p = make(rows, taps, run, n, n * taps * run, variant & 1);
  const slk_byte_ending ending = {p.offsets, p.scales, variant & 2 ? 7 : 131,
                                  variant & 4 ? p.table : NULL};
  const size_t stride = n + 3, panels = slk_taps_i8_panel_count(n), cut = rows / 2;
  void *packed = block(slk_taps_i8_packed_bytes(taps, run, n));
  uint8_t *y = block(rows * stride);
  slk_taps_i8_pack(p.w, taps, run, n, packed);
  for (size_t half = 0; half < 2; half++) {
    const size_t begin = half ? cut : 0, end = half ? rows : cut;
    const uint8_t *const *table = (const uint8_t *const *)p.taps + begin * taps;
    slk_taps_i8(taps, run, n, table, packed, &ending, y, stride, begin, end, 0, panels / 2);
    slk_taps_i8(taps, run, n, table, packed, &ending, y, stride, begin, end, panels / 2, panels);
  }
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < n; c++) {
      int32_t sum = 0;
      for (size_t i = 0; i < taps * run; i++) {
        sum += p.taps[r * taps + i / run][i % run] * p.w[c * taps * run + i];
      }
      const uint8_t wanted =
          ended(sum, p.offsets[c], p.scales[c], ending.zero, ending.table);
      CHECK(y[r * stride + c] == wanted, "taps %zux%zux%zux%zu variant %u (%zu, %zu): %d, not %d",
            rows, taps, run, n, variant, r, c, y[r * stride + c], wanted);
    }
    for (size_t c = n; c < stride; c++) CHECK(y[r * stride + c] == 255, "wrote beside row %zu", r);
  }
  free(packed), free(y);
  drop(p);
}

static void depthwise(size_t rows, size_t taps, size_t channels, unsigned variant) {
  problem p = make(rows, taps, channels, channels, channels * taps, variant & 1);
  const size_t stored = slk_depthwise_i8_stored(channels);
  int32_t *offsets = block(stored * 4);
  float *scales = block(stored * 4);
  for (size_t i = 0; i < stored; i++) {
    const size_t c = slk_depthwise_i8_channel(channels, i);
    offsets[i] = c < channels ? p.offsets[c] : 0;
    scales[i] = c < channels ? p.scales[c] : 0;
  }
  const slk_byte_ending ending = {offsets, scales, variant & 2 ? 0 : 120,
                                  variant & 4 ? p.table : NULL};
  void *packed = block(slk_depthwise_i8_packed_bytes(taps, channels));
  uint8_t *y = block(rows * channels);
  slk_depthwise_i8_pack(p.w, taps, channels, packed);
  slk_depthwise_i8(taps, channels, (const uint8_t *const *)p.taps, packed, &ending, y, rows);
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < channels; c++) {
      int32_t sum = 0;
      for (size_t t = 0; t < taps; t++) sum += p.taps[r * taps + t][c] * p.w[c * taps + t];
      const uint8_t wanted =
          ended(sum, p.offsets[c], p.scales[c], ending.zero, ending.table);
      CHECK(y[r * channels + c] == wanted, "depthwise %zux%zux%zu variant %u (%zu, %zu): %d, not %d",
            rows, taps, channels, variant, r, c, y[r * channels + c], wanted);
    }
  }
  free(offsets), free(scales), free(packed), free(y);
  drop(p);
}

static void pooling(size_t rows, size_t taps, size_t channels) {
  problem p = make(rows, taps, channels, channels, 0, false);
  uint8_t *y = block(rows * channels);
  uint32_t *sums = block(channels * 4);
  slk_largest_taps_u8(taps, channels, (const uint8_t *const *)p.taps, y, rows);
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < channels; c++) {
      uint8_t most = 0;
      for (size_t t = 0; t < taps; t++) {
        if (p.taps[r * taps + t][c] > most) most = p.taps[r * taps + t][c];
      }
      CHECK(y[r * channels + c] == most, "largest of %zux%zux%zu", rows, taps, channels);
    }
  }
  slk_sum_rows_u8(y, channels, rows, channels, sums);
  for (size_t c = 0; c < channels; c++) {
    uint32_t sum = 0;
    for (size_t r = 0; r < rows; r++) sum += y[r * channels + c];
    CHECK(sums[c] == sum, "sums of %zux%zu", rows, channels);
  }
  free(y), free(sums);
  drop(p);
}

/// The places of kernel positions, against the definition.
static void filling(size_t height, size_t width, size_t kernel, size_t stride, ptrdiff_t pad) {
  const size_t lines = (height + 2 * (size_t)pad - kernel) / stride + 1;
  const size_t columns = (width + 2 * (size_t)pad - kernel) / stride + 1;
  const slk_convolution s = {1, {1, height, width}, {1, kernel, kernel}, {1, lines, columns},
                             {1, stride, stride}, {1, 1, 1}, {0, pad, pad}};
  const size_t begin = columns / 2, end = 2 * lines * columns, taps = kernel * kernel;
  uint8_t *x = block(2 * height * width * 5), outside = 0;
  const uint8_t **table = block((end - begin) * taps * sizeof *table);
  slk_taps_fill_bytes(&s, x, 5, &outside, begin, end, table);
  for (size_t pixel = begin; pixel < end; pixel++) {
    for (size_t tap = 0; tap < taps; tap++) {
      const ptrdiff_t row = (ptrdiff_t)(pixel / columns % lines * stride + tap / kernel) - pad;
      const ptrdiff_t column = (ptrdiff_t)(pixel % columns * stride + tap % kernel) - pad;
      const size_t image = pixel / columns / lines;
      const bool inside = row >= 0 && row < (ptrdiff_t)height && column >= 0 &&
                          column < (ptrdiff_t)width;
      const uint8_t *wanted =
          inside ? x + ((image * height + (size_t)row) * width + (size_t)column) * 5 : &outside;
      CHECK(table[(pixel - begin) * taps + tap] == wanted, "tap %zu of pixel %zu", tap, pixel);
    }
  }
  free(x), free(table);
}

void test_taps_i8(void) {
  static const size_t rows[] = {1, 2, 7, 8, 9, 19}, widths[] = {1, 15, 16, 17, 48, 50, 113};
  static const size_t runs[] = {1, 3, 4, 6, 21, 64};
  unsigned variant = 0;
  for (size_t i = 0; i < 6; i++) {
    for (size_t j = 0; j < 7; j++) {
      for (size_t k = 0; k < 6; k++) {
        product(rows[i], 1 + (i + j + k) % 9, runs[k], widths[j], variant++);
      }
    }
  }
  product(3, 9, 4096, 5, 1);
  static const size_t channels[] = {1, 8, 16, 17, 32, 33, 63, 64, 65, 80, 96, 100, 144};
  for (size_t i = 0; i < 6; i++) {
    for (size_t j = 0; j < 13; j++) {
      depthwise(rows[i], 9, channels[j], variant++);
      depthwise(rows[i], 1 + (i + j) % 26, channels[j], variant++);
      pooling(rows[i], 1 + j % 9, channels[j]);
    }
  }
  filling(7, 9, 3, 2, 1);
  filling(5, 5, 5, 1, 2);
  filling(6, 4, 1, 2, 0);
}
