"""Values between Python and the library: arrays share memory in both directions."""

from __future__ import annotations

import ctypes
import itertools
import math
import re
import weakref
from collections.abc import Mapping, Sequence
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_void_p
from typing import Any, Optional, Union

import numpy as np

from . import _dlpack, _native
from ._native import lib
from .errors import InvalidArgumentError, ShapeError, TypeMismatchError, UnsupportedError

__all__ = ["Tensor", "from_dlpack"]

try:
    import ml_dtypes as _ml_dtypes
except ImportError:
    _ml_dtypes = None

STRING = 8

#: Names of element types by their ONNX number, in the spelling of NumPy and ml_dtypes.
TYPE_NAMES: dict[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "str",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1fn",
    24: "float8_e8m0fnu",
    25: "uint2",
    26: "int2",
    27: "float6_e2m3fn",
    28: "float6_e3m2fn",
}
_TYPES = {name: number for number, name in TYPE_NAMES.items()}

BFLOAT16 = _TYPES["bfloat16"]

# Types that NumPy knows through ml_dtypes alone; without it, arrays of them show their bits.
_EXTENSIONS: dict[int, Optional[np.dtype[Any]]] = {
    number: np.dtype(getattr(_ml_dtypes, name)) if hasattr(_ml_dtypes, name) else None
    for number, name in TYPE_NAMES.items()
    if number >= BFLOAT16
}

# What an array of the type looks like in memory.
_STORED: dict[int, np.dtype[Any]] = {
    number: np.dtype("uint16" if number == BFLOAT16 else "uint8" if number in _EXTENSIONS else name)
    for number, name in TYPE_NAMES.items()
    if number != STRING
}
_NUMBER_OF: dict[np.dtype[Any], int] = {
    dtype: number for number, dtype in _STORED.items() if number not in _EXTENSIONS
} | {dtype: number for number, dtype in _EXTENSIONS.items() if dtype is not None}

_KIND_TENSOR, _KIND_SEQUENCE, _KIND_MAP, _KIND_NONE = range(4)

# What NumPy has itself, by number.
_PLAIN = {number: dtype for number, dtype in _STORED.items() if number not in _EXTENSIONS}

# Bytes up to which a copy costs less than sharing.
_SMALL = 1 << 14

# Elements of a sequence that are taken in one call.
_AT_ONCE = 4096

ArrayLike = Any
Value = Union[np.ndarray, "list[Any]", "dict[Any, Any]", None]

# ---- Into the library ---------------------------------------------------------------------------

# Arrays that the library looks at, kept alive until it says that it is done.
_lent: dict[int, np.ndarray] = {}
_lent_keys = itertools.count(1)


@_native.release_callback
def _give_back(key: Optional[int]) -> None:
    _lent.pop(key or 0, None)


_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def encoded(text: Union[str, bytes]) -> bytes:
    """A text as UTF-8; lone surrogates become U+FFFD."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeMismatchError(f"expected a text, found {type(text).__name__}")
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _LONE_SURROGATES.sub("\ufffd", text).encode()


def _dims(shape: Sequence[int]) -> Any:
    return (c_int64 * len(shape))(*shape) if shape else None


def _strings_handle(array: np.ndarray) -> c_void_p:
    items = [encoded(item) for item in array.ravel().tolist()]
    out = c_void_p()
    lib.sl_tensor_create_strings(
        _dims(array.shape),
        array.ndim,
        (c_char_p * len(items))(*items),
        (c_size_t * len(items))(*map(len, items)),
        len(items),
        byref(out),
    )
    return out


def as_array(value: ArrayLike) -> np.ndarray:
    """An array as the library can share it: Python's floats are float32, integers int64."""
    if isinstance(value, np.ndarray):
        array = value
    elif isinstance(value, (float, int, str, bytes, list, tuple, bool)):
        array = np.asarray(value)
        if array.dtype == np.float64 and not _holds_float64(value):
            array = array.astype(np.float32)
    else:
        array = np.asarray(value)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    flags = array.flags
    is_aligned = flags.aligned and (array.dtype != np.complex64 or array.ctypes.data % 8 == 0)
    if not flags.c_contiguous or not is_aligned:
        array = array.copy(order="C")
    return array


def _holds_float64(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (np.ndarray, np.generic))


def number_of(dtype: np.dtype[Any]) -> Optional[int]:
    """The element type that arrays of ``dtype`` have; None for texts and what ONNX lacks."""
    return _NUMBER_OF.get(dtype)


