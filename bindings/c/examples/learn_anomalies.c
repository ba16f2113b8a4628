/* Learns what is usual and finds what is not:  learn_anomalies MODEL MODEL.onnx
 *
 * A server's figures follow its load: this program makes some of a quiet week, lets an autoencoder
 * learn them, writes it as MODEL and MODEL.onnx, reads MODEL again and asks it about four minutes.
 */
#include <math.h>

#include "stacklens_easy.h"

enum { WIDTH = 8, ROWS = 2000, ASKED = 4 };

static const char *const names[] = {"x"};
static const char *const told[ASKED] = {"a usual morning", "a usual night",
                                        "memory runs full at low load", "no answers at high load"};

/* Numbers that look random and are always the same. */
static float noise(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) / 16777216.0f - 0.5f;
}

/* Figures at a load from 0 to 1: requests, answers, CPU, memory, disk, network in and out, threads. */
static void figures_at(float load, uint32_t *state, float *row) {
  const float base[WIDTH] = {0, 0, 5, 30, 2, 0, 0, 8};
  const float slope[WIDTH] = {900, 900, 70, 25, 6, 40, 65, 56};
  int column;
  for (column = 0; column < WIDTH; column++) {
    row[column] = base[column] + slope[column] * (load + 0.05f * noise(state));
  }
}

static int32_t tell(const sl_training_event *event, void *user_data) {
  (void)user_data;
  if (event->kind == SL_TRAINING_EPOCH && event->epoch % 10 == 9) {
    printf("epoch %2zu  loss %.4f\n", event->epoch + 1, event->loss);
  }
  return 0;
}

static sl_status learn(const char *path, const char *onnx) {
  static float rows[ROWS][WIDTH];
  const int64_t dims[] = {ROWS, WIDTH};
  sl_estimator *estimator = NULL;
  sl_tensor *x = NULL;
  sl_model *model = NULL;
  uint32_t state = 7;
  int row;
  sl_status status;
  for (row = 0; row < ROWS; row++) {
    figures_at(0.5f + 0.45f * sinf(6.2831853f * (float)row / 288.0f), &state, rows[row]);
  }
  status = sle_floats(&rows[0][0], dims, 2, &x);
  if (status == SL_OK) {
    status = sl_estimator_create("anomaly_vae",
                                 "{\"width\": 8, \"hidden\": [16, 8], \"latent\": 2}", &estimator);
  }
  if (status == SL_OK) {
    status = sl_estimator_fit(estimator, names, (const sl_value *const *)&x, 1,
                              "{\"epochs\": 40, \"quantile\": 1}", tell, NULL, NULL);
  }
  if (status == SL_OK) status = sl_estimator_save(estimator, path);
  if (status == SL_OK) status = sl_estimator_model(estimator, NULL, &model);
  if (status == SL_OK) status = sl_model_save(model, onnx, 0);
  sl_model_release(model);
  sl_estimator_release(estimator);
  sl_value_release(x);
  return status;
}

static sl_status ask(const char *path) {
  float rows[ASKED][WIDTH];
  const int64_t dims[] = {ASKED, WIDTH};
  sl_estimator *estimator = NULL;
  sl_tensor *x = NULL;
  sl_value *answers[2] = {NULL, NULL};
  const float *scores = NULL;
  const void *flags = NULL;
  size_t count = 0, index;
  uint32_t state = 99;
  sl_status status;
  figures_at(0.8f, &state, rows[0]);
  figures_at(0.1f, &state, rows[1]);
  figures_at(0.1f, &state, rows[2]);
  rows[2][3] = 98;
  figures_at(0.9f, &state, rows[3]);
  rows[3][1] = 0;
  rows[3][6] = 0;
  status = sl_estimator_load(path, &estimator);
  if (status == SL_OK) status = sle_floats(&rows[0][0], dims, 2, &x);
  if (status == SL_OK) {
    status = sl_estimator_call(estimator, "predict", names, (const sl_value *const *)&x, 1, NULL, 2,
                               answers);
  }
  if (status == SL_OK) status = sle_float_data(answers[0], &scores, &count);
  if (status == SL_OK) status = sle_data_of(answers[1], SL_BOOL, &flags, &count);
  for (index = 0; index < count && status == SL_OK; index++) {
    printf("%-30s %10.3f  %s\n", told[index], (double)scores[index],
           ((const unsigned char *)flags)[index] ? "anomaly" : "usual");
  }
  sl_value_release(answers[0]);
  sl_value_release(answers[1]);
  sl_value_release(x);
  sl_estimator_release(estimator);
  return status;
}

int main(int argc, char **argv) {
  int result = EXIT_FAILURE;
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL MODEL.onnx\n", argv[0]);
    return EXIT_FAILURE;
  }
  SLE_TRY(learn(argv[1], argv[2]), done);
  SLE_TRY(ask(argv[1]), done);
  result = EXIT_SUCCESS;

done:
  return result;
}
