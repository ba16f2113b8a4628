/* StackLens: run, embed and understand errors and logs from C.
 *
 * Conventions, once for the whole file
 *
 *   Status     Every function that can fail returns an `sl_status`. On failure no output is touched
 *              and nothing needs cleaning up; `sl_last_error_message()` has one line for people.
 *   Handles    Opaque, reference counted. `…_create`, `…_load` and every `out_…` handle give the
 *              caller one reference, `…_release` returns it and accepts NULL. A handle that was
 *              released is recognised and refused, never followed.
 *   Threads    Every function may be called from any thread. A `const` handle may be used by any
 *              number of threads at once.
 *   Strings    UTF-8, zero-terminated unless a length is given. Strings and arrays that a function
 *              lends stay valid as long as the handle they came from.
 *   Shapes     int64_t extents, row-major, rank 0 for a scalar. Counts and byte sizes are size_t.
 *   Options    Structs that start with `struct_size`; initialise them with their SL_…_INIT macro.
 *              NULL means all defaults.
 */
#ifndef STACKLENS_H
#define STACKLENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version and errors ------------------------------------------------------------------- */

/** The version of this header; grows by one with every addition. */
#define SL_API_VERSION 2

/** The API version of the loaded library. A program needs it to be at least SL_API_VERSION. */
int32_t sl_api_version(void);

/** The library's version, "0.1.0". */
const char *sl_version(void);

/** What came of a call. The numbers are stable. */
typedef enum sl_status {
  SL_OK = 0,
  SL_INVALID_ARGUMENT = 1, /**< a value outside its range, an unknown name, a NULL or dead handle */
  SL_SHAPE_MISMATCH = 2,   /**< ranks or extents that do not fit */
  SL_NON_FINITE = 3,       /**< NaN or infinity where numbers are required */
  SL_NOT_FITTED = 4,       /**< used before it was fitted or loaded */
  SL_UNSUPPORTED = 5,      /**< valid, but not something this library does */
  SL_FORMAT_ERROR = 6,     /**< a file or buffer that breaks its format */
  SL_IO_ERROR = 7,         /**< the system refused to read or write */
  SL_OUT_OF_MEMORY = 8,
  SL_TYPE_MISMATCH = 9,    /**< another element type or kind of value than required */
  SL_CANCELLED = 10,       /**< ended by sl_cancellation_cancel or by a callback */
  SL_LIMIT_EXCEEDED = 11,  /**< a configured limit, such as the memory limit, was reached */
  SL_INTERNAL_ERROR = 12   /**< a defect of the library: please report it */
} sl_status;

/** The name of a status, "SL_SHAPE_MISMATCH"; "SL_UNKNOWN" for other numbers. */
const char *sl_status_name(sl_status status);

/** Why the calling thread's last failing call failed; "" if none did. Valid until the thread's next
 *  failing call. For people: programs branch on the status. */
const char *sl_last_error_message(void);

/** Processors this process may really use (affinity mask and cgroup quota): the default number of
 *  threads. */
size_t sl_usable_processors(void);

/** A description of the processor features in use: "avx512 vnni bf16". */
const char *sl_cpu_features(void);

/* ---- Values ------------------------------------------------------------------------------- */

/** Element types, with ONNX's numbers.
 *
 *  In memory every element takes whole bytes. One of 2, 4 or 6 bits is the low bits of a byte of its
 *  own, the other bits 0, as ml_dtypes lays them out in NumPy; only files pack several into a byte.
 *  A complex number is its real part followed by its imaginary part. */
typedef enum sl_type {
  SL_UNDEFINED = 0,
  SL_FLOAT32 = 1,
  SL_UINT8 = 2,
  SL_INT8 = 3,
  SL_UINT16 = 4,
  SL_INT16 = 5,
  SL_INT32 = 6,
  SL_INT64 = 7,
  SL_STRING = 8,
  SL_BOOL = 9,
  SL_FLOAT16 = 10,
  SL_FLOAT64 = 11,
  SL_UINT32 = 12,
  SL_UINT64 = 13,
  SL_COMPLEX64 = 14,
  SL_COMPLEX128 = 15,
  SL_BFLOAT16 = 16,
  SL_FLOAT8E4M3FN = 17,
  SL_FLOAT8E4M3FNUZ = 18,
  SL_FLOAT8E5M2 = 19,
  SL_FLOAT8E5M2FNUZ = 20,
  SL_UINT4 = 21,
  SL_INT4 = 22,
  SL_FLOAT4E2M1 = 23,
  SL_FLOAT8E8M0 = 24,
  SL_UINT2 = 25,
  SL_INT2 = 26,
  SL_FLOAT6E2M3 = 27,
  SL_FLOAT6E3M2 = 28
} sl_type;

/** What a value is. */
typedef enum sl_kind {
  SL_KIND_TENSOR = 0,
  SL_KIND_SEQUENCE = 1,
  SL_KIND_MAP = 2,
  SL_KIND_NONE = 3 /**< an optional without content */
} sl_kind;

/** Anything a model takes or returns. Immutable. */
typedef struct sl_value sl_value;
/** A value of kind SL_KIND_TENSOR: a dense row-major array. */
typedef struct sl_value sl_tensor;

/** Adds a reference. */
sl_status sl_value_retain(const sl_value *value);
/** Drops a reference; NULL is fine. */
void sl_value_release(sl_value *value);
/** The kind of a value. */
sl_status sl_value_kind(const sl_value *value, sl_kind *out_kind);
/** What a value is. */
typedef struct sl_description {
  sl_kind kind;
  sl_type type;      /**< SL_UNDEFINED unless it is a tensor, as is what follows */
  size_t rank;
  int64_t dims[8];   /**< the first 8 extents */
  const void *data;  /**< as from sl_tensor_data; NULL for strings */
  size_t byte_count; /**< 0 for strings */
} sl_description;

/** Describes `count` values in one call; NULL among them is described as SL_KIND_NONE. */
sl_status sl_values_describe(const sl_value *const *values, size_t count,
                             sl_description *out_descriptions);
