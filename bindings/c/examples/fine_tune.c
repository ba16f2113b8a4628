/* Fine-tunes a text encoder on labelled messages:  fine_tune FOLDER ENCODER.onnx MINE.onnx [EPOCHS]
 *
 * FOLDER is a sentence-transformers folder such as all-MiniLM-L6-v2. ENCODER.onnx is an encoder with
 * the inputs input_ids, attention_mask and token_type_ids and the output sentence_embedding; where
 * there is no such file, it is written from the folder's weights. The program puts a head on it,
 * freezes the lower layers, trains the rest, writes MINE.onnx and asks that file.
 */
#include "stacklens_easy.h"

enum { LABEL_COUNT = 3, TEXT_COUNT = 24, INPUT_COUNT = 3 };

static const char *const labels[LABEL_COUNT] = {"disk", "network", "login"};
/* Text i has label i modulo 3. */
static const char *const messages[TEXT_COUNT] = {
    "no space left on device",         "connection refused by peer",
    "authentication failed for root",  "disk quota exceeded on /home",
    "network is unreachable",          "invalid password for user alice",
    "filesystem mounted read-only",    "connection timed out after 30 s",
    "account locked after 5 attempts", "I/O error on device sda1",
    "no route to host 10.0.0.7",       "session opened for user bob",
    "cannot write block: disk full",   "connection reset by peer",
    "user carol has logged out",       "inode table is exhausted",
    "DNS lookup failed for db.local",  "public key denied for deploy",
    "smartd: 8 unreadable sectors",    "socket closed by remote host",
    "two-factor code was rejected",    "volume /var is 98 % full",
    "packet loss of 40 % on eth0",     "permission denied (publickey)",
};
static const char *const inputs[INPUT_COUNT] = {"input_ids", "attention_mask", "token_type_ids"};

/* The tokens of texts, padded to one length: three tensors [count, length]. */
static sl_status tokens_of(const sl_tokenizer *tokenizer, const char *const *texts, size_t count,
                           sl_tensor *out_tensors[INPUT_COUNT]) {
  sl_tokenizer_options options = SL_TOKENIZER_OPTIONS_INIT;
  sl_text list[TEXT_COUNT];
  sl_encoding *encoding = NULL;
  sl_tokens tokens;
  int64_t *rows[INPUT_COUNT] = {NULL, NULL, NULL}, dims[2];
  size_t text, input, length;
  sl_status status;
  options.pad = 1;
  for (text = 0; text < count; text++) list[text] = sle_text(texts[text]);
  status = sl_tokenizer_encode(tokenizer, list, NULL, count, &options, &encoding);
  if (status == SL_OK) status = sl_encoding_tokens(encoding, 0, &tokens);
  length = status == SL_OK ? tokens.count : 0;
  dims[0] = (int64_t)count;
  dims[1] = (int64_t)length;
  for (input = 0; input < INPUT_COUNT && status == SL_OK; input++) {
    rows[input] = (int64_t *)calloc(count * length + 1, sizeof **rows);
    if (!rows[input]) status = SL_OUT_OF_MEMORY;
  }
  for (text = 0; text < count && status == SL_OK; text++) {
    status = sl_encoding_tokens(encoding, text, &tokens);
    if (status != SL_OK) break;
    memcpy(rows[0] + text * length, tokens.ids, length * sizeof **rows);
    memcpy(rows[1] + text * length, tokens.attention_mask, length * sizeof **rows);
    memcpy(rows[2] + text * length, tokens.type_ids, length * sizeof **rows);
  }
  for (input = 0; input < INPUT_COUNT && status == SL_OK; input++) {
    status = sle_ints(rows[input], dims, 2, &out_tensors[input]);
  }
  for (input = 0; input < INPUT_COUNT; input++) free(rows[input]);
  sl_encoding_release(encoding);
  return status;
}

/* The encoder with a head of one score for each label, its lower layers frozen. */
static sl_status with_head(const sl_model *encoder, sl_model **out_model) {
  const char *embedding = "sentence_embedding", *logits = NULL;
  const char *const frozen[] = {"embeddings.*", "encoder.layer.[0-3].*"};
  sl_graph *graph = NULL;
  sl_model *model = NULL, *next = NULL;
  size_t count = 0, index;
  sl_status status = sl_graph_continue(encoder, 42, &graph);
  if (status == SL_OK) {
    status = sl_graph_layer(graph, "linear", "head", "{\"out_features\": 3}", &embedding, 1,
                            &logits, 1, &count);
  }
  if (status == SL_OK) status = sl_graph_output(graph, logits, "logits");
  if (status == SL_OK) status = sl_graph_model(graph, &model);
  for (index = 0; index < sizeof frozen / sizeof *frozen && status == SL_OK; index++) {
    status = sl_model_freeze(model, frozen[index], &next);
    if (status != SL_OK) break;
    sl_model_release(model);
    model = next;
  }
  sl_graph_release(graph);
  if (status == SL_OK) {
    *out_model = model;
  } else {
    sl_model_release(model);
  }
  return status;
}

