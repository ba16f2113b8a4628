#include "include/slk_gemm_i8.h"

#include "epilogue.h"
#include "i8_layout.h"

typedef struct {
  const slk_epilogue *epilogue;
  const float *row_scales, *column_scales;
  const int32_t *column_sums;
  int32_t row_zero;
  size_t groups, group_units, stored_columns;
} i8_job;

typedef struct {
  const slk_integer_product *product;
  const int32_t *row_sums, *column_sums;
  size_t k;
} integer_job;

#define SLK_TEMPLATE "gemm_i8.inc.h"
#define SLK_AVX512_EXTRA ",avx512vnni"
#include "tiers.h"

void slk_gemm_i8(size_t k, size_t n, size_t groups, const void *rows, const float *row_scales,
                 int32_t row_zero, const void *packed, float *c, size_t ldc,
                 const slk_epilogue *epilogue,
                 size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end) {
  const size_t units = slk_i8_units(k);
  void *blob = (void *)(uintptr_t)packed;
  const i8_job job = {
      .epilogue = epilogue,
      .row_scales = row_scales,
      .column_scales = slk_i8_scales(blob, k, n),
      .column_sums = slk_i8_sums(blob, k, n, groups),
      .row_zero = row_zero,
      .groups = groups,
      .group_units = slk_gemm_i8_group_length(k, groups) / slk_i8_unit_elements(),
      .stored_columns = slk_i8_stored_columns(n),
  };
  SLK_DISPATCH_I8(product_i8, units, n, (const uint32_t *)rows, units, (const uint32_t *)packed, c,
                  ldc, &job, row_begin, row_end, panel_begin, panel_end);
}

void slk_gemm_integer(size_t k, size_t n, const void *rows, const int32_t *row_sums,
                      const void *packed, const slk_integer_product *product, int32_t *c,
                      size_t ldc, size_t row_begin, size_t row_end, size_t panel_begin,
                      size_t panel_end) {
  const size_t units = slk_i8_units(k);
  const integer_job job = {product, row_sums, slk_i8_sums((void *)(uintptr_t)packed, k, n, 1), k};
  SLK_DISPATCH_I8(product_integer, units, n, (const uint32_t *)rows, units,
                  (const uint32_t *)packed, c, ldc, &job, row_begin, row_end, panel_begin,
                  panel_end);
}