def _wrapped(array: np.ndarray, number: int) -> c_void_p:
    key = next(_lent_keys)
    _lent[key] = array
    out = c_void_p()
    try:
        lib.sl_tensor_wrap(
            number,
            _dims(array.shape),
            array.ndim,
            array.ctypes.data,
            array.nbytes,
            _give_back,
            key,
            byref(out),
        )
    except BaseException:
        _lent.pop(key, None)
        raise
    return out


def _copied(array: np.ndarray, number: int) -> c_void_p:
    out = c_void_p()
    data = array.__array_interface__["data"][0]
    lib.sl_tensor_create(
        number, _dims(array.shape), array.ndim, data, array.nbytes, byref(out)
    )
    return out


def new_handle(
    value: ArrayLike, copies_small: bool = False
) -> tuple[c_void_p, Optional[np.ndarray]]:
    """A new reference to a value, and the array whose memory it shares."""
    if isinstance(value, Tensor):
        lib.sl_value_retain(value._handle)
        return c_void_p(value._handle.value), value._lent
    if isinstance(value, dict):
        return _new_map(value if isinstance(value, Entries) else Entries(value)), None
    array = as_array(value)
    number = _NUMBER_OF.get(array.dtype)
    if number is not None:
        if copies_small and array.nbytes <= _SMALL:
            return _copied(array, number), None
        return _wrapped(array, number), array
    if array.dtype.kind in "OUS":
        return _strings_handle(array), None
    raise TypeMismatchError(f"arrays of {array.dtype} have no counterpart in ONNX")


class Entries(dict):  # type: ignore[type-arg]
    """A dict whose values have the element type ``dtype`` where it is known."""

    def __init__(self, entries: Mapping[Any, Any], dtype: Optional[str] = None) -> None:
        super().__init__(entries)
        self.dtype = dtype


def _new_map(entries: Entries) -> c_void_p:
    values = as_array(list(entries.values()))
    if entries.dtype not in (None, "str") and values.dtype.kind not in "OUS":
        values = values.astype(entries.dtype)
    keys = as_array(list(entries)) if entries else np.empty(0, np.str_)
    out = c_void_p()
    with Arguments([keys.astype(np.int64) if keys.dtype.kind in "iu" else keys, values]) as both:
        lib.sl_value_create_map(both.array[0], both.array[1], byref(out))
    return out


class Several(list):  # type: ignore[type-arg]
    """A list that means a sequence value, not one array."""


class Nothing:
    """Means an optional without content, where None means an argument that is left out."""


def new_sequence(values: Sequence[ArrayLike]) -> tuple[c_void_p, list[Optional[np.ndarray]]]:
    """A new reference to a sequence of values, and the arrays whose memory it shares."""
    out = c_void_p()
    with Arguments(values) as arguments:
        lib.sl_value_create_sequence(arguments.array, len(values), byref(out))
        return out, arguments.shared


# ---- Out of the library -------------------------------------------------------------------------


def _shape_of(handle: c_void_p) -> tuple[int, ...]:
    rank = c_size_t()
    lib.sl_tensor_rank(handle, byref(rank))
    dims = (c_int64 * rank.value)()
    lib.sl_tensor_dims(handle, dims, rank)
    return tuple(dims)


def _type_of(handle: c_void_p) -> int:
    number = c_int32()
    lib.sl_tensor_type(handle, byref(number))
    return number.value


def _read_strings(handle: c_void_p, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype=object)
    buffer = ctypes.create_string_buffer(256)
    length = c_size_t()
    flat = array.reshape(-1)
    for index in range(flat.size):
        try:
            lib.sl_tensor_string(handle, index, buffer, len(buffer), byref(length))
        except ShapeError:
            buffer = ctypes.create_string_buffer(length.value + 1)
            lib.sl_tensor_string(handle, index, buffer, len(buffer), byref(length))
        flat[index] = buffer.raw[: length.value].decode()
    return array