static int32_t print_epoch(const sl_training_event *event, void *user_data) {
  (void)user_data;
  if (event->kind == SL_TRAINING_EPOCH) {
    printf("epoch %zu: loss %.3f\n", event->epoch + 1, event->loss);
  } else if (event->kind == SL_TRAINING_WARNING) {
    fprintf(stderr, "%s\n", event->text);
  }
  return 0;
}

/* Trains on the messages and gives the trained model. */
static sl_status train(const sl_model *model, const sl_tokenizer *tokenizer, int epochs,
                       sl_model **out_model) {
  static const char *const options =
      "{\"loss\": \"cross_entropy\", \"optimizer\": \"adamw\", \"learning_rate\": 5e-4}";
  const char *names[INPUT_COUNT + 1] = {inputs[0], inputs[1], inputs[2], "target"};
  sl_tensor *values[INPUT_COUNT + 1] = {NULL, NULL, NULL, NULL};
  int64_t targets[TEXT_COUNT], dims[] = {TEXT_COUNT};
  sl_dataset *dataset = NULL;
  sl_trainer *trainer = NULL;
  char fit[64];
  size_t index;
  sl_status status = tokens_of(tokenizer, messages, TEXT_COUNT, values);
  for (index = 0; index < TEXT_COUNT; index++) targets[index] = (int64_t)(index % LABEL_COUNT);
  if (status == SL_OK) status = sle_ints(targets, dims, 1, &values[INPUT_COUNT]);
  if (status == SL_OK) {
    status = sl_dataset_create(names, (const sl_tensor *const *)values, INPUT_COUNT + 1,
                               "{\"batch_size\": 8, \"length_mask\": \"attention_mask\"}", &dataset);
  }
  if (status == SL_OK) status = sl_trainer_create(model, options, &trainer);
  snprintf(fit, sizeof fit, "{\"epochs\": %d}", epochs);
  if (status == SL_OK) {
    status = sl_trainer_fit(trainer, dataset, NULL, fit, print_epoch, NULL, NULL);
  }
  if (status == SL_OK) status = sl_trainer_model(trainer, 0, out_model);
  sl_trainer_release(trainer);
  sl_dataset_release(dataset);
  for (index = 0; index <= INPUT_COUNT; index++) sl_value_release(values[index]);
  return status;
}

/* Asks the written file what new messages are about. */
static sl_status ask(const char *path, const sl_tokenizer *tokenizer) {
  static const char *const questions[] = {"write error: device is full", "host unreachable",
                                          "wrong password for admin"};
  const char *logits = "logits";
  sl_tensor *values[INPUT_COUNT] = {NULL, NULL, NULL};
  sl_session *session = NULL;
  sl_value *output = NULL;
  const float *scores = NULL;
  size_t count = 0, question, label, best;
  sl_status status = tokens_of(tokenizer, questions, 3, values);
  if (status == SL_OK) status = sle_open(path, 0, &session);
  if (status == SL_OK) {
    status = sl_session_run(session, inputs, (const sl_value *const *)values, INPUT_COUNT, &logits,
                            1, NULL, &output);
  }
  if (status == SL_OK) status = sle_float_data(output, &scores, &count);
  for (question = 0; question < count / LABEL_COUNT && status == SL_OK; question++) {
    best = 0;
    for (label = 1; label < LABEL_COUNT; label++) {
      const float *row = scores + question * LABEL_COUNT;
      if (row[label] > row[best]) best = label;
    }
    printf("%-8s %s\n", labels[best], questions[question]);
  }
  sl_value_release(output);
  sl_session_release(session);
  for (label = 0; label < INPUT_COUNT; label++) sl_value_release(values[label]);
  return status;
}

int main(int argc, char **argv) {
  sl_embedder *embedder = NULL;
  sl_tokenizer *tokenizer = NULL;
  sl_model *encoder = NULL, *model = NULL, *trained = NULL;
  int result = EXIT_FAILURE, epochs = argc > 4 ? atoi(argv[4]) : 8;
  FILE *file;

  if (argc < 4 || epochs < 1) {
    fprintf(stderr, "usage: %s FOLDER ENCODER.onnx MINE.onnx [EPOCHS]\n", argv[0]);
    return EXIT_FAILURE;
  }
  file = fopen(argv[2], "rb");
  if (file) {
    fclose(file);
  } else {
    SLE_TRY(sl_embedder_load(argv[1], NULL, &embedder), done);
    SLE_TRY(sl_embedder_save_onnx(embedder, argv[2], 0), done);
  }
  SLE_TRY(sl_tokenizer_load(argv[1], &tokenizer), done);
  SLE_TRY(sl_model_load(argv[2], &encoder), done);
  SLE_TRY(with_head(encoder, &model), done);
  SLE_TRY(train(model, tokenizer, epochs, &trained), done);
  SLE_TRY(sl_model_save(trained, argv[3], 0), done);
  SLE_TRY(ask(argv[3], tokenizer), done);
  result = EXIT_SUCCESS;

done:
  sl_model_release(trained);
  sl_model_release(model);
  sl_model_release(encoder);
  sl_tokenizer_release(tokenizer);
  sl_embedder_release(embedder);
  return result;
}
