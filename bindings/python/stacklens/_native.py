"""The shared library: where it is found, and one table with the prototypes of its functions.

All calls into the library go through ``lib``. It loads the library at the first use and binds a
function at its first call, so that importing the package costs nothing.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import threading
from collections.abc import Mapping
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
)
from typing import Any, Callable

from .errors import InvalidArgumentError, IoError, UnsupportedError, error_for

API_VERSION = 2
FILE_NAME = "libstacklens.so"
VARIABLE = "STACKLENS_LIBRARY"

# ---- Types of the header ------------------------------------------------------------------------

handle = c_void_p
enum = c_int32
out_handle = POINTER(c_void_p)
out_size = POINTER(c_size_t)
int64s = POINTER(c_int64)
floats = POINTER(c_float)
strings = POINTER(c_char_p)

release_callback = CFUNCTYPE(None, c_void_p)
log_callback = CFUNCTYPE(None, enum, c_char_p, c_void_p)
progress_callback = CFUNCTYPE(c_int32, c_size_t, c_size_t, c_void_p)


class SessionOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("thread_count", c_int32),
        ("optimization_level", c_int32),
        ("memory_limit", c_uint64),
        ("profiling", c_int32),
        ("log", log_callback),
        ("log_user_data", c_void_p),
    ]


class QuantizeOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("mode", enum),
        ("per_channel", c_int32),
        ("row_scales", c_int32),
        ("calibration", enum),
        ("block_size", c_int32),
        ("contrib_operators", c_int32),
        ("exclude", strings),
        ("exclude_count", c_size_t),
        ("input_names", strings),
        ("input_count", c_size_t),
        ("inputs", out_handle),
        ("sample_count", c_size_t),
    ]


class ValueInfo(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("kind", enum),
        ("type", enum),
        ("rank", c_size_t),
        ("dims", int64s),
        ("dim_names", strings),
    ]


class Description(Structure):
    _fields_ = [
        ("kind", enum),
        ("type", enum),
        ("rank", c_size_t),
        ("dims", c_int64 * 8),
        ("data", c_void_p),
        ("byte_count", c_size_t),
    ]


class Text(Structure):
    _fields_ = [("bytes", c_char_p), ("byte_count", c_size_t)]


class TokenizerOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("max_length", c_int64),
        ("special_tokens", c_int32),
        ("pad", c_int32),
        ("thread_count", c_int32),
    ]


class Tokens(Structure):
    _fields_ = [
        ("count", c_size_t),
        ("ids", int64s),
        ("type_ids", int64s),
        ("attention_mask", int64s),
        ("special_tokens_mask", int64s),
        ("offsets", int64s),
        ("byte_offsets", int64s),
        ("is_truncated", c_int32),
    ]


class EmbedderOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("precision", enum),
        ("thread_count", c_int32),
        ("max_length", c_int64),
        ("log", log_callback),
        ("log_user_data", c_void_p),
    ]


class EncodeOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("normalize", c_int32),
        ("progress", progress_callback),
        ("user_data", c_void_p),
    ]


class Array(Structure):
    _fields_ = [
        ("type", enum),
        ("rank", c_size_t),
        ("dims", int64s),
        ("data", c_void_p),
        ("byte_count", c_size_t),
    ]


class Figure(Structure):
    _fields_ = [("name", c_char_p), ("value", c_double)]


class TrainingEvent(Structure):
    _fields_ = [
        ("kind", enum),
        ("step", c_size_t),
        ("epoch", c_size_t),
        ("batch", c_size_t),
        ("batch_count", c_size_t),
        ("loss", c_double),
        ("gradient_norm", c_double),
        ("learning_rate", c_double),
        ("seconds", c_double),
        ("is_best", c_int32),
        ("figures", POINTER(Figure)),
        ("figure_count", c_size_t),
        ("text", c_char_p),
    ]


batch_callback = CFUNCTYPE(c_int32, c_size_t, c_size_t, out_handle, c_void_p)
training_callback = CFUNCTYPE(c_int32, POINTER(TrainingEvent), c_void_p)

texts = POINTER(Text)
arrays = POINTER(Array)

# ---- Prototypes ---------------------------------------------------------------------------------


def _raise_on_failure(status: int, _function: Any, _arguments: Any) -> int:
    if status:
        message = lib.sl_last_error_message()
        raise error_for(status, message.decode("utf-8", "replace") if message else "")
    return status


def _fallible(*arguments: Any) -> tuple[Any, list[Any], Any]:
    return enum, list(arguments), _raise_on_failure


def _plain(result: Any, *arguments: Any) -> tuple[Any, list[Any], Any]:
    return result, list(arguments), None


PROTOTYPES: dict[str, tuple[Any, list[Any], Callable[..., Any] | None]] = {
    "sl_api_version": _plain(c_int32),
    "sl_version": _plain(c_char_p),
    "sl_status_name": _plain(c_char_p, enum),
    "sl_last_error_message": _plain(c_char_p),
    "sl_usable_processors": _plain(c_size_t),
    "sl_cpu_features": _plain(c_char_p),
    "sl_value_retain": _fallible(handle),
    "sl_value_release": _plain(None, handle),
    "sl_value_kind": _fallible(handle, POINTER(enum)),
    "sl_values_describe": _fallible(out_handle, c_size_t, POINTER(Description)),
    "sl_value_count": _fallible(handle, out_size),
    "sl_value_at": _fallible(handle, c_size_t, out_handle),
    "sl_value_elements": _fallible(handle, c_size_t, c_size_t, out_handle),
    "sl_value_map": _fallible(handle, out_handle, out_handle),
    "sl_value_create_sequence": _fallible(out_handle, c_size_t, out_handle),
    "sl_value_create_map": _fallible(handle, handle, out_handle),
    "sl_value_create_none": _fallible(out_handle),
    "sl_tensor_create": _fallible(enum, int64s, c_size_t, c_void_p, c_size_t, out_handle),
    "sl_tensor_wrap": _fallible(
        enum, int64s, c_size_t, c_void_p, c_size_t, release_callback, c_void_p, out_handle
    ),
    "sl_tensor_create_strings": _fallible(
        int64s, c_size_t, strings, out_size, c_size_t, out_handle
    ),
    "sl_tensor_type": _fallible(handle, POINTER(enum)),
    "sl_tensor_rank": _fallible(handle, out_size),
    "sl_tensor_dims": _fallible(handle, int64s, c_size_t),
    "sl_tensor_count": _fallible(handle, out_size),
    "sl_tensor_data": _fallible(handle, out_handle, out_size),
    "sl_tensor_string": _fallible(handle, c_size_t, c_void_p, c_size_t, out_size),
    "sl_tensor_reshape": _fallible(handle, int64s, c_size_t, out_handle),
    "sl_tensor_from_dlpack": _fallible(c_void_p, out_handle),
    "sl_tensor_to_dlpack": _fallible(handle, out_handle),
    "sl_buffer_data": _fallible(handle, out_handle, out_size),
    "sl_buffer_release": _plain(None, handle),
    "sl_model_load": _fallible(c_char_p, out_handle),
    "sl_model_load_bytes": _fallible(c_void_p, c_size_t, c_char_p, out_handle),
    "sl_model_save": _fallible(handle, c_char_p, c_int32),
    "sl_model_save_external": _fallible(handle, c_char_p, c_int32, c_char_p, c_size_t),
    "sl_model_encode": _fallible(handle, c_int32, out_handle),
    "sl_model_check": _fallible(handle),
    "sl_model_describe": _fallible(handle, out_handle),
    "sl_model_infer": _fallible(handle, out_handle),
    "sl_model_value_types": _fallible(handle, out_handle),
    "sl_model_interface": _fallible(handle, out_handle),
    "sl_model_metadata": _fallible(handle, c_char_p, out_handle),
    "sl_model_release": _plain(None, handle),
    "sl_model_parameters": _fallible(handle, out_handle),
    "sl_model_get_parameter": _fallible(handle, c_char_p, out_handle),
    "sl_model_set_parameters": _fallible(handle, strings, out_handle, c_size_t, out_handle),
    "sl_model_freeze": _fallible(handle, c_char_p, out_handle),
    "sl_model_thaw": _fallible(handle, c_char_p, out_handle),
    "sl_model_quantize": _fallible(handle, POINTER(QuantizeOptions), out_handle),
    "sl_session_create": _fallible(handle, POINTER(SessionOptions), out_handle),
    "sl_session_release": _plain(None, handle),
    "sl_session_counts": _fallible(handle, out_size, out_size),
    "sl_session_input": _fallible(handle, c_size_t, POINTER(ValueInfo)),
    "sl_session_output": _fallible(handle, c_size_t, POINTER(ValueInfo)),
    "sl_session_run": _fallible(
        handle, strings, out_handle, c_size_t, strings, c_size_t, handle, out_handle
    ),
    "sl_session_run_arrays": _fallible(
        handle, arrays, c_size_t, arrays, c_size_t, out_handle
    ),
    "sl_session_trim": _fallible(handle),
    "sl_session_profile": _fallible(handle, out_handle),
    "sl_cancellation_create": _fallible(out_handle),
    "sl_cancellation_cancel": _fallible(handle),
    "sl_cancellation_release": _plain(None, handle),
    "sl_attributes_create": _fallible(out_handle),
    "sl_attributes_set_int": _fallible(handle, c_char_p, c_int64),
    "sl_attributes_set_float": _fallible(handle, c_char_p, c_float),
    "sl_attributes_set_string": _fallible(handle, c_char_p, c_char_p),
    "sl_attributes_set_ints": _fallible(handle, c_char_p, int64s, c_size_t),
    "sl_attributes_set_floats": _fallible(handle, c_char_p, floats, c_size_t),
    "sl_attributes_set_strings": _fallible(handle, c_char_p, strings, c_size_t),
    "sl_attributes_set_tensor": _fallible(handle, c_char_p, handle),
    "sl_attributes_release": _plain(None, handle),
    "sl_op_run": _fallible(c_char_p, c_char_p, out_handle, c_size_t, handle, c_size_t, out_handle),
    "sl_op_count": _plain(c_size_t),
    "sl_op_name": _plain(c_char_p, c_size_t),
    "sl_op_domain": _plain(c_char_p, c_size_t),
    "sl_op_describe": _fallible(c_size_t, out_handle),
    "sl_graph_create": _fallible(c_char_p, c_uint64, out_handle),
    "sl_graph_continue": _fallible(handle, c_uint64, out_handle),
    "sl_graph_release": _plain(None, handle),
    "sl_graph_input": _fallible(handle, c_char_p, enum, int64s, strings, c_size_t),
    "sl_graph_constant": _fallible(handle, handle, strings),
    "sl_graph_parameter": _fallible(handle, c_char_p, int64s, c_size_t, c_char_p, strings),
    "sl_graph_weights": _fallible(handle, c_char_p, handle, strings),
    "sl_graph_op": _fallible(
        handle, c_char_p, c_char_p, strings, c_size_t, handle, c_size_t, strings
    ),
    "sl_graph_layer": _fallible(
        handle, c_char_p, c_char_p, c_char_p, strings, c_size_t, strings, c_size_t, out_size
    ),
    "sl_graph_value": _fallible(handle, c_char_p, out_handle),
    "sl_graph_output": _fallible(handle, c_char_p, c_char_p),
    "sl_graph_model": _fallible(handle, out_handle),
    "sl_layer_count": _plain(c_size_t),
    "sl_layer_describe": _fallible(c_size_t, out_handle),
    "sl_dataset_create": _fallible(strings, out_handle, c_size_t, c_char_p, out_handle),
    "sl_dataset_create_callback": _fallible(
        strings, c_size_t, c_size_t, batch_callback, release_callback, c_void_p, out_handle
    ),
    "sl_dataset_release": _plain(None, handle),
    "sl_trainer_create": _fallible(handle, c_char_p, out_handle),
    "sl_trainer_release": _plain(None, handle),
    "sl_trainer_fit": _fallible(
        handle, handle, handle, c_char_p, training_callback, c_void_p, out_handle
    ),
    "sl_trainer_stop": _fallible(handle),
    "sl_trainer_step": _fallible(
        handle, strings, out_handle, c_size_t, POINTER(TrainingEvent)
    ),
    "sl_trainer_step_arrays": _fallible(
        handle, strings, arrays, c_size_t, POINTER(TrainingEvent)
    ),
    "sl_trainer_evaluate": _fallible(handle, handle, out_handle),
    "sl_trainer_predict": _fallible(
        handle, strings, out_handle, c_size_t, c_size_t, out_handle
    ),
    "sl_trainer_model": _fallible(handle, c_int32, out_handle),
    "sl_trainer_save": _fallible(handle, c_char_p),
    "sl_trainer_load": _fallible(handle, c_char_p),
    "sl_trainer_describe": _fallible(handle, out_handle),
    "sl_trainer_gradients": _fallible(handle, out_handle),
    "sl_estimator_kind_count": _plain(c_size_t),
    "sl_estimator_kind_describe": _fallible(c_size_t, out_handle),
    "sl_estimator_create": _fallible(c_char_p, c_char_p, out_handle),
    "sl_estimator_load": _fallible(c_char_p, out_handle),
    "sl_estimator_release": _plain(None, handle),
    "sl_estimator_save": _fallible(handle, c_char_p),
    "sl_estimator_describe": _fallible(handle, out_handle),
    "sl_estimator_fit": _fallible(
        handle, strings, out_handle, c_size_t, c_char_p, training_callback, c_void_p, out_handle
    ),
    "sl_estimator_call": _fallible(
        handle, c_char_p, strings, out_handle, c_size_t, c_char_p, c_size_t, out_handle
    ),
    "sl_estimator_model": _fallible(handle, c_char_p, out_handle),
    "sl_tokenizer_load": _fallible(c_char_p, out_handle),
    "sl_tokenizer_release": _plain(None, handle),
    "sl_tokenizer_vocabulary_size": _fallible(handle, out_size),
    "sl_tokenizer_encode": _fallible(
        handle, texts, texts, c_size_t, POINTER(TokenizerOptions), out_handle
    ),
    "sl_tokenizer_token": _fallible(handle, c_int64, c_void_p, c_size_t, out_size),
    "sl_tokenizer_id": _fallible(handle, c_char_p, int64s),
    "sl_tokenizer_decode": _fallible(handle, int64s, c_size_t, out_handle),
    "sl_encoding_count": _fallible(handle, out_size),
    "sl_encoding_tokens": _fallible(handle, c_size_t, POINTER(Tokens)),
    "sl_encoding_release": _plain(None, handle),
    "sl_default_encoder": _fallible(c_char_p, c_size_t, out_size),
    "sl_embedder_load": _fallible(c_char_p, POINTER(EmbedderOptions), out_handle),
    "sl_embedder_release": _plain(None, handle),
    "sl_embedder_dimension": _fallible(handle, out_size),
    "sl_embedder_precision": _fallible(handle, POINTER(enum)),
    "sl_embedder_encode": _fallible(
        handle, texts, c_size_t, POINTER(EncodeOptions), floats, c_size_t
    ),
    "sl_embedder_encode_ids": _fallible(
        handle, int64s, out_size, c_size_t, POINTER(EncodeOptions), floats, c_size_t
    ),
    "sl_embedder_similarity": _fallible(handle, Text, Text, floats),
    "sl_embedder_find_similar": _fallible(
        handle, Text, texts, c_size_t, c_size_t, c_float, out_size, floats, out_size
    ),
    "sl_embedder_save_onnx": _fallible(handle, c_char_p, c_int32),
    "sl_embedder_trim": _fallible(handle),
    "sl_similarity": _fallible(floats, floats, c_size_t, floats),
    "sl_nearest": _fallible(
        floats, floats, c_size_t, c_size_t, c_size_t, c_float, out_size, floats, out_size
    ),
}

# ---- Loading ------------------------------------------------------------------------------------


def find_library() -> pathlib.Path:
    """The library's file: ``STACKLENS_LIBRARY``, else inside the package, else in the repository.

    Raises
    ------
    IoError
        Where none of these exists.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        path = pathlib.Path(chosen)
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            raise IoError(f"{VARIABLE} names {chosen}, where there is no library")
        return path.resolve()
    package = pathlib.Path(__file__).resolve().parent
    candidates = [package / FILE_NAME]
    if len(package.parents) > 2:
        candidates.append(package.parents[2] / "build" / "lib" / FILE_NAME)
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(str(path) for path in candidates)
    raise IoError(f"{FILE_NAME} is not there (looked for {looked}): build it or set {VARIABLE}")


