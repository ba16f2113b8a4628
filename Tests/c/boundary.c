/* The C functions from outside: what is wrong is refused with a status and a message, outputs stay
 * untouched, and the process lives. */
#include "check.h"

static void *const untouched = (void *)0x1234;

static void refuses_null_and_dead_handles(void) {
  static const float number = 1;
  sl_tensor *tensor = NULL, *other = (sl_tensor *)untouched;
  sl_attributes *attributes = NULL;
  size_t size = 7;
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, NULL, 0, &number, sizeof number, NULL),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, NULL, 0, &number, sizeof number, &tensor), SL_OK);
  CHECK_STATUS(sl_tensor_rank(NULL, &size), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_tensor_rank(tensor, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_tensor_rank((const sl_tensor *)&number, &size), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_attributes_create(&attributes), SL_OK);
  CHECK_STATUS(sl_tensor_rank((const sl_tensor *)(const void *)attributes, &size),
               SL_INVALID_ARGUMENT);
  sl_attributes_release(attributes);
  CHECK_STATUS(sl_value_retain(tensor), SL_OK);
  sl_value_release(tensor);
  CHECK_STATUS(sl_tensor_rank(tensor, &size), SL_OK);
  sl_value_release(tensor);
  size = 7;
  CHECK_STATUS(sl_tensor_rank(tensor, &size), SL_INVALID_ARGUMENT);
  CHECK(size == 7);
  CHECK_STATUS(sl_value_retain(tensor), SL_INVALID_ARGUMENT);
  sl_value_release(tensor);
  sl_value_release(NULL);
  CHECK_STATUS(sl_model_load(NULL, (sl_model **)&other), SL_INVALID_ARGUMENT);
  CHECK((void *)other == untouched);
}

static void refuses_shapes_and_sizes(void) {
  static const int64_t negative[] = {2, -1}, huge[] = {INT64_MAX, INT64_MAX}, six[] = {2, 3};
  static const int64_t inferred[] = {-1, 2}, impossible[] = {4, -1}, both[] = {-1, -1};
  static const float numbers[6] = {0, 1, 2, 3, 4, 5};
  sl_tensor *tensor = (sl_tensor *)untouched, *reshaped = (sl_tensor *)untouched;
  int64_t dims[2] = {9, 9};
  CHECK(sl_tensor_create(SL_FLOAT32, negative, 2, numbers, 8, &tensor) != SL_OK);
  CHECK(sl_tensor_create(SL_FLOAT32, huge, 2, numbers, 8, &tensor) != SL_OK);
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, six, 2, numbers, 20, &tensor), SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, six, 2, NULL, 24, &tensor), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_tensor_create(SL_STRING, six, 2, numbers, 24, &tensor), SL_TYPE_MISMATCH);
  CHECK(sl_tensor_create((sl_type)77, six, 2, numbers, 24, &tensor) != SL_OK);
  CHECK(sl_tensor_create(SL_FLOAT32, six, SIZE_MAX, numbers, 24, &tensor) != SL_OK);
  CHECK(tensor == (sl_tensor *)untouched);
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, six, 2, numbers, 24, &tensor), SL_OK);
  CHECK_STATUS(sl_tensor_dims(tensor, dims, 1), SL_SHAPE_MISMATCH);
  CHECK(dims[0] == 9);
  CHECK_STATUS(sl_tensor_reshape(tensor, impossible, 2, &reshaped), SL_SHAPE_MISMATCH);
  CHECK(sl_tensor_reshape(tensor, both, 2, &reshaped) != SL_OK);
  CHECK(reshaped == (sl_tensor *)untouched);
  CHECK_STATUS(sl_tensor_reshape(tensor, inferred, 2, &reshaped), SL_OK);
  CHECK_STATUS(sl_tensor_dims(reshaped, dims, 2), SL_OK);
  CHECK(dims[0] == 3 && dims[1] == 2);
  sl_value_release(reshaped);
  sl_value_release(tensor);
}

static int release_count = 0;

static void count_release(void *user_data) { release_count += *(int *)user_data; }

static void shares_memory_until_the_last_reference(void) {
  static int one = 1;
  float numbers[4] = {1, 2, 3, 4};
  static const int64_t dims[] = {4}, matrix[] = {2, 2};
  sl_tensor *tensor = NULL, *view = NULL;
  const void *data = NULL;
  size_t bytes = 0;
  CHECK_STATUS(sl_tensor_wrap(SL_FLOAT32, dims, 1, numbers, sizeof numbers, count_release, &one,
                              &tensor),
               SL_OK);
  CHECK_STATUS(sl_tensor_data(tensor, &data, &bytes), SL_OK);
  CHECK(data == (const void *)numbers && bytes == sizeof numbers);
  CHECK_STATUS(sl_tensor_reshape(tensor, matrix, 2, &view), SL_OK);
  sl_value_release(tensor);
  CHECK(release_count == 0);
  sl_value_release(view);
  CHECK(release_count == 1);
}

