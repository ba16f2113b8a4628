// Tests of CKernels for the tier that STACKLENS_CPU names. Exits with 1 if a check failed.
#include "check.h"

int failure_count = 0;

int main(void) {
  printf("tier %s, vnni %d, bf16 %d\n", slk_cpu_tier_name(), slk_cpu_has_vnni(),
         slk_cpu_has_bf16());
  const char *wish = getenv("STACKLENS_CPU");
  if (wish && strcmp(wish, "native") != 0) {
    CHECK(strcmp(wish, slk_cpu_tier_name()) == 0, "asked for tier %s", wish);
  }
  test_gemm_f32();
  test_gemm_f64();
  test_gemm_bf16();
  test_gemm_i8();
  test_gemm_nbits();
  test_taps_i8();
  test_elementwise();
  test_rows();
  test_attention();
  test_move();
  test_optimizers();
  test_words();
  printf("%d failures\n", failure_count);
  return failure_count != 0;
}