/** Number of elements of a sequence, or of entries of a map. SL_TYPE_MISMATCH for other kinds. */
sl_status sl_value_count(const sl_value *value, size_t *out_count);
/** Element `index` of a sequence, as a new reference. */
sl_status sl_value_at(const sl_value *value, size_t index, sl_value **out_value);
/** `count` elements of a sequence from `first` on, each as a new reference. */
sl_status sl_value_elements(const sl_value *value, size_t first, size_t count,
                            sl_value **out_values);
/** Keys and values of a map as two tensors of equal length, as new references. */
sl_status sl_value_map(const sl_value *value, sl_tensor **out_keys, sl_tensor **out_values);

/** A new sequence of `count` values, which it keeps references to. */
sl_status sl_value_create_sequence(const sl_value *const *elements, size_t count,
                                   sl_value **out_value);
/** A new map that keeps references to both tensors.
 *  @param keys    Rank 1, SL_INT64 or SL_STRING, none twice.
 *  @param values  Rank 1, one element for each key. */
sl_status sl_value_create_map(const sl_tensor *keys, const sl_tensor *values,
                              sl_value **out_value);
/** A new optional without content. */
sl_status sl_value_create_none(sl_value **out_value);

/** A new tensor holding a copy of `data`.
 *  @param dims        `rank` extents, none negative; NULL only when rank is 0.
 *  @param data        Elements in row-major order; NULL only when byte_count is 0.
 *  @param byte_count  Must equal the element count times the element size.
 *  @return SL_TYPE_MISMATCH for SL_STRING (see sl_tensor_create_strings), SL_SHAPE_MISMATCH when
 *          dims and byte_count disagree. */
sl_status sl_tensor_create(sl_type type, const int64_t *dims, size_t rank, const void *data,
                           size_t byte_count, sl_tensor **out_tensor);

/** Called once, from any thread, when memory lent to the library is no longer used. */
typedef void (*sl_release_callback)(void *user_data);

/** A new tensor that shares the caller's memory without a copy.
 *  @param data      Must stay valid and unchanged until `release` is called; aligned to the element
 *                   size, SL_COMPLEX128 to 8 bytes.
 *  @param release   May be NULL when the memory outlives the library's use of it. */
sl_status sl_tensor_wrap(sl_type type, const int64_t *dims, size_t rank, const void *data,
                         size_t byte_count, sl_release_callback release, void *user_data,
                         sl_tensor **out_tensor);

/** A new SL_STRING tensor.
 *  @param strings  One UTF-8 text for each element.
 *  @param lengths  Their lengths in bytes; NULL when all are zero-terminated. */
sl_status sl_tensor_create_strings(const int64_t *dims, size_t rank, const char *const *strings,
                                   const size_t *lengths, size_t count, sl_tensor **out_tensor);

/** The element type of a tensor. */
sl_status sl_tensor_type(const sl_tensor *tensor, sl_type *out_type);
/** The number of axes. */
sl_status sl_tensor_rank(const sl_tensor *tensor, size_t *out_rank);
/** The extents; `capacity` must be at least the rank. */
sl_status sl_tensor_dims(const sl_tensor *tensor, int64_t *out_dims, size_t capacity);
/** The number of elements. */
sl_status sl_tensor_count(const sl_tensor *tensor, size_t *out_count);
/** The elements, lent for the life of the handle. SL_TYPE_MISMATCH for SL_STRING. */
sl_status sl_tensor_data(const sl_tensor *tensor, const void **out_data, size_t *out_byte_count);
/** Copies element `index` of a SL_STRING tensor with a zero after it.
 *  @param out_length  Receives the length without the zero, even when the buffer is too small. */
sl_status sl_tensor_string(const sl_tensor *tensor, size_t index, char *buffer, size_t capacity,
                           size_t *out_length);
/** The same elements under another shape, without a copy.
 *  @param dims  `rank` extents; one may be -1 and is inferred. */
sl_status sl_tensor_reshape(const sl_tensor *tensor, const int64_t *dims, size_t rank,
                            sl_tensor **out_tensor);

/** Takes over a DLPack tensor (`DLManagedTensor *`, CPU), which may not have elements of less than 8
 *  bits. Contiguous memory is shared, other layouts are copied. On success the library calls its
 *  deleter when done; on failure the caller keeps it. */
sl_status sl_tensor_from_dlpack(void *managed_tensor, sl_tensor **out_tensor);
/** Lends a tensor as a DLPack tensor (`DLManagedTensor *`); the receiver calls its deleter. The
 *  memory is shared and must not be written to. SL_TYPE_MISMATCH for strings and for elements of less
 *  than 8 bits. */
sl_status sl_tensor_to_dlpack(const sl_tensor *tensor, void **out_managed_tensor);

/** Bytes that the library made: an encoded model, a trace. */
typedef struct sl_buffer sl_buffer;
/** The bytes, lent for the life of the handle. Texts are followed by a zero that is not counted. */
sl_status sl_buffer_data(const sl_buffer *buffer, const void **out_data, size_t *out_byte_count);
void sl_buffer_release(sl_buffer *buffer);

/* ---- Models ------------------------------------------------------------------------------- */

/** An ONNX model in memory. Immutable. */
typedef struct sl_model sl_model;

/** Reads an ONNX file of any opset, with external data inside the file's folder.
 *  @return SL_IO_ERROR, SL_FORMAT_ERROR, or SL_UNSUPPORTED with every unknown operator listed. */
sl_status sl_model_load(const char *path, sl_model **out_model);
/** Reads an ONNX model from memory, which may be freed afterwards.
 *  @param folder  Where external data lies; NULL refuses external data. */
sl_status sl_model_load_bytes(const void *bytes, size_t byte_count, const char *folder,
                              sl_model **out_model);
/** Writes an ONNX file, whole or not at all.
 *  @param opset  Version of the default operator set, 7 and up; 0 means 17, SL_OPSET_AUTO the lowest
 *                that can hold the model, among those from its file's own and 17 upwards.
 *  @return SL_UNSUPPORTED, naming the node, when that opset cannot express the model. */