static void hands_out_elements(void) {
  static const float numbers[3] = {1, 2, 3};
  const sl_value *elements[3] = {NULL, NULL, NULL};
  sl_value *sequence = NULL, *taken[2] = {(sl_value *)untouched, (sl_value *)untouched};
  sl_description about;
  size_t index;
  for (index = 0; index < 3; index++) {
    sl_tensor *tensor = NULL;
    CHECK_STATUS(sl_tensor_create(SL_FLOAT32, NULL, 0, numbers + index, 4, &tensor), SL_OK);
    elements[index] = tensor;
  }
  CHECK_STATUS(sl_value_create_sequence(elements, 3, &sequence), SL_OK);
  CHECK_STATUS(sl_value_elements(sequence, 2, 2, taken), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_value_elements(sequence, SIZE_MAX, 1, taken), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_value_elements(sequence, 1, SIZE_MAX, taken), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_value_elements(sequence, 1, 2, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_value_elements(elements[0], 0, 1, taken), SL_TYPE_MISMATCH);
  CHECK(taken[0] == (sl_value *)untouched);
  CHECK_STATUS(sl_value_elements(sequence, 3, 0, NULL), SL_OK);
  CHECK_STATUS(sl_value_elements(sequence, 1, 2, taken), SL_OK);
  for (index = 0; index < 3; index++) sl_value_release((sl_value *)elements[index]);
  sl_value_release(sequence);
  CHECK_STATUS(sl_values_describe((const sl_value *const *)taken + 1, 1, &about), SL_OK);
  CHECK(*(const float *)about.data == 3);
  sl_value_release(taken[0]);
  sl_value_release(taken[1]);
}

static void holds_texts(void) {
  static const char *const texts[] = {"disk full", "", "\xff\xfe"};
  static const int64_t dims[] = {3};
  sl_tensor *tensor = NULL;
  char buffer[10];
  size_t length = 0;
  CHECK_STATUS(sl_tensor_create_strings(dims, 1, texts, NULL, 2, &tensor), SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_tensor_create_strings(dims, 1, texts, NULL, 3, &tensor), SL_OK);
  CHECK_STATUS(sl_tensor_string(tensor, 0, buffer, 4, &length), SL_SHAPE_MISMATCH);
  CHECK(length == 9);
  CHECK_STATUS(sl_tensor_string(tensor, 0, buffer, sizeof buffer, &length), SL_OK);
  CHECK(strcmp(buffer, "disk full") == 0);
  CHECK_STATUS(sl_tensor_string(tensor, 1, buffer, sizeof buffer, &length), SL_OK);
  CHECK(length == 0 && buffer[0] == 0);
  CHECK_STATUS(sl_tensor_string(tensor, 3, buffer, sizeof buffer, &length), SL_INVALID_ARGUMENT);
  sl_value_release(tensor);
}

static void holds_maps_and_describes_values(void) {
  const int64_t keys[] = {3, 5}, twice[] = {3, 3}, dims[] = {2};
  const float numbers[] = {1, 2};
  sl_tensor *key_tensor = NULL, *twice_tensor = NULL, *values = NULL;
  sl_value *map = untouched, *none = NULL;
  const sl_value *all[4];
  sl_description about[4];
  CHECK_STATUS(sl_tensor_create(SL_INT64, dims, 1, keys, sizeof keys, &key_tensor), SL_OK);
  CHECK_STATUS(sl_tensor_create(SL_INT64, dims, 1, twice, sizeof twice, &twice_tensor), SL_OK);
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, dims, 1, numbers, sizeof numbers, &values), SL_OK);
  CHECK_STATUS(sl_value_create_map(NULL, values, &map), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_value_create_map(twice_tensor, values, &map), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_value_create_map(values, values, &map), SL_TYPE_MISMATCH);
  CHECK(map == untouched);
  CHECK_STATUS(sl_value_create_map(key_tensor, values, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_value_create_map(key_tensor, values, &map), SL_OK);
  CHECK_STATUS(sl_value_create_none(&none), SL_OK);
  all[0] = values;
  all[1] = map;
  all[2] = none;
  all[3] = NULL;
  CHECK_STATUS(sl_values_describe(all, 4, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_values_describe(NULL, 4, about), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_values_describe(NULL, 0, NULL), SL_OK);
  CHECK_STATUS(sl_values_describe(all, 4, about), SL_OK);
  CHECK(about[0].kind == SL_KIND_TENSOR && about[0].type == SL_FLOAT32 && about[0].rank == 1);
  CHECK(about[0].dims[0] == 2 && about[0].byte_count == sizeof numbers && about[0].data != NULL);
  CHECK(about[1].kind == SL_KIND_MAP && about[1].type == SL_UNDEFINED);
  CHECK(about[2].kind == SL_KIND_NONE && about[3].kind == SL_KIND_NONE);
  sl_value_release(map);
  sl_value_release(none);
  sl_value_release(key_tensor);
  sl_value_release(twice_tensor);
  CHECK_STATUS(sl_values_describe(all, 1, about), SL_OK);
  sl_value_release(values);
  CHECK_STATUS(sl_values_describe(all, 1, about), SL_INVALID_ARGUMENT);
}

static void refuses_models_that_are_none(void) {
  static const char garbage[] = "this is no model, but a text";
  sl_model *model = (sl_model *)untouched;
  sl_tokenizer *tokenizer = (sl_tokenizer *)untouched;
  sl_embedder *embedder = (sl_embedder *)untouched;
  CHECK_STATUS(sl_model_load("/nonexistent/model.onnx", &model), SL_IO_ERROR);
  CHECK(strstr(sl_last_error_message(), "/nonexistent/model.onnx") != NULL);
  CHECK_STATUS(sl_model_load_bytes(garbage, sizeof garbage, NULL, &model), SL_FORMAT_ERROR);
  CHECK_STATUS(sl_model_load_bytes(NULL, 5, NULL, &model), SL_INVALID_ARGUMENT);
  CHECK(sl_model_load_bytes(garbage, SIZE_MAX, NULL, &model) != SL_OK);
  CHECK((void *)model == untouched);
  CHECK_STATUS(sl_tokenizer_load("/nonexistent", &tokenizer), SL_IO_ERROR);
  CHECK_STATUS(sl_embedder_load("/nonexistent", NULL, &embedder), SL_IO_ERROR);
  CHECK((void *)tokenizer == untouched && (void *)embedder == untouched);
}

static void runs_operators_and_refuses_unknown_ones(void) {
  static const float numbers[4] = {-1, 0, 1, 2};
  static const int64_t dims[] = {4};
  sl_tensor *input = NULL, *output = (sl_tensor *)untouched;
  const sl_value *inputs[1];
  const float *data = NULL;
  size_t count = 0;
  CHECK_STATUS(sle_floats(numbers, dims, 1, &input), SL_OK);
  inputs[0] = input;
  CHECK_STATUS(sl_op_run("NoSuchOperator", NULL, inputs, 1, NULL, 1, &output), SL_UNSUPPORTED);
  CHECK(strstr(sl_last_error_message(), "NoSuchOperator") != NULL);
  CHECK(sl_op_run("Relu", NULL, inputs, SIZE_MAX, NULL, 1, &output) != SL_OK);
  CHECK(sl_op_run("Relu", NULL, NULL, 0, NULL, 1, &output) != SL_OK);
  CHECK(sl_op_run("Relu", NULL, inputs, 1, NULL, SIZE_MAX, &output) != SL_OK);
  CHECK((void *)output == untouched);
  CHECK_STATUS(sl_op_run("Relu", NULL, inputs, 1, NULL, 1, &output), SL_OK);
  CHECK_STATUS(sle_float_data(output, &data, &count), SL_OK);
  CHECK(count == 4 && data[0] == 0 && data[3] == 2);
  CHECK(sl_op_name(sl_op_count()) == NULL && sl_op_name(SIZE_MAX) == NULL);
  sl_value_release(output);
  sl_value_release(input);
}

static void compares_vectors(void) {
  static const float query[2] = {1, 0}, rows[6] = {0, 1, 2, 0, 1, 1}, zero[2] = {0, 0};
  size_t indices[3] = {9, 9, 9}, count = 0;
  float scores[3], similarity = 5;
  CHECK_STATUS(sl_similarity(query, zero, 2, &similarity), SL_OK);
  CHECK(similarity == 0);
  CHECK_STATUS(sl_nearest(query, rows, 3, 2, 2, -1, indices, scores, &count), SL_OK);
  CHECK(count == 2 && indices[0] == 1 && indices[1] == 2 && indices[2] == 9);
  CHECK_STATUS(sl_nearest(query, rows, 3, 2, 0, -1, indices, scores, &count), SL_INVALID_ARGUMENT);
  CHECK(sl_nearest(query, rows, SIZE_MAX, 2, 1, -1, indices, scores, &count) != SL_OK);
}

int main(void) {
  CHECK(strcmp(sl_status_name((sl_status)99), "SL_UNKNOWN") == 0);
  CHECK(sl_usable_processors() >= 1);
  refuses_null_and_dead_handles();
  refuses_shapes_and_sizes();
  shares_memory_until_the_last_reference();
  hands_out_elements();
  holds_texts();
  holds_maps_and_describes_values();
  refuses_models_that_are_none();
  runs_operators_and_refuses_unknown_ones();
  compares_vectors();
  printf("%d failures\n", failure_count);
  return failure_count != 0;
}
