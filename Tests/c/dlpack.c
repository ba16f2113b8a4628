/* DLPack across the C interface: what is shared, what is copied, who deletes. */
#include "check.h"

/* The exchange structure as its standard lays it out. */
typedef struct managed {
  void *data;
  int32_t device_type, device_id, rank;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *dims, *strides;
  uint64_t byte_offset;
  void *context;
  void (*deleter)(struct managed *self);
} managed;

static void count(managed *self) { ++*(int *)self->context; }

static managed floats(float *data, int64_t *dims, int64_t *strides, int32_t rank, int *deletions) {
  managed tensor = {data, 1, 0, rank, 2, 32, 1, dims, strides, 0, deletions, count};
  return tensor;
}

static const float *data_of(const sl_tensor *tensor) {
  const void *data = NULL;
  CHECK_STATUS(sl_tensor_data(tensor, &data, NULL), SL_OK);
  return data;
}

static void shares_dense_memory(void) {
  float numbers[6] = {0, 1, 2, 3, 4, 5};
  int64_t dims[2] = {2, 3}, dense[2] = {3, 1};
  for (int spelled = 0; spelled < 2; spelled++) {
    int deletions = 0;
    managed source = floats(numbers, dims, spelled ? dense : NULL, 2, &deletions);
    sl_tensor *tensor = NULL;
    int64_t found[2] = {0, 0};
    CHECK_STATUS(sl_tensor_from_dlpack(&source, &tensor), SL_OK);
    CHECK(data_of(tensor) == numbers);
    CHECK_STATUS(sl_tensor_dims(tensor, found, 2), SL_OK);
    CHECK(found[0] == 2 && found[1] == 3);
    CHECK(deletions == 0);
    sl_value_release(tensor);
    CHECK(deletions == 1);
  }
}

static void copies_other_layouts(void) {
  float numbers[6] = {0, 1, 2, 3, 4, 5};
  int64_t turned[2] = {3, 2}, columns[2] = {1, 3}, line[1] = {6}, back[1] = {-1}, one[1] = {1};
  int deletions = 0;
  sl_tensor *tensor = NULL;
  managed source = floats(numbers, turned, columns, 2, &deletions);
  static const float expected[6] = {0, 3, 1, 4, 2, 5}, reversed[6] = {5, 4, 3, 2, 1, 0};
  CHECK_STATUS(sl_tensor_from_dlpack(&source, &tensor), SL_OK);
  CHECK(deletions == 1 && memcmp(data_of(tensor), expected, sizeof expected) == 0);
  sl_value_release(tensor);
  source = floats(numbers + 5, line, back, 1, &deletions);
  CHECK_STATUS(sl_tensor_from_dlpack(&source, &tensor), SL_OK);
  CHECK(deletions == 2 && memcmp(data_of(tensor), reversed, sizeof reversed) == 0);
  sl_value_release(tensor);
  /* Not aligned to the element: copied. With a byte offset: shared from there. */
  char bytes[16] = {0};
  memcpy(bytes + 1, numbers + 3, 4);
  source = floats((float *)(void *)bytes, one, NULL, 1, &deletions);
  source.byte_offset = 1;
  CHECK_STATUS(sl_tensor_from_dlpack(&source, &tensor), SL_OK);
  CHECK(deletions == 3 && data_of(tensor)[0] == 3);
  sl_value_release(tensor);
  source = floats(numbers, one, NULL, 1, &deletions);
  source.byte_offset = 8;
  CHECK_STATUS(sl_tensor_from_dlpack(&source, &tensor), SL_OK);
  CHECK(data_of(tensor) == numbers + 2);
  sl_value_release(tensor);
  CHECK(deletions == 4);
  /* Scalars and tensors without elements. */
  source = floats(numbers, NULL, NULL, 0, &deletions);
  CHECK_STATUS(sl_tensor_from_dlpack(&source, &tensor), SL_OK);
  sl_value_release(tensor);
  one[0] = 0;
  source = floats(NULL, one, NULL, 1, &deletions);
  source.deleter = NULL;
  CHECK_STATUS(sl_tensor_from_dlpack(&source, &tensor), SL_OK);
  sl_value_release(tensor);
  CHECK(deletions == 5);
}

