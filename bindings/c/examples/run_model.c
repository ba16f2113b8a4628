/* Runs any ONNX model on made-up inputs:  run_model MODEL.onnx [EXTENT] [zeros]
 *
 * Prints what the model declares, then its outputs. EXTENT (8 unless given) stands in for every
 * extent that the model leaves open; inputs are random numbers unless "zeros" is asked for.
 */
#include "stacklens_easy.h"

static void print_declaration(const char *role, const sl_value_info *info) {
  static const char *const kinds[] = {"", "sequence of ", "map to ", "optional "};
  size_t axis;
  printf("%s %s: %s%s[", role, info->name, kinds[info->kind], sle_type_name(info->type));
  for (axis = 0; info->rank != SIZE_MAX && axis < info->rank; axis++) {
    const char *name = info->dim_names[axis];
    printf("%s", axis ? ", " : "");
    if (info->dims[axis] >= 0) {
      printf("%" PRId64, info->dims[axis]);
    } else {
      printf("%s", name[0] ? name : "?");
    }
  }
  printf("]\n");
}

int main(int argc, char **argv) {
  sl_session *session = NULL;
  const char **names = NULL;
  sl_value **inputs = NULL, **outputs = NULL;
  size_t input_count = 0, output_count = 0, index;
  int result = EXIT_FAILURE;
  int64_t extent = argc > 2 ? strtoll(argv[2], NULL, 10) : 8;
  uint32_t seed = argc > 3 && strcmp(argv[3], "zeros") == 0 ? 0 : 42;

  if (argc < 2 || extent < 0) {
    fprintf(stderr, "usage: %s MODEL.onnx [EXTENT] [zeros]\n", argv[0]);
    return EXIT_FAILURE;
  }
  SLE_TRY(sle_open(argv[1], 0, &session), done);
  SLE_TRY(sl_session_counts(session, &input_count, &output_count), done);

  names = (const char **)calloc(input_count + 1, sizeof *names);
  inputs = (sl_value **)calloc(input_count + 1, sizeof *inputs);
  outputs = (sl_value **)calloc(output_count + 1, sizeof *outputs);
  if (!names || !inputs || !outputs) goto done;

  for (index = 0; index < input_count; index++) {
    sl_value_info info;
    SLE_TRY(sl_session_input(session, index, &info), done);
    print_declaration("input ", &info);
    names[index] = info.name;
    if (sle_fill(&info, extent, seed, &inputs[index]) != SL_OK) {
      fprintf(stderr, "cannot make up a value for input %s\n", info.name);
      goto done;
    }
  }
  SLE_TRY(sl_session_run(session, names, (const sl_value *const *)inputs, input_count, NULL,
                         output_count, NULL, outputs),
          done);
  for (index = 0; index < output_count; index++) {
    sl_value_info info;
    SLE_TRY(sl_session_output(session, index, &info), done);
    print_declaration("output", &info);
    printf("  ");
    SLE_TRY(sle_print(stdout, outputs[index], 6), done);
  }
  result = EXIT_SUCCESS;

done:
  for (index = 0; inputs && index < input_count; index++) sl_value_release(inputs[index]);
  for (index = 0; outputs && index < output_count; index++) sl_value_release(outputs[index]);
  free((void *)names);
  free((void *)inputs);
  free((void *)outputs);
  sl_session_release(session);
  return result;
}