sl_status sl_model_save(const sl_model *model, const char *path, int32_t opset);
#define SL_OPSET_AUTO (-1)
/** Writes an ONNX file with its weights in a file beside it, as it must be over 2 GiB. Both are
 *  complete on the disk before they take their names.
 *  @param external_data  Name of that file, without a folder.
 *  @param threshold      Bytes from which on a weight goes there. */
sl_status sl_model_save_external(const sl_model *model, const char *path, int32_t opset,
                                 const char *external_data, size_t threshold);
/** The bytes that sl_model_save would write. */
sl_status sl_model_encode(const sl_model *model, int32_t opset, sl_buffer **out_buffer);
/** Holds the model against the official ONNX checker (libonnx, opset 17 and below). */
sl_status sl_model_check(const sl_model *model);
/** A readable listing of the graph. */
sl_status sl_model_describe(const sl_model *model, sl_buffer **out_text);
/** A model with the types of all inner values written down as far as they follow from its inputs:
 *  element types, ranks, extents by number, by the names of the model's dimensions ("2*batch + 1")
 *  or by a name of their own where several values share one.
 *  @return SL_TYPE_MISMATCH or SL_SHAPE_MISMATCH naming the node, where what follows contradicts
 *          what the model declares. */
sl_status sl_model_infer(const sl_model *model, sl_model **out_model);
/** The types of all values as JSON: an object by name; each value has "kind" ("tensor", "sequence",
 *  "map", "optional" or "unknown"), "type" (of the elements, an sl_type) and "dims" (null, or a list
 *  of numbers, names and nulls). Values of graphs inside are called "node.attribute/name". */
sl_status sl_model_value_types(const sl_model *model, sl_buffer **out_json);
/** What the model declares as JSON: an object with "inputs" (those without a default) and "outputs",
 *  lists in the model's order; each value has "name", and "kind", "type" and "dims" as above. */
sl_status sl_model_interface(const sl_model *model, sl_buffer **out_json);
/** The value of a metadata entry. SL_INVALID_ARGUMENT when there is none of that key. */
sl_status sl_model_metadata(const sl_model *model, const char *key, sl_buffer **out_text);
void sl_model_release(sl_model *model);

/** The weights that can be read and replaced by name, as JSON: a list of objects with "name", "type"
 *  (an sl_type), "dims", "count" (of elements) and "trainable" (false for what is frozen and for
 *  running statistics). Constants of the computation are no weights. */
sl_status sl_model_parameters(const sl_model *model, sl_buffer **out_json);
/** The values of a weight, as a new reference. */
sl_status sl_model_get_parameter(const sl_model *model, const char *name, sl_tensor **out_values);
/** A model with other values for `count` weights, of which it keeps copies.
 *  @return SL_INVALID_ARGUMENT for a name that the model does not have, SL_TYPE_MISMATCH and
 *          SL_SHAPE_MISMATCH for values that do not fit. */
sl_status sl_model_set_parameters(const sl_model *model, const char *const *names,
                                  const sl_tensor *const *values, size_t count,
                                  sl_model **out_model);
/** A model with weights that training leaves alone. The model's metadata and saved files remember
 *  it, under "stacklens.frozen".
 *  @param pattern  Of names: * stands for any characters, ? for one, [0-3] for one of a set:
 *                  "encoder.layer.[0-3].*".
 *  @return SL_INVALID_ARGUMENT when no weight has such a name. */
sl_status sl_model_freeze(const sl_model *model, const char *pattern, sl_model **out_model);
/** A model with weights that training changes again. */
sl_status sl_model_thaw(const sl_model *model, const char *pattern, sl_model **out_model);

/** What a model's numbers become. */
typedef enum sl_quantize_mode {
  SL_QUANTIZE_INT8_DYNAMIC = 0, /**< 8-bit weights; inputs of products are rounded as they come */
  SL_QUANTIZE_INT8_STATIC = 1,  /**< 8-bit weights and activations, ranges from sample inputs */
  SL_QUANTIZE_INT4_WEIGHTS = 2, /**< 4-bit weights in blocks, float32 otherwise */
  SL_QUANTIZE_BF16 = 3,         /**< operands of products in bfloat16, sums in float32 */
  SL_QUANTIZE_FP16 = 4          /**< everything between inputs and outputs in float16 */
} sl_quantize_mode;

/** Where int8-static gets the ranges of activations from. */
typedef enum sl_calibration {
  SL_CALIBRATION_MIN_MAX = 0,    /**< the least to the largest value seen */
  SL_CALIBRATION_PERCENTILE = 1, /**< all but one value in 10,000 */
  SL_CALIBRATION_ENTROPY = 2     /**< what loses least of the distribution */
} sl_calibration;

typedef struct sl_quantize_options {
  size_t struct_size;
  sl_quantize_mode mode;
  int32_t per_channel;         /**< not 0: a scale for each column or channel of the weights */
  int32_t row_scales;          /**< not 0: int8-dynamic gives each row of an input its scale; 0: one
                                    for all, by DynamicQuantizeLinear */
  sl_calibration calibration;
  int32_t block_size;          /**< 4-bit weights that share a scale: a power of two from 16 */
  int32_t contrib_operators;   /**< not 0: 4-bit products as MatMulNBits instead of opset 21 */
  const char *const *exclude;  /**< nodes to leave alone: names, their outputs' names, operators */
  size_t exclude_count;
  const char *const *input_names; /**< `input_count` names of inputs that the samples give */
  size_t input_count;
  const sl_value *const *inputs;  /**< `input_count` values for each of `sample_count` runs */
  size_t sample_count;
} sl_quantize_options;
#define SL_QUANTIZE_OPTIONS_INIT                                                            \
  {sizeof(sl_quantize_options), SL_QUANTIZE_INT8_DYNAMIC, 1, 1, SL_CALIBRATION_MIN_MAX, 32, \
   0, 0, 0, 0, 0, 0, 0}

/** A new model with weights and products in fewer bits, in operators of the standard that other
 *  runtimes load. 4-bit weights need opset 21 when the model is saved.
 *  @return SL_INVALID_ARGUMENT for options that do not fit, and what running the samples reports. */
sl_status sl_model_quantize(const sl_model *model, const sl_quantize_options *options,
                            sl_model **out_model);

/* ---- Sessions ----------------------------------------------------------------------------- */

