/* Models built through sl_graph_*: they run, and what is wrong is refused and leaves no trace. */
#include <math.h>

#include "check.h"

static const int64_t open_four[] = {-1, 4};
static const char *const batch[] = {"batch", NULL};

static sl_graph *with_input(void) {
  sl_graph *graph = NULL;
  CHECK_STATUS(sl_graph_create("net", 42, &graph), SL_OK);
  CHECK_STATUS(sl_graph_input(graph, "x", SL_FLOAT32, open_four, batch, 2), SL_OK);
  return graph;
}

static sl_tensor *floats(const float *data, const int64_t *dims, size_t rank, size_t count) {
  sl_tensor *tensor = NULL;
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, dims, rank, data, count * sizeof *data, &tensor),
               SL_OK);
  return tensor;
}

/* The first element of a model's only output for x = (1, 2, 3, 4). */
static float first_output(const sl_model *model, const char *input, const char *output) {
  static const float numbers[] = {1, 2, 3, 4};
  static const int64_t dims[] = {1, 4};
  sl_tensor *x = floats(numbers, dims, 2, 4);
  const sl_value *inputs[1];
  sl_session *session = NULL;
  sl_value *result = NULL;
  const void *data = NULL;
  size_t bytes = 0;
  float first = NAN;
  inputs[0] = x;
  CHECK_STATUS(sl_session_create(model, NULL, &session), SL_OK);
  CHECK_STATUS(sl_session_run(session, &input, inputs, 1, &output, 1, NULL, &result), SL_OK);
  CHECK_STATUS(sl_tensor_data(result, &data, &bytes), SL_OK);
  if (bytes >= sizeof first) first = *(const float *)data;
  sl_value_release(result);
  sl_session_release(session);
  sl_value_release(x);
  return first;
}

static void builds_a_model_that_runs(void) {
  static const float numbers[] = {1, 0, 0, 0, 0, 1, 0, 0}, bias[] = {10, 20};
  static const int64_t dims[] = {2, 4}, two[] = {2};
  sl_graph *graph = with_input();
  sl_tensor *weight = floats(numbers, dims, 2, 8), *offset = floats(bias, two, 1, 2);
  sl_attributes *transposed = NULL;
  sl_model *model = NULL;
  const char *inputs[3] = {"x", NULL, NULL}, *product = NULL, *relu = NULL;
  CHECK_STATUS(sl_graph_weights(graph, "fc.weight", weight, &inputs[1]), SL_OK);
  CHECK(strcmp(inputs[1], "fc.weight") == 0);
  CHECK_STATUS(sl_graph_weights(graph, "fc.bias", offset, &inputs[2]), SL_OK);
  CHECK_STATUS(sl_attributes_create(&transposed), SL_OK);
  CHECK_STATUS(sl_attributes_set_int(transposed, "transB", 1), SL_OK);
  CHECK_STATUS(sl_graph_op(graph, "Gemm", NULL, inputs, 3, transposed, 1, &product), SL_OK);
  CHECK_STATUS(sl_graph_op(graph, "Relu", "", &product, 1, NULL, 1, &relu), SL_OK);
  CHECK_STATUS(sl_graph_output(graph, relu, "y"), SL_OK);
  CHECK_STATUS(sl_graph_model(graph, &model), SL_OK);
  CHECK(first_output(model, "x", "y") == 11);
  sl_model_release(model);
  sl_attributes_release(transposed);
  sl_value_release(offset);
  sl_value_release(weight);
  sl_graph_release(graph);
}

static void builds_layers_and_goes_on_with_models(void) {
  sl_graph *graph = with_input(), *longer = NULL;
  sl_model *trunk = NULL, *model = NULL;
  const char *x = "x", *out[2] = {NULL, NULL};
  size_t count = 0;
  float first;
  CHECK_STATUS(sl_graph_layer(graph, "linear", "fc", "{\"out_features\": 4}", &x, 1, out, 2, &count),
               SL_OK);
  CHECK(count == 1);
  CHECK_STATUS(sl_graph_output(graph, out[0], "features"), SL_OK);
  CHECK_STATUS(sl_graph_model(graph, &trunk), SL_OK);
  first = first_output(trunk, "x", "features");
  CHECK(isfinite(first));
  CHECK_STATUS(sl_graph_continue(trunk, 42, &longer), SL_OK);
  x = "features";
  CHECK_STATUS(sl_graph_op(longer, "Neg", NULL, &x, 1, NULL, 1, out), SL_OK);
  CHECK_STATUS(sl_graph_output(longer, out[0], "negative"), SL_OK);
  CHECK_STATUS(sl_graph_model(longer, &model), SL_OK);
  CHECK(first_output(model, "x", "negative") == -first);
  sl_model_release(model);
  sl_model_release(trunk);
  sl_graph_release(longer);
  sl_graph_release(graph);
}

/* The listing of a graph's model with one more output, to compare graphs by. */
static size_t listing_length(const sl_graph *graph) {
  sl_model *model = NULL;
  sl_buffer *text = NULL;
  const void *data = NULL;
  size_t length = 0;
  CHECK_STATUS(sl_graph_model(graph, &model), SL_OK);
  CHECK_STATUS(sl_model_describe(model, &text), SL_OK);
  CHECK_STATUS(sl_buffer_data(text, &data, &length), SL_OK);
  sl_buffer_release(text);
  sl_model_release(model);
  return length;
}