class Tensor:
    """A dense array that the library holds.

    ``numpy.asarray(tensor)`` and DLPack share its memory. Sessions and operators take tensors and
    NumPy arrays alike; a tensor spares the look at an array when the same one is passed often.

    Parameters
    ----------
    array : array_like
        The elements. A C-contiguous, aligned array in native byte order is shared and must not
        change while the tensor lives; anything else is copied.
    dtype : str, optional
        An element type to convert to. For types that NumPy itself does not know, such as
        ``"bfloat16"`` and ``"int4"``, an array of unsigned integers of the same size holds the bits.

    Examples
    --------
    >>> import numpy, stacklens
    >>> tensor = stacklens.Tensor(numpy.arange(6, dtype="float32").reshape(2, 3))
    >>> tensor.shape, tensor.dtype
    ((2, 3), 'float32')
    >>> numpy.asarray(tensor.reshape(3, -1)).shape
    (3, 2)
    """

    __slots__ = ("__weakref__", "_finalizer", "_handle", "_lent", "_number", "shape")

    shape: tuple[int, ...]

    def __init__(self, array: ArrayLike, dtype: Optional[str] = None) -> None:
        source = array if isinstance(array, Tensor) else as_array(array)
        if dtype is not None and dtype not in _TYPES:
            raise TypeMismatchError(f"there is no element type '{dtype}'")
        number = _TYPES.get(dtype or "")
        if number in _EXTENSIONS and getattr(source, "dtype", None) == _STORED[number]:
            handle: c_void_p = _wrapped(source, number)
            lent: Optional[np.ndarray] = source
        else:
            if number not in (None, STRING):
                wanted = _EXTENSIONS[number] if number in _EXTENSIONS else _STORED[number]
                if wanted is None:
                    raise UnsupportedError(f"converting to {dtype} needs the package ml_dtypes")
                source = np.asarray(source).astype(wanted, copy=False)
            handle, lent = new_handle(source)
        self._adopt(handle, lent)

    @classmethod
    def _owning(cls, handle: c_void_p, lent: Optional[np.ndarray] = None) -> Tensor:
        tensor = cls.__new__(cls)
        tensor._adopt(handle, lent)
        return tensor

    @classmethod
    def _described(cls, handle: c_void_p, about: _native.Description) -> np.ndarray:
        """A writable array over a tensor that the library has described, which it owns."""
        tensor = cls.__new__(cls)
        tensor._hold(handle, None)
        tensor._number = about.type
        tensor.shape = tuple(about.dims[: about.rank])
        return np.asarray(_Memory(tensor, about.data, True))

    def _adopt(self, handle: c_void_p, lent: Optional[np.ndarray]) -> None:
        self._hold(handle, lent)
        self._number = _type_of(handle)
        self.shape = _shape_of(handle)

    def _hold(self, handle: c_void_p, lent: Optional[np.ndarray]) -> None:
        self._handle, self._lent = handle, lent
        self._finalizer = weakref.finalize(self, lib.sl_value_release, c_void_p(handle.value))

    @property
    def dtype(self) -> str:
        """The element type: ``"float32"``, ``"bfloat16"``, ``"str"`` ..."""
        return TYPE_NAMES[self._number]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def _data(self) -> int:
        data, count = c_void_p(), c_size_t()
        lib.sl_tensor_data(self._handle, byref(data), byref(count))
        return data.value or 0

    def reshape(self, *shape: Union[int, Sequence[int]]) -> Tensor:
        """The same elements under another shape, without a copy; one extent may be -1."""
        extents = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        out = c_void_p()
        lib.sl_tensor_reshape(self._handle, _dims(extents), len(extents), byref(out))  # type: ignore[arg-type]
        return Tensor._owning(out, self._lent)

    def numpy(self, writable: bool = False) -> np.ndarray:
        """The elements as an array, shared where the type allows; texts are copied.

        Parameters
        ----------
        writable : bool
            Let the shared array be written to. Only for memory that nothing else reads.
        """
        if self._number == STRING:
            return _read_strings(self._handle, self.shape)
        if self.size == 0:
            array = np.empty(self.shape, dtype=_STORED[self._number])
        else:
            array = np.asarray(_Memory(self, self._data(), writable))
        extension = _EXTENSIONS.get(self._number)
        return array if extension is None else array.view(extension)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"an array of {dtype} needs a copy of this {self.dtype} tensor")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        managed = c_void_p()
        lib.sl_tensor_to_dlpack(self._handle, byref(managed))
        return _dlpack.capsule(managed)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Tensor(shape={self.shape}, dtype={self.dtype!r})"


class _Memory:
    """The memory of a tensor in the form that NumPy shares; the array's base."""

    __slots__ = ("__array_interface__", "_tensor")

    def __init__(self, tensor: Tensor, address: int, writable: bool) -> None:
        self._tensor = tensor
        self.__array_interface__ = {
            "version": 3,
            "shape": tensor.shape,
            "typestr": _STORED[tensor._number].str,
            "data": (address, not writable),
        }


def from_dlpack(source: Any) -> Tensor:
    """A tensor over the memory of another library's array.

    Contiguous memory is shared, other layouts are copied.

    Parameters
    ----------
    source : object
        Anything with ``__dlpack__`` on the CPU: a NumPy array, a PyTorch tensor ...

    Examples
    --------
    >>> import numpy, stacklens
    >>> stacklens.from_dlpack(numpy.ones((2, 2), dtype="float32"))
    Tensor(shape=(2, 2), dtype='float32')
    """
    if not hasattr(source, "__dlpack__"):
        raise TypeMismatchError(f"{type(source).__name__} has no __dlpack__")
    out = c_void_p()
    with _dlpack.taken(source.__dlpack__()) as managed:
        lib.sl_tensor_from_dlpack(managed, byref(out))
    return Tensor._owning(out)