/** How loud a message is. */
typedef enum sl_log_level {
  SL_LOG_DEBUG = 0,
  SL_LOG_INFO = 1,
  SL_LOG_WARNING = 2,
  SL_LOG_ERROR = 3
} sl_log_level;

/** Receives messages, from any thread; `message` is lent for the call. */
typedef void (*sl_log_callback)(sl_log_level level, const char *message, void *user_data);

typedef struct sl_session_options {
  size_t struct_size;
  int32_t thread_count;       /**< threads of one run, the caller included; 0 = usable processors */
  int32_t optimization_level; /**< 0 as written, 1 folding and dead code, 2 fusions too */
  uint64_t memory_limit;      /**< bytes one run may take; 0 = 80 % of the usable memory */
  int32_t profiling;          /**< not 0: record step times for sl_session_profile */
  sl_log_callback log;        /**< NULL: silent */
  void *log_user_data;
} sl_session_options;
#define SL_SESSION_OPTIONS_INIT {sizeof(sl_session_options), 0, 2, 0, 0, 0, 0}

/** A model compiled to run. Immutable and safe to run from many threads at once. */
typedef struct sl_session sl_session;
/** A flag that ends a run from another thread. */
typedef struct sl_cancellation sl_cancellation;

/** Compiles a model. */
sl_status sl_session_create(const sl_model *model, const sl_session_options *options,
                            sl_session **out_session);
void sl_session_release(sl_session *session);

/** Name, element type and declared shape of an input or output. */
typedef struct sl_value_info {
  const char *name;             /**< lent for the life of the session */
  sl_kind kind;
  sl_type type;                 /**< of the elements; of a map: of its values */
  size_t rank;                  /**< SIZE_MAX when not declared */
  const int64_t *dims;          /**< `rank` extents, -1 where not fixed */
  const char *const *dim_names; /**< `rank` names, "" where there is none */
} sl_value_info;

/** How many inputs and outputs the model declares. */
sl_status sl_session_counts(const sl_session *session, size_t *out_inputs, size_t *out_outputs);
/** The input at `index`. */
sl_status sl_session_input(const sl_session *session, size_t index, sl_value_info *out_info);
/** The output at `index`. */
sl_status sl_session_output(const sl_session *session, size_t index, sl_value_info *out_info);

/** Runs the model.
 *  @param input_names   `input_count` names, each with its value in `inputs`.
 *  @param output_names  `output_count` names; NULL means all outputs in the model's order.
 *  @param cancellation  May be NULL.
 *  @param out_outputs   Receives `output_count` new references (all outputs when names are NULL).
 *  @return SL_INVALID_ARGUMENT, SL_TYPE_MISMATCH or SL_SHAPE_MISMATCH naming the input. */
sl_status sl_session_run(const sl_session *session, const char *const *input_names,
                         const sl_value *const *inputs, size_t input_count,
                         const char *const *output_names, size_t output_count,
                         const sl_cancellation *cancellation, sl_value **out_outputs);
/** An array of the caller: `rank` extents, elements in C order. */
typedef struct sl_array {
  sl_type type;
  size_t rank;
  const int64_t *dims;
  void *data;
  size_t byte_count;
} sl_array;

/** Runs the model on arrays of the caller: the shortest way for a small model that is run often.
 *  @param inputs      One array for each input, in the model's order; borrowed for the call.
 *  @param outputs     One array for each output, in the model's order. An output of the array's type
 *                     and dims is written into its data.
 *  @param out_others  Receives NULL for each output that was written and a new reference for each
 *                     that does not fit its array. */
sl_status sl_session_run_arrays(const sl_session *session, const sl_array *inputs,
                                size_t input_count, const sl_array *outputs, size_t output_count,
                                sl_value **out_others);
/** Gives the memory of idle runs and cached plans back to the system. */
sl_status sl_session_trim(const sl_session *session);
/** Recorded step times as Chrome trace JSON. SL_INVALID_ARGUMENT unless profiling is on. */
sl_status sl_session_profile(const sl_session *session, sl_buffer **out_json);

sl_status sl_cancellation_create(sl_cancellation **out_cancellation);
/** Ends the runs that watch this flag; they return SL_CANCELLED at their next step. */
sl_status sl_cancellation_cancel(const sl_cancellation *cancellation);
void sl_cancellation_release(sl_cancellation *cancellation);

/* ---- Eager operators ---------------------------------------------------------------------- */

/** Attributes of an eager call, by ONNX name. */
typedef struct sl_attributes sl_attributes;
sl_status sl_attributes_create(sl_attributes **out_attributes);
sl_status sl_attributes_set_int(sl_attributes *attributes, const char *name, int64_t value);
sl_status sl_attributes_set_float(sl_attributes *attributes, const char *name, float value);
sl_status sl_attributes_set_string(sl_attributes *attributes, const char *name, const char *value);
sl_status sl_attributes_set_ints(sl_attributes *attributes, const char *name, const int64_t *values,
                                 size_t count);
sl_status sl_attributes_set_floats(sl_attributes *attributes, const char *name,
                                   const float *values, size_t count);
sl_status sl_attributes_set_strings(sl_attributes *attributes, const char *name,
                                    const char *const *values, size_t count);
sl_status sl_attributes_set_tensor(sl_attributes *attributes, const char *name,
                                   const sl_tensor *value);
void sl_attributes_release(sl_attributes *attributes);

/** Runs one operator in its newest form.
 *  @param domain        NULL or "" for ai.onnx.
 *  @param inputs        `input_count` values, NULL where an optional input is left out.
 *  @param attributes    May be NULL.
 *  @param output_count  How many outputs are wanted.
 *  @param out_outputs   Receives `output_count` new references. */
sl_status sl_op_run(const char *operator_name, const char *domain, const sl_value *const *inputs,
                    size_t input_count, const sl_attributes *attributes, size_t output_count,
                    sl_value **out_outputs);
/** How many operators the library has. */
size_t sl_op_count(void);
/** Name and domain of the operator at `index`, lent for ever; NULL past the end. */
const char *sl_op_name(size_t index);
const char *sl_op_domain(size_t index);

