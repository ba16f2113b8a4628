/* Training through sl_trainer_*: it learns, callbacks and checkpoints work, and what is wrong is
 * refused and changes nothing. */
#include "check.h"

enum { ROWS = 32 };

static const char *const names[] = {"x", "target"};
static const int64_t x_dims[] = {ROWS, 2}, y_dims[] = {ROWS};

/* Points and on which side of a line they lie. */
static void make_rows(sl_tensor *out[2]) {
  float x[ROWS * 2];
  int64_t y[ROWS];
  uint32_t seed = 7;
  for (size_t i = 0; i < ROWS * 2; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)seed / 2147483648.0f;
  }
  for (size_t i = 0; i < ROWS; i++) y[i] = x[2 * i] > x[2 * i + 1];
  CHECK_STATUS(sle_floats(x, x_dims, 2, &out[0]), SL_OK);
  CHECK_STATUS(sle_ints(y, y_dims, 1, &out[1]), SL_OK);
}

static sl_model *make_model(void) {
  static const int64_t dims[] = {-1, 2};
  static const char *const batch[] = {"batch", NULL};
  const char *x = "x", *logits = NULL;
  sl_graph *graph = NULL;
  sl_model *model = NULL;
  size_t count = 0;
  CHECK_STATUS(sl_graph_create("net", 42, &graph), SL_OK);
  CHECK_STATUS(sl_graph_input(graph, "x", SL_FLOAT32, dims, batch, 2), SL_OK);
  CHECK_STATUS(sl_graph_layer(graph, "linear", "fc", "{\"out_features\": 2}", &x, 1, &logits, 1,
                              &count),
               SL_OK);
  CHECK_STATUS(sl_graph_output(graph, logits, "logits"), SL_OK);
  CHECK_STATUS(sl_graph_model(graph, &model), SL_OK);
  sl_graph_release(graph);
  return model;
}

static sl_trainer *make_trainer(void) {
  sl_trainer *trainer = NULL;
  sl_model *model = make_model();
  CHECK_STATUS(sl_trainer_create(model, "{\"loss\": \"cross_entropy\", \"learning_rate\": 0.1}",
                                 &trainer),
               SL_OK);
  sl_model_release(model);
  return trainer;
}

struct seen {
  size_t steps, epochs, stop_at;
  double loss;
};

static int32_t look(const sl_training_event *event, void *user_data) {
  struct seen *seen = (struct seen *)user_data;
  if (event->kind == SL_TRAINING_STEP) seen->steps++;
  if (event->kind == SL_TRAINING_EPOCH) {
    seen->epochs++;
    seen->loss = event->loss;
    CHECK(event->figure_count == 1 && strcmp(event->figures[0].name, "val_loss") == 0);
  }
  return seen->stop_at != 0 && seen->steps >= seen->stop_at;
}

