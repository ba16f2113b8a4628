/* Models from C: what is wrong is refused with a status, and the process lives. */
#include "check.h"

enum { ROWS = 64, WIDTH = 4 };

static void *const untouched = (void *)0x1234;
static const char *const x_name[] = {"x"};

static sl_tensor *rows_of(float start, int64_t count, int64_t width) {
  float numbers[ROWS * WIDTH];
  const int64_t dims[] = {count, width};
  sl_tensor *tensor = NULL;
  int64_t index;
  for (index = 0; index < count * width; index++) {
    numbers[index] = start + (float)((index * 37) % 11);
  }
  CHECK_STATUS(sl_tensor_create(SL_FLOAT32, dims, 2, numbers, (size_t)(count * width) * 4, &tensor),
               SL_OK);
  return tensor;
}

static void names_kinds(void) {
  sl_estimator *estimator = (sl_estimator *)untouched;
  sl_buffer *json = (sl_buffer *)untouched;
  size_t index, count = sl_estimator_kind_count();
  CHECK(count >= 3);
  for (index = 0; index < count; index++) {
    sl_buffer *text = NULL;
    CHECK_STATUS(sl_estimator_kind_describe(index, &text), SL_OK);
    sl_buffer_release(text);
  }
  CHECK_STATUS(sl_estimator_kind_describe(count, &json), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_kind_describe(SIZE_MAX, &json), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_create(NULL, NULL, &estimator), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_create("oracle", NULL, &estimator), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_create("anomaly_vae", "{\"width\": 0}", &estimator),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_create("anomaly_vae", "{\"width\": 1e99}", &estimator),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_create("anomaly_vae", "[", &estimator), SL_INVALID_ARGUMENT);
  /* 2^36 weights: refused before memory is taken. */
  CHECK_STATUS(
      sl_estimator_create("anomaly_vae", "{\"width\": 1048576, \"hidden\": [65536]}", &estimator),
      SL_LIMIT_EXCEEDED);
  CHECK_STATUS(sl_estimator_load("/nonexistent/model", &estimator), SL_IO_ERROR);
  CHECK_STATUS(sl_estimator_load(NULL, &estimator), SL_INVALID_ARGUMENT);
  CHECK((void *)estimator == untouched && (void *)json == untouched);
  CHECK_STATUS(sl_estimator_create("anomaly_vae", NULL, NULL), SL_INVALID_ARGUMENT);
}

static int32_t stop(const sl_training_event *event, void *user_data) {
  (void)event;
  return ++*(int *)user_data >= 3;
}

static void learns_and_answers(const char *path) {
  sl_estimator *estimator = NULL, *loaded = NULL;
  sl_tensor *x = rows_of(0, ROWS, WIDTH), *narrow = rows_of(0, 2, WIDTH - 1);
  sl_value *answers[2] = {(sl_value *)untouched, (sl_value *)untouched};
  const sl_value *const *rows = (const sl_value *const *)&x;
  sl_model *model = NULL;
  sl_buffer *history = NULL;
  sl_description found[2];
  float before[ROWS];
  int seen = 0;
  CHECK_STATUS(sl_estimator_create("anomaly_vae", "{\"width\": 4, \"hidden\": [8], \"latent\": 2}",
                                   &estimator),
               SL_OK);
  CHECK_STATUS(sl_estimator_call(estimator, "score", x_name, rows, 1, NULL, 1, answers),
               SL_NOT_FITTED);
  CHECK_STATUS(sl_estimator_save(estimator, path), SL_NOT_FITTED);
  CHECK_STATUS(sl_estimator_fit(estimator, x_name, (const sl_value *const *)&narrow, 1, NULL, NULL,
                                NULL, NULL),
               SL_SHAPE_MISMATCH);
  CHECK_STATUS(sl_estimator_fit(estimator, x_name, rows, 1, "{\"epoch\": 3}", NULL, NULL, NULL),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_fit(estimator, x_name, NULL, 1, NULL, NULL, NULL, NULL),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_fit(estimator, x_name, rows, SIZE_MAX, NULL, NULL, NULL, NULL),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_fit(estimator, x_name, rows, 1, "{\"epochs\": 5}", stop, &seen,
                                &history),
               SL_OK);
  CHECK(seen == 3);
  CHECK_STATUS(sl_estimator_call(estimator, "predict", x_name, rows, 1, NULL, 1, answers),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_call(estimator, "guess", x_name, rows, 1, NULL, 1, answers),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_call(estimator, NULL, x_name, rows, 1, NULL, 1, answers),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_call((const sl_estimator *)x, "score", x_name, rows, 1, NULL, 1, answers),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_estimator_model(estimator, "nothing", &model), SL_INVALID_ARGUMENT);
  CHECK((void *)answers[0] == untouched && model == NULL);
  CHECK_STATUS(sl_estimator_call(estimator, "predict", x_name, rows, 1, NULL, 2, answers), SL_OK);
  CHECK_STATUS(sl_values_describe((const sl_value *const *)answers, 2, found), SL_OK);
  CHECK(found[0].type == SL_FLOAT32 && found[0].dims[0] == ROWS && found[1].type == SL_BOOL);
  memcpy(before, found[0].data, sizeof before);
  sl_value_release(answers[0]);
  sl_value_release(answers[1]);
  CHECK_STATUS(sl_estimator_save(estimator, path), SL_OK);
  CHECK_STATUS(sl_estimator_load(path, &loaded), SL_OK);
  CHECK_STATUS(sl_estimator_call(loaded, "score", x_name, rows, 1, NULL, 1, answers), SL_OK);
  CHECK_STATUS(sl_values_describe((const sl_value *const *)answers, 1, found), SL_OK);
  CHECK(memcmp(before, found[0].data, sizeof before) == 0);
  CHECK_STATUS(sl_estimator_model(loaded, "decoder", &model), SL_OK);
  sl_value_release(answers[0]);
  sl_model_release(model);
  sl_buffer_release(history);
  sl_estimator_release(loaded);
  sl_estimator_release(estimator);
  sl_value_release(narrow);
  sl_value_release(x);
  CHECK_STATUS(sl_estimator_save(estimator, path), SL_INVALID_ARGUMENT);
  remove(path);
}

int main(void) {
  names_kinds();
  learns_and_answers("estimators.model");
  printf("%d failures\n", failure_count);
  return failure_count != 0;
}
