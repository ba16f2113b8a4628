// Convolutions over bytes whose channels lie side by side: exact integer sums over lists of taps, made
// bytes again while they are in registers. Images are unsigned, weights signed.
#ifndef STACKLENS_SLK_TAPS_I8_H
#define STACKLENS_SLK_TAPS_I8_H

#include <stddef.h>
#include <stdint.h>

#include "slk_convolution.h"

/// What becomes of the sums: y = saturate(round((sum + offset) * scale) + zero), halves to even, and
/// then, where there is a table, table[y].
typedef struct {
  const int32_t *offsets;
  const float *scales;
  int32_t zero;
  const uint8_t *table;
} slk_byte_ending;

/// slk_taps_fill for bytes: `pixel_stride` bytes lie between neighbours of x.
void slk_taps_fill_bytes(const slk_convolution *shape, const uint8_t *x, size_t pixel_stride,
                         const uint8_t *outside, size_t pixel_begin, size_t pixel_end,
                         const uint8_t **table);

/// Panels of the product with `n` output channels.
size_t slk_taps_i8_panel_count(size_t n);
/// Pixels that are best computed together.
size_t slk_taps_i8_tile_rows(void);
size_t slk_taps_i8_packed_bytes(size_t taps, size_t run, size_t n);
/// Packs weights [n, taps, run]. Align `packed` to 64 bytes.
void slk_taps_i8_pack(const int8_t *w, size_t taps, size_t run, size_t n, void *packed);

/// y[r, c] from the sum over taps and i < run of table[r, tap][i] * w[c, tap, i]; rows of y are
/// y_stride bytes apart. Row 0 of the table is row_begin; offsets and scales are those of column 0.
void slk_taps_i8(size_t taps, size_t run, size_t n, const uint8_t *const *table,
                 const void *packed, const slk_byte_ending *ending, uint8_t *y, size_t y_stride,
                 size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end);

/// How the depthwise kernel stores what belongs to a channel: place `stored` of as many as
/// slk_depthwise_i8_stored says is of this channel, of none where it is not less than `channels`.
size_t slk_depthwise_i8_stored(size_t channels);
size_t slk_depthwise_i8_channel(size_t channels, size_t stored);
size_t slk_depthwise_i8_packed_bytes(size_t taps, size_t channels);
/// Packs weights [channels, taps].
void slk_depthwise_i8_pack(const int8_t *w, size_t taps, size_t channels, void *packed);

/// y[r, c] from the sum over taps of table[r, tap][c] * w[c, tap]; offsets and scales are stored as the
/// functions above say.
void slk_depthwise_i8(size_t taps, size_t channels, const uint8_t *const *table,
                      const void *packed, const slk_byte_ending *ending, uint8_t *y, size_t rows);

/// y[r, c] = largest of table[r, tap][c] over the taps.
void slk_largest_taps_u8(size_t taps, size_t channels, const uint8_t *const *table, uint8_t *y,
                         size_t rows);
/// sums[c] = sum of x[r * row_stride + c] over the rows, of which there are less than 2^23.
void slk_sum_rows_u8(const uint8_t *x, size_t row_stride, size_t rows, size_t channels,
                     uint32_t *sums);

#endif
