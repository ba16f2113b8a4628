// The transpose against its definition, for every width and around the sizes of the tiles.
#include "check.h"

void test_move(void) {
  uint32_t state = 11;
  for (size_t width = 1; width <= 8; width *= 2) {
    for (size_t rows = 0; rows < 36; rows += 3) {
      for (size_t columns = 0; columns < 36; columns++) {
        const size_t x_stride = columns + 3, y_stride = rows + 2;
        uint8_t *x = block(rows * x_stride * width), *y = block(columns * y_stride * width);
        for (size_t i = 0; i < rows * x_stride * width; i++) x[i] = (uint8_t)random_bits(&state);
        slk_transpose(x, x_stride, y, y_stride, rows, columns, width);
        for (size_t r = 0; r < rows; r++) {
          for (size_t c = 0; c < columns; c++) {
            CHECK(!memcmp(x + (r * x_stride + c) * width, y + (c * y_stride + r) * width, width),
                  "transpose of %zux%zu, width %zu, at (%zu, %zu)", rows, columns, width, r, c);
          }
        }
        for (size_t c = 0; c < columns * width; c++) {
          CHECK(y[(c / width * y_stride + rows) * width] == 0xff, "written behind row %zu", c);
        }
        free(x), free(y);
      }
    }
  }
}