def _overlaps(array: np.ndarray, others: Sequence[Optional[np.ndarray]]) -> bool:
    return any(other is not None and np.may_share_memory(array, other) for other in others)


def take_value(handle: c_void_p, shared: Sequence[Optional[np.ndarray]] = ()) -> Value:
    """A reference from the library as a Python value.

    A tensor becomes a writable array over the library's memory, or a copy where that memory is one
    of the arrays in ``shared``; a sequence a list; a map a dict; nothing ``None``.
    """
    kind = c_int32()
    try:
        lib.sl_value_kind(handle, byref(kind))
        if kind.value == _KIND_TENSOR:
            owned, handle = handle, c_void_p()
            array = Tensor._owning(owned).numpy(writable=True)
            return array.copy() if _overlaps(array, shared) else array
        if kind.value == _KIND_SEQUENCE:
            return _take_sequence(handle, shared)
        if kind.value == _KIND_MAP:
            return _take_map(handle, shared)
        return None
    finally:
        lib.sl_value_release(handle)


def _take_sequence(handle: c_void_p, shared: Sequence[Optional[np.ndarray]]) -> list[Value]:
    count = c_size_t()
    lib.sl_value_count(handle, byref(count))
    values: list[Value] = []
    elements = (c_void_p * _AT_ONCE)()
    while len(values) < count.value:
        next_ones = min(_AT_ONCE, count.value - len(values))
        lib.sl_value_elements(handle, len(values), next_ones, elements)
        values += take_values(elements, next_ones, shared)
    return values


def _take_map(
    handle: c_void_p, shared: Sequence[Optional[np.ndarray]]
) -> dict[Union[int, str], Any]:
    keys, values = c_void_p(), c_void_p()
    lib.sl_value_map(handle, byref(keys), byref(values))
    names, contents = take_value(keys, shared), take_value(values, shared)
    return dict(zip(names.tolist(), contents.tolist()))  # type: ignore[union-attr]


class Arguments:
    """References to values for the length of one call.

    Used as a context manager; ``array`` is what C functions take, ``shared`` the arrays whose
    memory the library looks at.
    """

    def __init__(self, values: Sequence[ArrayLike]) -> None:
        self.array = (c_void_p * max(len(values), 1))()
        self.shared: list[Optional[np.ndarray]] = []
        self._values = values

    def __enter__(self) -> Arguments:
        try:
            for index, value in enumerate(self._values):
                if isinstance(value, Several):
                    handle, lents = new_sequence(value)
                    self.array[index] = handle.value
                    self.shared += lents
                elif isinstance(value, Nothing):
                    handle = c_void_p()
                    lib.sl_value_create_none(byref(handle))
                    self.array[index] = handle.value
                elif value is not None:
                    handle, lent = new_handle(value, copies_small=True)
                    self.array[index] = handle.value
                    self.shared.append(lent)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self.array:
            if handle:
                lib.sl_value_release(handle)


def take_values(
    handles: Any, count: int, shared: Sequence[Optional[np.ndarray]] = ()
) -> list[Value]:
    """The outputs of a call as Python values."""
    values: list[Value] = []
    descriptions = (_native.Description * max(count, 1))()
    try:
        lib.sl_values_describe(handles, count, descriptions)
        for index in range(count):
            about = descriptions[index]
            dtype = _PLAIN.get(about.type)
            if dtype is not None and about.byte_count <= _SMALL and about.rank <= 8:
                content = bytearray(ctypes.string_at(about.data, about.byte_count))
                array = np.ndarray(about.dims[: about.rank], dtype, content)
                lib.sl_value_release(handles[index])
                handles[index] = None
                values.append(array)
                continue
            owned, handles[index] = handles[index], None
            if dtype is not None and about.rank <= 8:
                array = Tensor._described(c_void_p(owned), about)
                values.append(array.copy() if _overlaps(array, shared) else array)
            else:
                values.append(take_value(c_void_p(owned), shared) if owned else None)
    finally:
        for index in range(len(values), count):
            lib.sl_value_release(handles[index])
    return values


def pointer_to(array: np.ndarray, kind: Any) -> Any:
    """The memory of an array as a ctypes pointer; the array must outlive its use."""
    return array.ctypes.data_as(POINTER(kind))


def checked_names(names: Sequence[str], what: str) -> list[bytes]:
    """Names as the library takes them."""
    if isinstance(names, str):
        raise InvalidArgumentError(f"{what} must be a sequence of names, found the text '{names}'")
    return [_native.name_bytes(name, what) for name in names]
