/* Eight threads share tensors and call operators at once; every result is the same. */
#include <pthread.h>

#include "check.h"

enum { thread_count = 8, round_count = 200, side = 48 };

static sl_tensor *shared = NULL;
static float expected[side * side];

static sl_status multiply(sl_tensor **out_product) {
  const sl_value *inputs[2];
  inputs[0] = inputs[1] = shared;
  return sl_op_run("MatMul", NULL, inputs, 2, NULL, 1, out_product);
}

static void *work(void *result) {
  size_t round, count = 0, mismatch_count = 0;
  for (round = 0; round < round_count; round++) {
    sl_tensor *product = NULL;
    const float *data = NULL;
    if (multiply(&product) != SL_OK || sle_float_data(product, &data, &count) != SL_OK ||
        memcmp(data, expected, sizeof expected) != 0) {
      mismatch_count++;
    }
    if (sl_tensor_rank(NULL, &count) != SL_INVALID_ARGUMENT) mismatch_count++;
    sl_value_release(product);
  }
  *(size_t *)result = mismatch_count;
  return NULL;
}

int main(void) {
  static const int64_t dims[] = {side, side};
  static float numbers[side * side];
  pthread_t threads[thread_count];
  size_t mismatches[thread_count], count = 0, index;
  sl_tensor *product = NULL;
  const float *data = NULL;

  for (index = 0; index < side * side; index++) numbers[index] = (float)(index % 17) - 8;
  CHECK_STATUS(sle_floats(numbers, dims, 2, &shared), SL_OK);
  CHECK_STATUS(multiply(&product), SL_OK);
  CHECK_STATUS(sle_float_data(product, &data, &count), SL_OK);
  if (failure_count) return 1;
  memcpy(expected, data, sizeof expected);
  sl_value_release(product);

  for (index = 0; index < thread_count; index++) {
    CHECK(pthread_create(&threads[index], NULL, work, &mismatches[index]) == 0);
  }
  for (index = 0; index < thread_count; index++) {
    pthread_join(threads[index], NULL);
    CHECK(mismatches[index] == 0);
  }
  sl_value_release(shared);
  return failure_count != 0;
}
