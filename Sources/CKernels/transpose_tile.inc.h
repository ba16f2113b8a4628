// A tile of SLK_EDGE rows and columns of SLK_ELEMENT is transposed by interleaving row i with row
// i + SLK_EDGE / 2, once for every bit of a row number: each round moves the top bit of the row
// number to the bottom of the column number and the top bit of the column number to the row.
#if SLK_EDGE == 16
#define SLK_ROUNDS 4
#define SLK_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SLK_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif SLK_EDGE == 8
#define SLK_ROUNDS 3
#define SLK_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define SLK_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif SLK_EDGE == 4
#define SLK_ROUNDS 2
#define SLK_LOW 0, 4, 1, 5
#define SLK_HIGH 2, 6, 3, 7
#else
#define SLK_ROUNDS 1
#define SLK_LOW 0, 2
#define SLK_HIGH 1, 3
#endif

static inline __attribute__((always_inline)) void SLK_TILE(const SLK_ELEMENT *x, size_t x_stride,
                                                           SLK_ELEMENT *y, size_t y_stride) {
  typedef SLK_ELEMENT vector __attribute__((vector_size(SLK_EDGE * sizeof(SLK_ELEMENT))));
  vector a[SLK_EDGE], b[SLK_EDGE];
#pragma clang loop unroll(full)
  for (int i = 0; i < SLK_EDGE; i++) memcpy(&a[i], x + (size_t)i * x_stride, sizeof(vector));
#pragma clang loop unroll(full)
  for (int round = 0; round < SLK_ROUNDS; round++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < SLK_EDGE / 2; i++) {
      b[2 * i] = __builtin_shufflevector(a[i], a[i + SLK_EDGE / 2], SLK_LOW);
      b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + SLK_EDGE / 2], SLK_HIGH);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < SLK_EDGE; i++) a[i] = b[i];
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < SLK_EDGE; i++) memcpy(y + (size_t)i * y_stride, &a[i], sizeof(vector));
}

static void SLK_MATRIX(const SLK_ELEMENT *x, size_t x_stride, SLK_ELEMENT *y, size_t y_stride,
                       size_t rows, size_t columns) {
  if (rows == 3 && y_stride == 3) {  // planes of three colours to pixels
    for (size_t c = 0; c < columns; c++) {
      y[3 * c] = x[c];
      y[3 * c + 1] = x[x_stride + c];
      y[3 * c + 2] = x[2 * x_stride + c];
    }
    return;
  }
  size_t full_rows = rows - rows % SLK_EDGE, full_columns = columns - columns % SLK_EDGE;
  for (size_t r = 0; r < full_rows; r += SLK_EDGE)
    for (size_t c = 0; c < full_columns; c += SLK_EDGE)
      SLK_TILE(x + r * x_stride + c, x_stride, y + c * y_stride + r, y_stride);
  for (size_t c = full_columns; c < columns; c++)
    for (size_t r = 0; r < full_rows; r++) y[c * y_stride + r] = x[r * x_stride + c];
  for (size_t c = 0; c < columns; c++)
    for (size_t r = full_rows; r < rows; r++) y[c * y_stride + r] = x[r * x_stride + c];
}

#undef SLK_ELEMENT
#undef SLK_EDGE
#undef SLK_MATRIX
#undef SLK_TILE
#undef SLK_ROUNDS
#undef SLK_LOW
#undef SLK_HIGH