static void leaves_what_it_refuses(void) {
  float numbers[6] = {0};
  int64_t dims[2] = {2, 3}, huge[2] = {INT64_MAX, INT64_MAX}, negative[2] = {-1, 2};
  int deletions = 0;
  sl_tensor *const untouched = (sl_tensor *)&deletions;
  sl_tensor *tensor = untouched;
  const managed good = floats(numbers, dims, NULL, 2, &deletions);
  managed bad = good;
  CHECK_STATUS(sl_tensor_from_dlpack(NULL, &tensor), SL_INVALID_ARGUMENT);
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, NULL), SL_INVALID_ARGUMENT);
  bad.device_type = 2;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_UNSUPPORTED);
  bad = good, bad.lanes = 4;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_UNSUPPORTED);
  bad = good, bad.code = 3, bad.bits = 64;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_UNSUPPORTED);
  bad = good, bad.bits = 4;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_UNSUPPORTED);
  bad = good, bad.dims = huge;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_SHAPE_MISMATCH);
  bad = good, bad.dims = negative;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_SHAPE_MISMATCH);
  bad = good, bad.rank = -1;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_INVALID_ARGUMENT);
  bad = good, bad.dims = NULL;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_INVALID_ARGUMENT);
  bad = good, bad.data = NULL;
  CHECK_STATUS(sl_tensor_from_dlpack(&bad, &tensor), SL_INVALID_ARGUMENT);
  CHECK(tensor == untouched && deletions == 0);
}

static void lends_every_type(void) {
  static const struct {
    sl_type type;
    uint8_t code, bits;
  } types[] = {{SL_FLOAT32, 2, 32}, {SL_FLOAT64, 2, 64}, {SL_FLOAT16, 2, 16}, {SL_BFLOAT16, 4, 16},
               {SL_INT8, 0, 8},     {SL_INT64, 0, 64},   {SL_UINT8, 1, 8},    {SL_UINT32, 1, 32},
               {SL_BOOL, 6, 8},     {SL_COMPLEX64, 5, 64},      {SL_COMPLEX128, 5, 128},
               {SL_FLOAT8E4M3FN, 10, 8},    {SL_FLOAT8E4M3FNUZ, 11, 8}, {SL_FLOAT8E5M2, 12, 8},
               {SL_FLOAT8E5M2FNUZ, 13, 8},  {SL_FLOAT8E8M0, 14, 8}};
  static const int64_t dims[3] = {2, 1, 3};
  static const char memory[96] = {1};
  for (size_t index = 0; index < sizeof types / sizeof *types; index++) {
    sl_tensor *tensor = NULL, *again = NULL;
    managed *lent = NULL;
    const size_t byte_count = 6u * types[index].bits / 8;
    CHECK_STATUS(sl_tensor_create(types[index].type, dims, 3, memory, byte_count, &tensor), SL_OK);
    CHECK_STATUS(sl_tensor_to_dlpack(tensor, (void **)&lent), SL_OK);
    CHECK(lent->data == data_of(tensor) && lent->device_type == 1 && lent->rank == 3);
    CHECK(lent->code == types[index].code && lent->bits == types[index].bits && lent->lanes == 1);
    CHECK(lent->dims[0] == 2 && lent->dims[2] == 3 && lent->strides[0] == 3 && lent->byte_offset == 0);
    /* The lent memory outlives the handle, and comes back as the same tensor. */
    sl_value_release(tensor);
    CHECK(memcmp(lent->data, memory, byte_count) == 0);
    CHECK_STATUS(sl_tensor_from_dlpack(lent, &again), SL_OK);
    CHECK(data_of(again) == lent->data);
    sl_value_release(again);
  }
  static const char *const text = "a";
  sl_tensor *strings = NULL;
  void *untouched = (void *)&dims, *out = untouched;
  CHECK_STATUS(sl_tensor_create_strings(NULL, 0, &text, NULL, 1, &strings), SL_OK);
  CHECK_STATUS(sl_tensor_to_dlpack(strings, &out), SL_TYPE_MISMATCH);
  CHECK_STATUS(sl_tensor_to_dlpack(NULL, &out), SL_INVALID_ARGUMENT);
  CHECK(out == untouched);
  sl_value_release(strings);
}

int main(void) {
  shares_dense_memory();
  copies_other_layouts();
  leaves_what_it_refuses();
  lends_every_type();
  return failure_count != 0;
}
