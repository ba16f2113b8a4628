// Makes the operands of the 8-bit products: quantised or integer rows of A and panels of B.
#include "i8_layout.h"
#include "include/slk_gemm_i8.h"
#include "simd_names.h"

#define SLK_TEMPLATE "quantise.inc.h"
#include "tiers.h"

typedef struct {
  float scale, inverse;
} i8_scale;

/// 127 steps to the largest magnitude. Values too small to divide by count as 0.
static i8_scale scale_for(uint32_t largest_bits) {
  float largest;
  memcpy(&largest, &largest_bits, sizeof largest);
  if (largest_bits >= 0x7f800000u) return (i8_scale){NAN, 0.0f};
  if (largest < 1e-35f) return (i8_scale){0.0f, 0.0f};
  return (i8_scale){largest / 127.0f, 127.0f / largest};
}

size_t slk_gemm_i8_group_length(size_t k, size_t groups) {
  size_t length = slk_round_up(slk_divide_up(k, groups), 4);
  return length ? length : 4;
}

size_t slk_gemm_i8_row_bytes(size_t k) { return slk_i8_units(k) * 4; }
size_t slk_gemm_i8_panel_columns(void) { return slk_i8_columns(); }
size_t slk_gemm_i8_panel_count(size_t n) { return slk_divide_up(n, slk_i8_columns()); }

size_t slk_gemm_i8_packed_bytes(size_t k, size_t n, size_t groups) {
  return (slk_i8_units(k) + 2 * groups) * slk_i8_stored_columns(n) * 4;
}

void slk_i8_quantise_rows(const float *a, size_t rows, size_t k, size_t lda, size_t groups,
                          void *rows_out, float *scales) {
  const size_t length = slk_gemm_i8_group_length(k, groups), bytes = slk_i8_element_bytes();
  const size_t row_bytes = slk_gemm_i8_row_bytes(k);
  for (size_t row = 0; row < rows; row++) {
    uint8_t *out = (uint8_t *)rows_out + row * row_bytes;
    for (size_t group = 0; group < groups; group++) {
      const size_t begin = slk_min(k, group * length), count = slk_min(length, k - begin);
      const float *x = a + row * lda + begin;
      const i8_scale s = scale_for(SLK_DISPATCH_I8(largest_bits, x, count));
      scales[row * groups + group] = s.scale;
      if (isnan(s.scale)) {
        for (size_t i = 0; i < count; i++) slk_i8_put(out, begin + i, 128);
      } else {
        SLK_DISPATCH_I8(quantise, x, count, s.inverse, 128, out + begin * bytes);
      }
    }
    memset(out + k * bytes, 0, row_bytes - k * bytes);
  }
}

void slk_i8_quantise_rows_by(const float *a, size_t rows, size_t k, size_t lda, float scale,
                             int32_t zero_point, void *rows_out) {
  const size_t row_bytes = slk_gemm_i8_row_bytes(k), bytes = slk_i8_element_bytes();
  for (size_t row = 0; row < rows; row++) {
    uint8_t *out = (uint8_t *)rows_out + row * row_bytes;
    SLK_DISPATCH_I8(quantise_by, a + row * lda, k, scale, zero_point, out);
    memset(out + k * bytes, 0, row_bytes - k * bytes);
  }
}

enum { CHUNK = 256 };

/// Up to CHUNK elements of a column in a row: in place, or gathered into `buffer`.
static const float *column_chunk(const float *source, size_t stride, size_t count, float *buffer) {
  if (stride == 1) return source;
  for (size_t i = 0; i < count; i++) buffer[i] = source[i * stride];
  return buffer;
}

/// Writes `count` prepared elements of one column, from element `first` of K, into its panel.
/// Returns their sum.
static int32_t scatter(const void *elements, size_t count, size_t first, uint32_t *panel_column,
                       size_t stored) {
  int32_t sum = 0;
  const size_t per_unit = slk_i8_unit_elements();
  if (per_unit == 4) {
    const int8_t *bytes = elements;
    for (size_t i = 0; i < count; i++) sum += bytes[i];
  } else {
    const int16_t *words = elements;
    for (size_t i = 0; i < count; i++) sum += words[i];
  }
  const uint32_t *units = elements;
  uint32_t *out = panel_column + first / per_unit * stored;
  for (size_t i = 0; i * per_unit < count; i++) out[i * stored] = units[i];
  return sum;
}

static void clear_missing_columns(uint32_t *panel, size_t units, size_t width, size_t stored) {
  for (size_t i = 0; i < units && width < stored; i++) {
    memset(panel + i * stored + width, 0, (stored - width) * 4);
  }
}

