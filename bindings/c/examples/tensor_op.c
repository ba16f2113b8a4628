/* Calls operators directly: softmax along an axis, then the two largest of each row. */
#include "stacklens_easy.h"

int main(void) {
  static const float numbers[] = {1, 2, 3, 4, 3, 2, 1, 0};
  static const int64_t dims[] = {2, 4}, two = 2, one = 1;
  sl_tensor *input = NULL, *wanted = NULL, *soft = NULL, *top[2] = {NULL, NULL};
  sl_attributes *axis = NULL;
  const sl_value *arguments[2];
  int result = EXIT_FAILURE;

  SLE_TRY(sle_floats(numbers, dims, 2, &input), done);
  SLE_TRY(sle_ints(&two, &one, 1, &wanted), done);
  SLE_TRY(sl_attributes_create(&axis), done);
  SLE_TRY(sl_attributes_set_int(axis, "axis", 1), done);

  arguments[0] = input;
  SLE_TRY(sl_op_run("Softmax", NULL, arguments, 1, axis, 1, &soft), done);
  SLE_TRY(sle_print(stdout, soft, 8), done);

  arguments[0] = soft;
  arguments[1] = wanted;
  SLE_TRY(sl_op_run("TopK", NULL, arguments, 2, axis, 2, top), done);
  SLE_TRY(sle_print(stdout, top[0], 8), done);
  SLE_TRY(sle_print(stdout, top[1], 8), done);
  result = EXIT_SUCCESS;

done:
  sl_value_release(top[1]);
  sl_value_release(top[0]);
  sl_value_release(soft);
  sl_attributes_release(axis);
  sl_value_release(wanted);
  sl_value_release(input);
  return result;
}