class _Library:
    """The loaded library; its functions are attributes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cdll: ctypes.CDLL | None = None

    def _load(self) -> ctypes.CDLL:
        with self._lock:
            if self._cdll is None:
                path = find_library()
                try:
                    cdll = ctypes.CDLL(str(path))
                except OSError as error:
                    raise IoError(f"{path} cannot be loaded: {error}") from error
                try:
                    cdll.sl_api_version.restype = c_int32
                    found = cdll.sl_api_version()
                except AttributeError as error:
                    raise IoError(f"{path} is not a StackLens library") from error
                if found < API_VERSION:
                    raise UnsupportedError(
                        f"{path} has API version {found}, this package needs {API_VERSION}"
                    )
                self._cdll = cdll
                self.path = path
            return self._cdll

    def __getattr__(self, name: str) -> Any:
        if name == "path":
            self._load()
            return self.__dict__["path"]
        if name not in PROTOTYPES:
            raise AttributeError(name)
        result, arguments, check = PROTOTYPES[name]
        try:
            function = getattr(self._load(), name)
        except AttributeError:
            raise UnsupportedError(f"{self.path} has no function {name}") from None
        function.restype, function.argtypes = result, arguments
        if check is not None:
            function.errcheck = check
        self.__dict__[name] = function
        return function


lib: Any = _Library()

# ---- Small helpers over calls -------------------------------------------------------------------


def path_bytes(path: str | os.PathLike[str]) -> bytes:
    """A path as the library takes it."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise InvalidArgumentError("a path cannot contain a zero byte")
    return encoded