/** What the table says of the operator at `index`, as JSON: name, domain, versions, counts of inputs
 *  and outputs, attributes, kernels, samples. */
sl_status sl_op_describe(size_t index, sl_buffer **out_json);

/* ---- Building models ---------------------------------------------------------------------- */

/** A model under construction. Its values are known by their names; names that functions lend stay
 *  valid as long as the handle. One thread at a time works on a graph, others wait. What a call adds
 *  is checked first: names, counts, attributes, element types and, where they are fixed, extents. A
 *  call that fails leaves the graph as it was. */
typedef struct sl_graph sl_graph;

/** An empty graph.
 *  @param seed  What the initial values of parameters follow from, each with the parameter's name. */
sl_status sl_graph_create(const char *name, uint64_t seed, sl_graph **out_graph);
/** A graph that goes on with a model, to put a head on it. All values of the model can be read by
 *  their names; its outputs are values like others, and those that shall stay outputs are declared
 *  again by sl_graph_output. */
sl_status sl_graph_continue(const sl_model *model, uint64_t seed, sl_graph **out_graph);
void sl_graph_release(sl_graph *graph);

/** Declares an input.
 *  @param dims       `rank` extents, -1 where one is not fixed; NULL only when rank is 0 or SIZE_MAX.
 *  @param dim_names  NULL, or a name for each extent that is not fixed ("batch"); equal names mean
 *                    equal extents, NULL and "" an extent without a name.
 *  @param rank       SIZE_MAX: not even the rank is fixed. */
sl_status sl_graph_input(sl_graph *graph, const char *name, sl_type type, const int64_t *dims,
                         const char *const *dim_names, size_t rank);
/** Adds a tensor that is part of the computation and never trained.
 *  @param out_value  Receives its name. */
sl_status sl_graph_constant(sl_graph *graph, const sl_tensor *value, const char **out_value);
/** Adds a parameter: float32 numbers that training changes. The same name again gives the same
 *  parameter, so that parts of a network can share it.
 *  @param initializer  How it starts: a name ("zeros", "xavier_uniform"), or JSON with settings:
 *                      {"name": "normal", "std": 0.02}.
 *  @return SL_SHAPE_MISMATCH when there is a parameter of that name with another shape. */
sl_status sl_graph_parameter(sl_graph *graph, const char *name, const int64_t *dims, size_t rank,
                             const char *initializer, const char **out_value);
/** Adds a parameter that starts with a copy of the given numbers. */
sl_status sl_graph_weights(sl_graph *graph, const char *name, const sl_tensor *values,
                           const char **out_value);
/** Adds a node: any operator in its newest form.
 *  @param domain        NULL or "" for ai.onnx.
 *  @param inputs        `input_count` names of values; NULL or "" leaves an optional input out.
 *  @param attributes    May be NULL.
 *  @param out_values    Receives `output_count` names.
 *  @return SL_UNSUPPORTED for an unknown operator, SL_TYPE_MISMATCH or SL_SHAPE_MISMATCH for inputs
 *          that it refuses. */
sl_status sl_graph_op(sl_graph *graph, const char *operator_name, const char *domain,
                      const char *const *inputs, size_t input_count,
                      const sl_attributes *attributes, size_t output_count,
                      const char **out_values);
/** Adds a layer: the nodes and parameters that sl_layer_describe tells of.
 *  @param scope      What its parameters' names start with: "encoder.layers.0" gives
 *                    "encoder.layers.0.weight"; NULL or "": nothing. A layer that is added twice
 *                    under one scope is one layer applied twice.
 *  @param options    A JSON object, {"out_features": 10}; NULL or "": none.
 *  @param inputs     `input_count` names of values; NULL or "" leaves an optional input out.
 *  @param out_values Receives the names of its outputs, `capacity` at most.
 *  @param out_count  Receives how many there are. */
sl_status sl_graph_layer(sl_graph *graph, const char *layer, const char *scope,
                         const char *options, const char *const *inputs, size_t input_count,
                         const char **out_values, size_t capacity, size_t *out_count);
/** What is known of a value so far, as JSON: "kind", "type" and "dims" as sl_model_value_types has
 *  them. */
sl_status sl_graph_value(const sl_graph *graph, const char *value, sl_buffer **out_json);
/** Declares a value as an output of that name. */
sl_status sl_graph_output(sl_graph *graph, const char *value, const char *name);
/** The model so far, without nodes and parameters that no output needs. The graph stays usable.
 *  @return SL_INVALID_ARGUMENT without any output. */
sl_status sl_graph_model(const sl_graph *graph, sl_model **out_model);

/** How many kinds of layers there are. */
size_t sl_layer_count(void);
/** What there is to know of the layer at `index`, as JSON: name, documentation, inputs, outputs, and
 *  options with what each expects and its default. */
sl_status sl_layer_describe(size_t index, sl_buffer **out_json);

/* ---- Training ----------------------------------------------------------------------------- */

/** Where batches come from: tensors by the names of the model's inputs and of the loss's targets. */
typedef struct sl_dataset sl_dataset;

/** Batches of rows (axis 0) of tensors, which it keeps references to.
 *  @param names    `count` names, each with its tensor in `values`; a loss without settings takes its
 *                  target by the name "target".
 *  @param options  JSON with any of "batch_size" (32), "shuffle" (true), "seed" (42), "drop_last"
 *                  (false: a last batch with fewer rows is taken) and "length_mask": the name of a
 *                  tensor [rows, length] of 1 for what is real and 0 for padding, by which rows of
 *                  similar length come together and columns of padding are cut off. NULL: none.
 *  @return SL_INVALID_ARGUMENT for no rows, SL_INVALID_ARGUMENT or SL_SHAPE_MISMATCH for tensors whose
 *          rows do not fit together. */
sl_status sl_dataset_create(const char *const *names, const sl_tensor *const *values, size_t count,
                            const char *options, sl_dataset **out_dataset);
/** Makes batch `index` of an epoch: writes a reference for each name into `out_values`, which the
 *  library takes over, or leaves them NULL behind the last batch. The same place must give the same
 *  batch. Called from any thread, by one at a time. Returns an sl_status; what is not SL_OK ends
 *  training with it. */