static void learns_and_stops(sl_tensor *const rows[2]) {
  sl_trainer *trainer = make_trainer();
  sl_dataset *data = NULL;
  sl_buffer *history = NULL, *figures = NULL;
  sl_model *model = NULL;
  sl_value *output = NULL;
  const void *text = NULL;
  size_t length = 0;
  struct seen seen = {0, 0, 0, 0};
  sl_training_event event;
  CHECK_STATUS(sl_dataset_create(names, (const sl_tensor *const *)rows, 2, "{\"batch_size\": 8}",
                                 &data),
               SL_OK);
  CHECK_STATUS(sl_trainer_fit(trainer, data, data, "{\"epochs\": 20}", look, &seen, &history),
               SL_OK);
  CHECK(seen.steps == 80 && seen.epochs == 20 && seen.loss < 0.3);
  CHECK_STATUS(sl_buffer_data(history, &text, &length), SL_OK);
  CHECK(strncmp((const char *)text, "{\"end\":\"finished\"", 17) == 0);
  sl_buffer_release(history);
  seen.stop_at = seen.steps + 3;
  CHECK_STATUS(sl_trainer_fit(trainer, data, data, "{\"epochs\": 30}", look, &seen, &history),
               SL_OK);
  CHECK(seen.steps == 83);
  CHECK_STATUS(sl_buffer_data(history, &text, &length), SL_OK);
  CHECK(strncmp((const char *)text, "{\"end\":\"stopped\"", 16) == 0);
  CHECK_STATUS(sl_trainer_step(trainer, names, (const sl_tensor *const *)rows, 2, &event), SL_OK);
  CHECK(event.step == 84 && event.kind == SL_TRAINING_STEP);
  CHECK_STATUS(sl_trainer_evaluate(trainer, data, &figures), SL_OK);
  CHECK_STATUS(sl_trainer_predict(trainer, names, (const sl_tensor *const *)rows, 1, 1, &output),
               SL_OK);
  CHECK_STATUS(sl_trainer_predict(trainer, names, (const sl_tensor *const *)rows, 1, 2, &output),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_model(trainer, 0, &model), SL_OK);
  CHECK_STATUS(sl_trainer_model(trainer, 1, &model), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_stop(trainer), SL_OK);
  sl_value_release(output);
  sl_model_release(model);
  sl_buffer_release(figures);
  sl_buffer_release(history);
  sl_dataset_release(data);
  sl_trainer_release(trainer);
}

struct maker {
  sl_tensor *const *rows;
  size_t batches;
  int released;
  sl_status status;
};

static int32_t make_batch(size_t index, size_t epoch, sl_tensor **out_values, void *user_data) {
  struct maker *maker = (struct maker *)user_data;
  (void)epoch;
  if (maker->status != SL_OK) return (int32_t)maker->status;
  if (index >= maker->batches) return SL_OK;
  for (size_t i = 0; i < 2; i++) {
    sl_value_retain(maker->rows[i]);
    out_values[i] = maker->rows[i];
  }
  return SL_OK;
}

static void count_release(void *user_data) { ((struct maker *)user_data)->released++; }

static void takes_batches_from_functions(sl_tensor *const rows[2]) {
  struct maker maker = {rows, 3, 0, SL_OK};
  sl_trainer *trainer = make_trainer();
  sl_dataset *data = NULL;
  CHECK_STATUS(sl_dataset_create_callback(names, 2, 0, make_batch, count_release, &maker, &data),
               SL_OK);
  CHECK_STATUS(sl_trainer_fit(trainer, data, NULL, "{\"epochs\": 2}", NULL, NULL, NULL), SL_OK);
  maker.status = SL_IO_ERROR;
  CHECK_STATUS(sl_trainer_fit(trainer, data, NULL, "{\"epochs\": 3}", NULL, NULL, NULL),
               SL_IO_ERROR);
  maker.status = SL_OK;
  maker.batches = 0;
  CHECK_STATUS(sl_trainer_fit(trainer, data, NULL, "{\"epochs\": 3}", NULL, NULL, NULL),
               SL_INVALID_ARGUMENT);
  CHECK(maker.released == 0);
  sl_dataset_release(data);
  CHECK(maker.released == 1);
  sl_trainer_release(trainer);
}

