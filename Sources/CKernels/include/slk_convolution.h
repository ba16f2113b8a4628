// Convolutions of one image and one group, channels first, up to three axes (depth, height, width).
// A missing axis has extent, kernel, stride and dilation 1.
#ifndef STACKLENS_SLK_CONVOLUTION_H
#define STACKLENS_SLK_CONVOLUTION_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  size_t channels;
  size_t input[3], kernel[3], output[3], stride[3], dilation[3];
  ptrdiff_t pad[3];  ///< Before the first input; negative crops.
} slk_convolution;

/// Lays the inputs of the output pixels [pixel_begin, pixel_end) out as the matrix B of a product,
/// [channels * kernel, pixels], in the panels of slk_gemm_f32; pixel_begin is column 0 of it.
/// Size: slk_gemm_f32_packed_bytes(channels * kernel, pixels).
void slk_convolution_pack_f32(const slk_convolution *shape, const float *x, void *packed,
                              size_t pixel_begin, size_t pixel_end);

/// The same matrix of bytes by rows, `row_stride` bytes apart; padding holds `zero_point`.
void slk_convolution_columns_u8(const slk_convolution *shape, const uint8_t *x, uint8_t zero_point,
                                uint8_t *columns, size_t row_stride, size_t pixel_begin,
                                size_t pixel_end);

/// One output channel of a transposed convolution: y = bias, plus row (kernel position) of `columns`,
/// [kernel, input pixels], added where that position puts each input. `channels` is not read.
void slk_convolution_fold_f32(const slk_convolution *shape, const float *columns, float bias,
                              float *y);

/// Work space of slk_convolution_depthwise_f32, in floats.
size_t slk_convolution_depthwise_room(const slk_convolution *shape);
/// One channel with its own kernel: y = x * w + bias.
void slk_convolution_depthwise_f32(const slk_convolution *shape, const float *x, const float *w,
                                   float bias, float *y, float *room);

/// sums[j] = sum over i < terms of weights[i] * column element (i, j), modulo 2^32; the columns are
/// bytes as slk_convolution_columns_u8 writes them, less `zero_point`.
void slk_convolution_combine(const uint8_t *columns, size_t row_stride, int is_signed,
                             int32_t zero_point, const int32_t *weights, size_t terms, size_t n,
                             int32_t *sums);

#endif