typedef int32_t (*sl_batch_callback)(size_t index, size_t epoch, sl_tensor **out_values,
                                     void *user_data);
/** Batches that a function makes while the one before is computed with.
 *  @param names        `count` names of what a batch holds.
 *  @param batch_count  Batches of an epoch; 0 when that is not known.
 *  @param release      May be NULL; called once when `user_data` is no longer used. */
sl_status sl_dataset_create_callback(const char *const *names, size_t count, size_t batch_count,
                                     sl_batch_callback make, sl_release_callback release,
                                     void *user_data, sl_dataset **out_dataset);
void sl_dataset_release(sl_dataset *dataset);

/** What happened during training. */
typedef enum sl_training_event_kind {
  SL_TRAINING_STEP = 0,      /**< a batch was learned from */
  SL_TRAINING_EPOCH = 1,     /**< all batches were, and the validation data looked at */
  SL_TRAINING_WARNING = 2,   /**< something deserves a look */
  SL_TRAINING_CHECKPOINT = 3 /**< a checkpoint was written */
} sl_training_event_kind;

/** A figure of merit. */
typedef struct sl_figure {
  const char *name;
  double value;
} sl_figure;

typedef struct sl_training_event {
  sl_training_event_kind kind;
  size_t step;              /**< updates of the parameters so far; steps only */
  size_t epoch;
  size_t batch;             /**< place in the epoch; steps only */
  size_t batch_count;       /**< batches of an epoch; 0 when that is not known */
  double loss;              /**< of the batch, or the mean over the epoch's examples */
  double gradient_norm;     /**< of all gradients together, before clipping */
  double learning_rate;
  double seconds;           /**< that the epoch took */
  int32_t is_best;          /**< not 0: the best epoch so far */
  const sl_figure *figures; /**< `figure_count` of the validation data, "val_loss" first; epochs only */
  size_t figure_count;
  const char *text;         /**< the warning, or the checkpoint's file; NULL otherwise */
} sl_training_event;

/** Receives events on the thread that trains; all is lent for the call. Not 0 ends training after
 *  the current batch. */
typedef int32_t (*sl_training_callback)(const sl_training_event *event, void *user_data);

/** Trains a model. One thread at a time; a second one is refused. The same model, data, options and
 *  seed give the same weights to the last bit, with any number of threads. */
typedef struct sl_trainer sl_trainer;

/** A trainer for a model, of whose weights it makes copies.
 *  @param options  JSON. "loss" is needed: a name, an object with it under "name" and its settings
 *                  beside it, a list of those, or {"output": name} for a model that has its loss as
 *                  an output. Others: "optimizer" ("adamw"), "learning_rate", "schedule", "metrics",
 *                  "clip_norm", "clip_value", "accumulation", "ema", "freeze", "seed", "threads",
 *                  "precision" ("fp32" or "bf16"), "recompute", "truncated_bptt", "memory_limit".
 *                  docs/training.md has them all.
 *  @return SL_INVALID_ARGUMENT for options that are not known or out of range, and where nothing can
 *          be trained. */
sl_status sl_trainer_create(const sl_model *model, const char *options, sl_trainer **out_trainer);
void sl_trainer_release(sl_trainer *trainer);
/** Goes over data until the epochs are done, no better figure comes, or somebody stops it.
 *  @param validation   May be NULL: looked at after each epoch.
 *  @param options      JSON with any of "epochs" (1; passes in all, those before a checkpoint
 *                      included), "monitor" (the figure that says which epoch is best), "patience"
 *                      (epochs without a better one), "minimum_delta", "restore_best" (true: the best
 *                      epoch's weights are taken at the end), "checkpoint" (a file),
 *                      "checkpoint_interval" (steps), "gradient_report_interval" (steps). NULL: none.
 *  @param callback     May be NULL.
 *  @param out_history  May be NULL. Receives JSON: "end" ("finished", "early" or "stopped") and
 *                      "epochs", a list of objects.
 *  @return SL_NON_FINITE where the data, or the loss again and again, is not finite, SL_IO_ERROR where
 *          a checkpoint cannot be written. The weights are those of the last whole step then. */
sl_status sl_trainer_fit(sl_trainer *trainer, const sl_dataset *dataset,
                         const sl_dataset *validation, const char *options,
                         sl_training_callback callback, void *user_data, sl_buffer **out_history);
/** Ends a running fit after its current batch; from any thread. */
sl_status sl_trainer_stop(const sl_trainer *trainer);
/** Learns from one batch.
 *  @param out_event  May be NULL. */
sl_status sl_trainer_step(sl_trainer *trainer, const char *const *names,
                          const sl_tensor *const *values, size_t count,
                          sl_training_event *out_event);
/** Learns from one batch of arrays of the caller, borrowed for the call: the shortest way for a small
 *  model.
 *  @param arrays     One for each name.
 *  @param out_event  May be NULL. */
sl_status sl_trainer_step_arrays(sl_trainer *trainer, const char *const *names,
                                 const sl_array *arrays, size_t count,
                                 sl_training_event *out_event);
/** Loss and metrics over data with the weights of now, as a JSON object. */
sl_status sl_trainer_evaluate(sl_trainer *trainer, const sl_dataset *dataset, sl_buffer **out_json);
/** The model's outputs with the weights of now.
 *  @param output_count  How many outputs the model has.
 *  @param out_outputs   Receives as many new references. */
sl_status sl_trainer_predict(sl_trainer *trainer, const char *const *names,
                             const sl_tensor *const *values, size_t count, size_t output_count,
                             sl_value **out_outputs);
/** The model with the weights of now.
 *  @param averaged  Not 0: with their moving average, which "ema" keeps. */
sl_status sl_trainer_model(sl_trainer *trainer, int32_t averaged, sl_model **out_model);
/** Writes a checkpoint, whole or not at all: everything that training needs to go on as if it had
 *  never stopped. */
sl_status sl_trainer_save(sl_trainer *trainer, const char *path);
/** Goes on where a checkpoint was written by a trainer of the same model, optimiser and seed. On
 *  failure the trainer is as before. */