static void steps_on_arrays(sl_tensor *const rows[2]) {
  static const char *const same[] = {"x", "x"};
  sl_trainer *one = make_trainer(), *other = make_trainer();
  sl_training_event first, second;
  sl_array given[2], wrong[2];
  int64_t dims[2][2];
  for (int i = 0; i < 2; i++) {
    sl_type type;
    const void *data;
    size_t rank = 0, byte_count;
    CHECK_STATUS(sl_tensor_rank(rows[i], &rank), SL_OK);
    CHECK_STATUS(sl_tensor_dims(rows[i], dims[i], rank), SL_OK);
    CHECK_STATUS(sl_tensor_type(rows[i], &type), SL_OK);
    CHECK_STATUS(sl_tensor_data(rows[i], &data, &byte_count), SL_OK);
    given[i] = (sl_array){type, rank, dims[i], (void *)data, byte_count};
  }
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(sl_trainer_step(one, names, (const sl_tensor *const *)rows, 2, &first), SL_OK);
    CHECK_STATUS(sl_trainer_step_arrays(other, names, given, 2, &second), SL_OK);
    CHECK(first.loss == second.loss && first.gradient_norm == second.gradient_norm);
  }
  CHECK_STATUS(sl_trainer_step_arrays(NULL, names, given, 2, &second), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_step_arrays(other, names, NULL, 2, &second), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_step_arrays(other, NULL, given, 2, &second), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_step_arrays(other, names, given, 1, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_step_arrays(other, same, given, 2, NULL), SL_INVALID_ARGUMENT);
  wrong[0] = given[0], wrong[1] = given[1], wrong[1].byte_count -= 1;
  CHECK_STATUS(sl_trainer_step_arrays(other, names, wrong, 2, NULL), SL_SHAPE_MISMATCH);
  CHECK(strstr(sl_last_error_message(), "arrays[1]") != NULL);
  wrong[1] = given[1], wrong[1].data = NULL;
  CHECK_STATUS(sl_trainer_step_arrays(other, names, wrong, 2, NULL), SL_INVALID_ARGUMENT);
  wrong[1] = given[1], wrong[1].data = (char *)given[1].data + 1;
  CHECK_STATUS(sl_trainer_step_arrays(other, names, wrong, 2, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_step_arrays(other, names, given, 2, &second), SL_OK);
  CHECK(second.step == 4);
  sl_trainer_release(one);
  sl_trainer_release(other);
}

static void refuses_what_is_wrong(sl_tensor *const rows[2]) {
  sl_trainer *trainer = make_trainer(), *other = NULL;
  sl_model *model = make_model(), *frozen = NULL;
  sl_dataset *data = NULL;
  const sl_tensor *twice[2];
  const char *same[] = {"x", "x"};
  twice[0] = twice[1] = rows[0];
  CHECK_STATUS(sl_trainer_create(model, NULL, &other), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_create(model, "{\"loss\": \"nothing\"}", &other), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_create(model, "{", &other), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_create(NULL, "{\"loss\": \"mse\"}", &other), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_model_freeze(model, "*", &frozen), SL_OK);
  CHECK_STATUS(sl_trainer_create(frozen, "{\"loss\": \"mse\"}", &other), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_dataset_create(same, twice, 2, NULL, &data), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_dataset_create(names, twice, 0, NULL, &data), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_dataset_create(names, NULL, 2, NULL, &data), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_dataset_create(names, (const sl_tensor *const *)rows, 2, "{\"batch_size\": 0}",
                                 &data),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_dataset_create_callback(names, 2, 0, NULL, NULL, NULL, &data),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_fit(trainer, NULL, NULL, NULL, NULL, NULL, NULL), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_step(trainer, names, (const sl_tensor *const *)rows, 1, NULL),
               SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_trainer_save(trainer, "/nowhere/checkpoint"), SL_IO_ERROR);
  CHECK_STATUS(sl_trainer_load(trainer, "/nowhere/checkpoint"), SL_IO_ERROR);
  CHECK_STATUS(sl_trainer_load(NULL, "/nowhere"), SL_INVALID_ARGUMENT);
  CHECK(other == NULL && data == NULL);
  sl_model_release(frozen);
  sl_model_release(model);
  sl_trainer_release(trainer);
  sl_trainer_release(NULL);
  sl_dataset_release(NULL);
}

int main(void) {
  sl_tensor *rows[2] = {NULL, NULL};
  make_rows(rows);
  learns_and_stops(rows);
  takes_batches_from_functions(rows);
  steps_on_arrays(rows);
  refuses_what_is_wrong(rows);
  sl_value_release(rows[0]);
  sl_value_release(rows[1]);
  printf("%d failures\n", failure_count);
  return failure_count != 0;
}
