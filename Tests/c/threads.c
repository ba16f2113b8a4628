/* Eight threads share one session and one tensor, run the session and call operators at once; every
 * result is the same.  threads [ROUNDS] */
#include <pthread.h>

#include "check.h"

enum { thread_count = 8, side = 48 };

/* ONNX, opset 17: g (float[48, 48] x) => (float[48, 48] y) { s = MatMul(x, x)  y = Relu(s) } */
static const char model_bytes[] =
    "\x08\x08:R\x0a\x13\x0a\x01x\x0a\x01x\x12\x01s\x22\x06MatMul:\x00\x0a\x0e\x0a\x01s\x12\x01y\x22"
    "\x04Relu:\x00\x12\x01gZ\x13\x0a\x01x\x12\x0e\x0a\x0c\x08\x01\x12\x08\x0a\x02\x08"
    "0\x0a\x02\x08"
    "0b\x13\x0a\x01y\x12\x0e\x0a\x0c\x08\x01\x12\x08\x0a\x02\x08"
    "0\x0a\x02\x08"
    "0B\x04\x0a\x00\x10\x11";

static sl_session *session = NULL;
static sl_tensor *shared = NULL;
static float expected[side * side];
static long round_count = 200;

static sl_status run(sl_tensor **out_result) {
  static const char *const names[] = {"x"};
  const sl_value *inputs[1];
  inputs[0] = shared;
  return sl_session_run(session, names, inputs, 1, NULL, 1, NULL, out_result);
}

static sl_status call(sl_tensor **out_result) {
  const sl_value *inputs[2];
  sl_tensor *product = NULL;
  sl_status status;
  inputs[0] = inputs[1] = shared;
  status = sl_op_run("MatMul", NULL, inputs, 2, NULL, 1, &product);
  if (status != SL_OK) return status;
  inputs[0] = product;
  status = sl_op_run("Relu", NULL, inputs, 1, NULL, 1, out_result);
  sl_value_release(product);
  return status;
}

static bool is_expected(sl_status status, sl_tensor *result) {
  const float *data = NULL;
  size_t count = 0;
  bool is_equal = status == SL_OK && sle_float_data(result, &data, &count) == SL_OK &&
                  memcmp(data, expected, sizeof expected) == 0;
  sl_value_release(result);
  return is_equal;
}

static void *work(void *mismatches) {
  size_t rank = 0, mismatch_count = 0;
  long round;
  for (round = 0; round < round_count; round++) {
    sl_tensor *from_session = NULL, *from_operators = NULL;
    sl_status status = run(&from_session);
    mismatch_count += !is_expected(status, from_session);
    status = call(&from_operators);
    mismatch_count += !is_expected(status, from_operators);
    mismatch_count += sl_tensor_rank(NULL, &rank) != SL_INVALID_ARGUMENT;
  }
  *(size_t *)mismatches = mismatch_count;
  return NULL;
}

int main(int argc, char **argv) {
  static const int64_t dims[] = {side, side};
  static float numbers[side * side];
  pthread_t threads[thread_count];
  size_t mismatches[thread_count], count = 0, index;
  sl_model *model = NULL;
  sl_tensor *result = NULL;
  const float *data = NULL;

  if (argc > 1) round_count = strtol(argv[1], NULL, 10);
  for (index = 0; index < side * side; index++) numbers[index] = (float)(index % 17) - 8;
  CHECK_STATUS(sl_model_load_bytes(model_bytes, sizeof model_bytes - 1, NULL, &model), SL_OK);
  CHECK_STATUS(sl_session_create(model, NULL, &session), SL_OK);
  sl_model_release(model);
  CHECK_STATUS(sle_floats(numbers, dims, 2, &shared), SL_OK);
  CHECK_STATUS(run(&result), SL_OK);
  CHECK_STATUS(sle_float_data(result, &data, &count), SL_OK);
  if (failure_count) return 1;
  memcpy(expected, data, sizeof expected);
  sl_value_release(result);

  for (index = 0; index < thread_count; index++) {
    CHECK(pthread_create(&threads[index], NULL, work, &mismatches[index]) == 0);
  }
  for (index = 0; index < thread_count; index++) {
    pthread_join(threads[index], NULL);
    CHECK(mismatches[index] == 0);
  }
  CHECK_STATUS(sl_session_trim(session), SL_OK);
  sl_session_release(session);
  sl_value_release(shared);
  return failure_count != 0;
}