sl_status sl_trainer_load(sl_trainer *trainer, const char *path);
/** Where training stands, as JSON: "step", "epoch", "batch", "learning_rate", "targets" (names that
 *  data must have beside the model's inputs) and "parameters" (names of what is trained). */
sl_status sl_trainer_describe(sl_trainer *trainer, sl_buffer **out_json);
/** Figures of the last step's gradients, as JSON: "warnings", and "parameters": a list of objects with
 *  "name", "gradient_norm", "value_norm", "largest", "zero_share" and "non_finite". */
sl_status sl_trainer_gradients(sl_trainer *trainer, sl_buffer **out_json);

/* ---- Models ------------------------------------------------------------------------------- */

/** One of the models of docs/models, with what it learned. Calls may come from many threads at once;
 *  what sl_estimator_fit learns is seen by calls that begin when it is done. */
typedef struct sl_estimator sl_estimator;

/** How many kinds of models there are. */
size_t sl_estimator_kind_count(void);
/** What there is to know of the kind at `index`, as JSON: name, documentation, options, what "fit"
 *  takes, and methods with inputs, outputs and options. */
sl_status sl_estimator_kind_describe(size_t index, sl_buffer **out_json);
/** A model that has learned nothing yet.
 *  @param kind     "anomaly_vae" ...
 *  @param options  A JSON object, {"width": 512, "seed": 7}; NULL or "": the defaults.
 *  @return SL_INVALID_ARGUMENT for an unknown kind and for options that do not fit. */
sl_status sl_estimator_create(const char *kind, const char *options, sl_estimator **out_estimator);
/** Reads what sl_estimator_save wrote. SL_FORMAT_ERROR naming what does not fit. */
sl_status sl_estimator_load(const char *path, sl_estimator **out_estimator);
void sl_estimator_release(sl_estimator *estimator);
/** Writes the model, whole or not at all. SL_NOT_FITTED before it learned anything. */
sl_status sl_estimator_save(const sl_estimator *estimator, const char *path);
/** Kind, options, number of parameters and what was found while fitting, as JSON. */
sl_status sl_estimator_describe(const sl_estimator *estimator, sl_buffer **out_json);
/** Learns from data.
 *  @param names        `count` names of the inputs of "fit", each with its value in `values`.
 *  @param options      A JSON object, {"epochs": 10}; NULL or "": the defaults.
 *  @param callback     May be NULL; not 0 from it ends training, and what was learned so far is kept.
 *  @param out_history  May be NULL. Receives JSON as sl_trainer_fit does.
 *  @return what is wrong with the data; the model is as before then. */
sl_status sl_estimator_fit(sl_estimator *estimator, const char *const *names,
                           const sl_value *const *values, size_t count, const char *options,
                           sl_training_callback callback, void *user_data,
                           sl_buffer **out_history);
/** Asks the model.
 *  @param method        One of the kind's methods, "score".
 *  @param names         `count` names of its inputs, each with its value in `values`.
 *  @param options       A JSON object of its options; NULL or "": the defaults.
 *  @param output_count  How many outputs the method has.
 *  @param out_values    Receives as many new references.
 *  @return SL_NOT_FITTED where the answer needs what "fit" learns, SL_NON_FINITE, SL_SHAPE_MISMATCH or
 *          SL_TYPE_MISMATCH naming the input. */
sl_status sl_estimator_call(const sl_estimator *estimator, const char *method,
                            const char *const *names, const sl_value *const *values, size_t count,
                            const char *options, size_t output_count, sl_value **out_values);
/** One of the model's networks, to be run by a session or saved as ONNX.
 *  @param network  NULL or "" for the main one. */
sl_status sl_estimator_model(const sl_estimator *estimator, const char *network,
                             sl_model **out_model);

/* ---- Text --------------------------------------------------------------------------------- */

/** A text with its length in bytes; it may contain zeros and invalid UTF-8, each bad sequence of
 *  which reads as U+FFFD. */
typedef struct sl_text {
  const char *bytes;
  size_t byte_count;
} sl_text;

/** A WordPiece tokenizer. Immutable. */
typedef struct sl_tokenizer sl_tokenizer;
/** The tokens of a batch of texts. Immutable. */
typedef struct sl_encoding sl_encoding;

typedef struct sl_tokenizer_options {
  size_t struct_size;
  int64_t max_length;      /**< tokens kept, special ones included; 0 = the file's setting,
                                -1 = no truncation */
  int32_t special_tokens;  /**< add [CLS] and [SEP]; default 1 */
  int32_t pad;             /**< pad every text to the longest of the batch; default 0 */
  int32_t thread_count;    /**< 0 = usable processors */
} sl_tokenizer_options;
#define SL_TOKENIZER_OPTIONS_INIT {sizeof(sl_tokenizer_options), 0, 1, 0, 0}

/** Reads tokenizer.json or vocab.txt, or finds one of them in a folder. */
sl_status sl_tokenizer_load(const char *path, sl_tokenizer **out_tokenizer);
void sl_tokenizer_release(sl_tokenizer *tokenizer);
/** Number of ids, added tokens included. */
sl_status sl_tokenizer_vocabulary_size(const sl_tokenizer *tokenizer, size_t *out_size);
/** Tokenises a batch.
 *  @param pairs  NULL, or a second text for each first one. */
sl_status sl_tokenizer_encode(const sl_tokenizer *tokenizer, const sl_text *texts,
                              const sl_text *pairs, size_t count,
                              const sl_tokenizer_options *options, sl_encoding **out_encoding);
/** The text of an id: "##ing". SL_INVALID_ARGUMENT outside the vocabulary. */
sl_status sl_tokenizer_token(const sl_tokenizer *tokenizer, int64_t id, char *buffer,
                             size_t capacity, size_t *out_length);
/** The id of a token. SL_INVALID_ARGUMENT when there is none. */
sl_status sl_tokenizer_id(const sl_tokenizer *tokenizer, const char *token, int64_t *out_id);
/** The text of a sequence of ids, word pieces joined and special tokens left out. */
sl_status sl_tokenizer_decode(const sl_tokenizer *tokenizer, const int64_t *ids, size_t count,
                              sl_buffer **out_text);