static void failures_leave_the_graph_as_it_was(void) {
  static const int64_t negative[] = {-2, 4}, three[] = {3, 5}, zero[] = {0};
  static const float ones[15] = {1};
  sl_graph *graph = with_input();
  sl_tensor *weight = floats(ones, three, 2, 15);
  const char *x[2] = {"x", NULL}, *unknown = "nothing", *out[2] = {(const char *)1, NULL};
  size_t count = 7, before;
  CHECK_STATUS(sl_graph_model(graph, (sl_model **)(void *)&out[1]), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_output(graph, "x", "y"), SL_OK);
  before = listing_length(graph);
  CHECK_STATUS(sl_graph_op(graph, "NoSuchOperator", NULL, x, 1, NULL, 1, out), SL_UNSUPPORTED);
  CHECK_STATUS(sl_graph_op(graph, "Relu", NULL, &unknown, 1, NULL, 1, out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_op(graph, "Relu", NULL, x, 2, NULL, 1, out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_op(graph, "Relu", NULL, x, SIZE_MAX, NULL, 1, out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_op(graph, "Relu", NULL, x, 1, NULL, 0, out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_op(graph, "Relu", NULL, x, 1, NULL, SIZE_MAX, out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_op(graph, "Relu", NULL, x, 1, NULL, 1, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_op(graph, NULL, NULL, x, 1, NULL, 1, out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_op(NULL, "Relu", NULL, x, 1, NULL, 1, out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_input(graph, "x", SL_FLOAT32, open_four, batch, 2), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_input(graph, "z", SL_FLOAT32, negative, NULL, 2), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_input(graph, "z", (sl_type)99, open_four, NULL, 2), SL_UNSUPPORTED);
  CHECK_STATUS(sl_graph_input(graph, "z", SL_FLOAT32, NULL, NULL, 2), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_input(graph, "", SL_FLOAT32, zero, NULL, 1), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_layer(graph, "nothing", "a", NULL, x, 1, out, 2, &count),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_layer(graph, "linear", "a", "{", x, 1, out, 2, &count),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_layer(graph, "linear", "a", "{\"wrong\": 1}", x, 1, out, 2, &count),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_layer(graph, "linear", "a",
                              "{\"in_features\": 5, \"out_features\": 2}", x, 1, out, 2, &count),
               SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_graph_layer(graph, "linear", "a", "{\"out_features\": 2}", x, 1, out, 0, &count),
               SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_graph_parameter(graph, "w", three, 2, "no_such", out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_parameter(graph, "w", negative, 2, "zeros", out), SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_graph_parameter(graph, "x", three, 2, "zeros", out), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_output(graph, "nothing", "z"), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_graph_output(graph, "x", "y"), SL_INVALID_ARGUMENT);
  CHECK(out[0] == (const char *)1 && count == 7);
  CHECK(listing_length(graph) == before);
  CHECK_STATUS(sl_graph_weights(graph, "w", weight, &x[1]), SL_OK);
  CHECK_STATUS(sl_graph_parameter(graph, "w", open_four, 2, "zeros", out), SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_graph_parameter(graph, "w", zero, 1, "zeros", out), SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_graph_parameter(graph, "w", three, 2, "zeros", out), SL_OK);
  CHECK(strcmp(out[0], "w") == 0);
  sl_value_release(weight);
  sl_graph_release(graph);
}

static void types_follow(void) {
  static const char expected[] = "\"dims\":[\"batch\",4]";
  sl_graph *graph = with_input();
  const char *x = "x", *relu = NULL;
  sl_buffer *json = NULL;
  const void *text = NULL;
  size_t length = 0;
  CHECK_STATUS(sl_graph_op(graph, "Relu", NULL, &x, 1, NULL, 1, &relu), SL_OK);
  CHECK_STATUS(sl_graph_value(graph, relu, &json), SL_OK);
  CHECK_STATUS(sl_buffer_data(json, &text, &length), SL_OK);
  CHECK(strstr((const char *)text, expected) != NULL);
  sl_buffer_release(json);
  CHECK_STATUS(sl_graph_value(graph, "nothing", &json), SL_INVALID_ARGUMENT);
  sl_graph_release(graph);
}

static void layers_are_described(void) {
  size_t index, count = sl_layer_count();
  sl_buffer *json = NULL;
  CHECK(count > 10);
  for (index = 0; index < count; index++) {
    CHECK_STATUS(sl_layer_describe(index, &json), SL_OK);
    sl_buffer_release(json);
  }
  CHECK_STATUS(sl_layer_describe(count, &json), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_layer_describe(SIZE_MAX, &json), SL_INVALID_ARGUMENT);
}

int main(void) {
  builds_a_model_that_runs();
  builds_layers_and_goes_on_with_models();
  failures_leave_the_graph_as_it_was();
  types_follow();
  layers_are_described();
  printf("%d failures\n", failure_count);
  return failure_count != 0;
}