void slk_gemm_i8_pack(const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride,
                      size_t groups, void *packed, size_t panel_begin, size_t panel_end) {
  const size_t columns = slk_i8_columns(), units = slk_i8_units(k);
  const size_t all = slk_i8_stored_columns(n), length = slk_gemm_i8_group_length(k, groups);
  float *scales = slk_i8_scales(packed, k, n);
  int32_t *sums = slk_i8_sums(packed, k, n, groups);
  float buffer[CHUNK];
  uint32_t elements[CHUNK / 2];
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, slk_i8_shape().width);
    uint32_t *base = (uint32_t *)packed + column * units;
    clear_missing_columns(base, units, width, stored);
    for (size_t group = 0; group < groups; group++) {
      const size_t begin = slk_min(k, group * length), end = slk_min(k, begin + length);
      for (size_t j = 0; j < stored; j++) {
        i8_scale s = {0.0f, 0.0f};
        int32_t sum = 0;
        const float *source = b + (column + j) * column_stride;
        uint32_t largest = 0;
        for (size_t i = begin; i < end && j < width; i += CHUNK) {
          const size_t count = slk_min(CHUNK, end - i);
          const float *x = column_chunk(source + i * row_stride, row_stride, count, buffer);
          const uint32_t bits = SLK_DISPATCH_I8(largest_bits, x, count);
          if (bits > largest) largest = bits;
        }
        s = scale_for(largest);
        for (size_t i = begin; i < end && j < width; i += CHUNK) {
          const size_t count = slk_min(CHUNK, end - i);
          const float *x = column_chunk(source + i * row_stride, row_stride, count, buffer);
          memset(elements, 0, sizeof elements);
          if (!isnan(s.scale)) {
            SLK_DISPATCH_I8(quantise, x, count, s.inverse, 0, elements);
          }
          sum += scatter(elements, count, i, base + j, stored);
        }
        scales[group * all + column + j] = s.scale;
        sums[group * all + column + j] = sum;
      }
    }
  }
}

void slk_gemm_integer_pack(const void *b, bool is_signed, size_t k, size_t n, size_t row_stride,
                           size_t column_stride, void *packed, size_t panel_begin,
                           size_t panel_end) {
  const size_t columns = slk_i8_columns(), units = slk_i8_units(k);
  int32_t *sums = slk_i8_sums(packed, k, n, 1);
  uint32_t elements[CHUNK / 2];
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t column = panel * columns, width = slk_min(columns, n - column);
    const size_t stored = slk_round_up(width, slk_i8_shape().width);
    uint32_t *base = (uint32_t *)packed + column * units;
    clear_missing_columns(base, units, width, stored);
    if (column_stride == 1) {
      SLK_DISPATCH_I8(interleave, (const uint8_t *)b + column, is_signed ? 0 : 128, k, row_stride,
                      width, stored, slk_i8_unit_elements(), base, sums + column);
      if (slk_i8_unit_elements() == 2 && (k + 1) / 2 < units) {
        memset(base + (k + 1) / 2 * stored, 0, stored * 4);
      }
      continue;
    }
    for (size_t j = 0; j < stored; j++) {
      const size_t at = (column + j) * column_stride;
      int32_t sum = 0;
      for (size_t i = 0; i < k && j < width; i += CHUNK) {
        const size_t count = slk_min(CHUNK, k - i);
        memset(elements, 0, sizeof elements);
        for (size_t l = 0; l < count; l++) {
          const uint8_t byte = ((const uint8_t *)b)[at + (i + l) * row_stride];
          slk_i8_put(elements, l, is_signed ? (int8_t)byte : (int32_t)byte - 128);
        }
        sum += scatter(elements, count, i, base + j, stored);
      }
      sums[column + j] = sum;
    }
  }
}

void slk_gemm_i8_pack_integers(const void *b, bool is_signed, size_t k, size_t n, size_t row_stride,
                               size_t column_stride, const float *scales, size_t scale_stride,
                               void *packed, size_t panel_begin, size_t panel_end) {
  slk_gemm_integer_pack(b, is_signed, k, n, row_stride, column_stride, packed, panel_begin,
                        panel_end);
  float *out = slk_i8_scales(packed, k, n);
  const size_t end = slk_min(panel_end * slk_i8_columns(), slk_i8_stored_columns(n));
  for (size_t j = panel_begin * slk_i8_columns(); j < end; j++) {
    out[j] = j < n ? scales[j * scale_stride] : 0.0f;
  }
}

void slk_integer_rows(const void *a, bool is_signed, size_t rows, size_t k, size_t lda,
                      void *rows_out, int32_t *row_sums) {
  const size_t row_bytes = slk_gemm_i8_row_bytes(k), bytes = slk_i8_element_bytes();
  for (size_t row = 0; row < rows; row++) {
    uint8_t *out = (uint8_t *)rows_out + row * row_bytes;
    const uint32_t sum = SLK_DISPATCH_I8(integer_row, (const uint8_t *)a + row * lda, k,
                                         is_signed ? 0x80 : 0, out);
    memset(out + k * bytes, 0, row_bytes - k * bytes);
    if (row_sums) row_sums[row] = (int32_t)sum;
  }
}