/** Tokens of one text of a batch, lent for the life of the encoding. All arrays have `count`
 *  elements, offsets two for each token: [begin, end). */
typedef struct sl_tokens {
  size_t count;
  const int64_t *ids;
  const int64_t *type_ids;
  const int64_t *attention_mask;
  const int64_t *special_tokens_mask;
  const int64_t *offsets;      /**< in characters (Unicode scalars) of the text */
  const int64_t *byte_offsets; /**< in bytes of the text */
  int32_t is_truncated;
} sl_tokens;
/** How many texts the encoding holds. */
sl_status sl_encoding_count(const sl_encoding *encoding, size_t *out_count);
/** The tokens of text `index`. */
sl_status sl_encoding_tokens(const sl_encoding *encoding, size_t index, sl_tokens *out_tokens);
void sl_encoding_release(sl_encoding *encoding);

/* ---- Embeddings --------------------------------------------------------------------------- */

/** Number format of the encoder's matrix products. */
typedef enum sl_precision {
  SL_PRECISION_FP32 = 0,
  SL_PRECISION_BF16 = 1,
  SL_PRECISION_INT8 = 2
} sl_precision;

typedef struct sl_embedder_options {
  size_t struct_size;
  sl_precision precision; /**< falls back to fp32 with a log message where the CPU cannot */
  int32_t thread_count;   /**< 0 = usable processors */
  int64_t max_length;     /**< tokens kept of a text; 0 = the model's own setting */
  sl_log_callback log;    /**< NULL: silent */
  void *log_user_data;
} sl_embedder_options;
#define SL_EMBEDDER_OPTIONS_INIT {sizeof(sl_embedder_options), SL_PRECISION_FP32, 0, 0, 0, 0}

/** Called with texts done and texts in all; not 0 ends the work with SL_CANCELLED. */
typedef int32_t (*sl_progress_callback)(size_t done, size_t total, void *user_data);

typedef struct sl_encode_options {
  size_t struct_size;
  int32_t normalize;             /**< scale vectors to length 1; default 1 */
  sl_progress_callback progress; /**< NULL: none */
  void *user_data;
} sl_encode_options;
#define SL_ENCODE_OPTIONS_INIT {sizeof(sl_encode_options), 1, 0, 0}

/** A text encoder with its tokenizer. Immutable. The vector of a text is the same to the last bit
 *  alone, in any batch, in any order and with any number of threads. */
typedef struct sl_embedder sl_embedder;

/** The folder of the encoder that comes with the library, for functions that take one by its path:
 *  the one that the environment's STACKLENS_ENCODER names, else "encoder" beside the library, else
 *  share/stacklens/encoder of an installation.
 *  @param buffer      receives the path and a zero
 *  @param out_length  bytes needed, the zero not counted, also where the buffer is too small
 *  @return SL_IO_ERROR where it is not there, SL_SHAPE_MISMATCH for a buffer that is too small */
sl_status sl_default_encoder(char *buffer, size_t capacity, size_t *out_length);

/** Loads a sentence-transformers folder (config.json, model.safetensors, tokenizer.json; weights may
 *  be int8 with a float32 "_scale" for each row), or a folder with an ONNX encoder (model.onnx) and a
 *  tokenizer.
 *  @param folder  NULL: the encoder that comes with the library */
sl_status sl_embedder_load(const char *folder, const sl_embedder_options *options,
                           sl_embedder **out_embedder);
void sl_embedder_release(sl_embedder *embedder);
/** Length of a vector. */
sl_status sl_embedder_dimension(const sl_embedder *embedder, size_t *out_dimension);
/** The precision in use, after any fallback. */
sl_status sl_embedder_precision(const sl_embedder *embedder, sl_precision *out_precision);
/** Embeds texts.
 *  @param out_vectors  Receives count × dimension floats, row i for text i.
 *  @param capacity     Floats that fit; SL_SHAPE_MISMATCH when too few. */
sl_status sl_embedder_encode(const sl_embedder *embedder, const sl_text *texts, size_t count,
                             const sl_encode_options *options, float *out_vectors,
                             size_t capacity);
/** Embeds token ids, special tokens included.
 *  @param ids      All texts' ids in a row.
 *  @param lengths  `count` lengths; their sum is the number of ids. */
sl_status sl_embedder_encode_ids(const sl_embedder *embedder, const int64_t *ids,
                                 const size_t *lengths, size_t count,
                                 const sl_encode_options *options, float *out_vectors,
                                 size_t capacity);
/** Cosine similarity of two texts, in [-1, 1]. */
sl_status sl_embedder_similarity(const sl_embedder *embedder, sl_text left, sl_text right,
                                 float *out_similarity);
/** The texts of a corpus that are most similar to `text`, best first, ties by smaller index.
 *  @param top_k        At least 1; the arrays hold that many.
 *  @param threshold    In [-1, 1]; less similar texts are left out.
 *  @param out_count    How many were found. */
sl_status sl_embedder_find_similar(const sl_embedder *embedder, sl_text text,
                                   const sl_text *corpus, size_t corpus_count, size_t top_k,
                                   float threshold, size_t *out_indices, float *out_scores,
                                   size_t *out_count);
/** Writes the encoder (ids, mask → last hidden state, sentence vector) as an ONNX file.
 *  @param opset  0 means 17. */
sl_status sl_embedder_save_onnx(const sl_embedder *embedder, const char *path, int32_t opset);
/** Gives the memory of idle runs back to the system. */
sl_status sl_embedder_trim(const sl_embedder *embedder);

/** Cosine similarity of two vectors of `dimension` floats; 0 when one of them is zero. */
sl_status sl_similarity(const float *left, const float *right, size_t dimension,
                        float *out_similarity);
/** The `top_k` rows of `vectors` [count, dimension] most similar to `query`, best first, ties by
 *  smaller index. Every row's score is written to `out_scores` where that is wanted by top_k =
 *  count. */
sl_status sl_nearest(const float *query, const float *vectors, size_t count, size_t dimension,
                     size_t top_k, float threshold, size_t *out_indices, float *out_scores,
                     size_t *out_count);

#ifdef __cplusplus
}
#endif
#endif