def name_bytes(name: str, what: str) -> bytes:
    """A name as the library takes it."""
    if not isinstance(name, str):
        raise InvalidArgumentError(f"{what} must be a str, found {type(name).__name__}")
    encoded = name.encode("utf-8", "replace")
    if b"\0" in encoded:
        raise InvalidArgumentError(f"{what} cannot contain a zero byte")
    return encoded


def names_of(values: Mapping[str, Any]) -> Any:
    """The keys of a mapping as the library takes names."""
    names = [name_bytes(name, "a name in the data") for name in values]
    return (c_char_p * max(len(names), 1))(*names)


def opset_number(opset: int | str | None) -> int:
    """An opset as the library takes it: 0 stands for its default, -1 for one that fits."""
    if opset is None:
        return 0
    if opset == "auto":
        return -1
    if not isinstance(opset, int) or not 1 <= opset < 1 << 31:
        raise InvalidArgumentError(f"opset must be at least 1 or 'auto', found {opset!r}")
    return int(opset)


def take_bytes(buffer: c_void_p) -> bytes:
    """The contents of an ``sl_buffer``, which is released."""
    try:
        data, count = c_void_p(), c_size_t()
        lib.sl_buffer_data(buffer, ctypes.byref(data), ctypes.byref(count))
        return ctypes.string_at(data, count.value) if count.value else b""
    finally:
        lib.sl_buffer_release(buffer)
