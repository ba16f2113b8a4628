"""A model under construction, as the library keeps it."""

from __future__ import annotations

import ctypes
import json
import weakref
from collections.abc import Mapping, Sequence
from ctypes import byref, c_char_p, c_int64, c_void_p
from typing import Any, Optional, Union

import numpy as np

from .. import _native
from .._native import lib
from .._options import json_bytes
from ..errors import InvalidArgumentError, TypeMismatchError
from ..model import Model
from ..ops import AttributeSettings
from ..session import ValueInfo
from ..tensor import TYPE_NAMES, Tensor, new_handle

Shape = Sequence[Union[int, str, None]]

_TYPE_NUMBERS = {name: number for number, name in TYPE_NAMES.items()}
_UNKNOWN_RANK = ctypes.c_size_t(-1).value


class Graph:
    """A graph to which values are added by name.

    Parameters
    ----------
    name : str
    seed : int
        What the initial values of parameters follow from.
    origin : Model, optional
        A model to go on with: its values can be read by their names.
    """

    def __init__(self, name: str = "model", seed: int = 42, origin: Optional[Model] = None) -> None:
        if not 0 <= seed < 1 << 64:
            raise InvalidArgumentError(f"seed is {seed}, expected a number from 0 to 2**64 - 1")
        self._handle = c_void_p()
        if origin is None:
            lib.sl_graph_create(_native.name_bytes(name, "name"), seed, byref(self._handle))
        else:
            lib.sl_graph_continue(origin._handle, seed, byref(self._handle))
        self._finalizer = weakref.finalize(
            self, lib.sl_graph_release, c_void_p(self._handle.value)
        )

    def input(self, name: str, dtype: Any, shape: Optional[Shape]) -> str:
        """Declares an input."""
        extents, names = [], []
        for extent in shape or ():
            is_fixed = isinstance(extent, (int, np.integer)) and not isinstance(extent, bool)
            if not (is_fixed or extent is None or isinstance(extent, str)):
                raise InvalidArgumentError(
                    f"input '{name}': an extent is {extent!r}, expected a number, a name or None"
                )
            if is_fixed and not 0 <= extent < 1 << 63:  # type: ignore[operator]
                raise InvalidArgumentError(f"input '{name}': the extent {extent} is out of range")
            extents.append(int(extent) if is_fixed else -1)  # type: ignore[arg-type]
            names.append(extent.encode() if isinstance(extent, str) else b"")
        count = len(extents)
        lib.sl_graph_input(
            self._handle,
            _native.name_bytes(name, "an input's name"),
            type_number(dtype),
            (c_int64 * max(count, 1))(*extents),
            (c_char_p * max(count, 1))(*names),
            _UNKNOWN_RANK if shape is None else count,
        )
        return name

    def constant(self, array: Any) -> str:
        """Adds an array that is never trained."""
        handle, out = _own_copy(array), c_char_p()
        try:
            lib.sl_graph_constant(self._handle, handle, byref(out))
        finally:
            lib.sl_value_release(handle)
        return _text(out)

    def weights(self, name: str, array: Any) -> str:
        """Adds a parameter with the values it has at first."""
        handle, out = _own_copy(array), c_char_p()
        try:
            lib.sl_graph_weights(
                self._handle, _native.name_bytes(name, "a parameter's name"), handle, byref(out)
            )
        finally:
            lib.sl_value_release(handle)
        return _text(out)

    def parameter(self, name: str, shape: Sequence[int], initializer: Mapping[str, Any]) -> str:
        """Adds a parameter whose initial values an initialiser makes."""
        out = c_char_p()
        lib.sl_graph_parameter(
            self._handle,
            _native.name_bytes(name, "a parameter's name"),
            (c_int64 * max(len(shape), 1))(*shape),
            len(shape),
            json_bytes(initializer, "initializer"),
            byref(out),
        )
        return _text(out)

    def op(
        self,
        operator: str,
        inputs: Sequence[Optional[str]],
        attributes: Mapping[str, Any],
        domain: str = "",
        outputs: int = 1,
    ) -> list[str]:
        """Adds a node."""
        out = (c_char_p * max(outputs, 1))()
        with AttributeSettings(attributes) as settings:
            lib.sl_graph_op(
                self._handle,
                _native.name_bytes(operator, "the operator's name"),
                _native.name_bytes(domain, "domain"),
                _names(inputs),
                len(inputs),
                settings,
                outputs,
                out,
            )
        return [_text(name) for name in out[:outputs]]

    def layer(
        self, layer: str, scope: str, options: Mapping[str, Any], inputs: Sequence[Optional[str]]
    ) -> list[str]:
        """Adds a layer with its parameters, whose names start with ``scope``."""
        out, count = (c_char_p * 16)(), ctypes.c_size_t()
        lib.sl_graph_layer(
            self._handle,
            _native.name_bytes(layer, "the layer's name"),
            _native.name_bytes(scope, "scope"),
            json_bytes(options, "options"),
            _names(inputs),
            len(inputs),
            out,
            len(out),
            byref(count),
        )
        return [_text(name) for name in out[: count.value]]

    def info(self, name: str) -> ValueInfo:
        """What is known of a value."""
        out = c_void_p()
        lib.sl_graph_value(self._handle, _native.name_bytes(name, "a value's name"), byref(out))
        entry = json.loads(_native.take_bytes(out))
        dims = entry["dims"]
        return ValueInfo(
            name, TYPE_NAMES.get(entry["type"]), None if dims is None else tuple(dims),
            entry["kind"],
        )

    def output(self, value: str, name: str) -> None:
        """Declares a value as an output."""
        lib.sl_graph_output(
            self._handle, _native.name_bytes(value, "a value's name"),
            _native.name_bytes(name, "an output's name"),
        )

    def remove_output(self, name: str) -> None:
        """Makes an output an inner value again."""
        lib.sl_graph_remove_output(self._handle, _native.name_bytes(name, "an output's name"))

    def model(self) -> Model:
        """The model so far."""
        out = c_void_p()
        lib.sl_graph_model(self._handle, byref(out))
        return Model._owning(out)


def type_number(dtype: Any) -> int:
    """An element type's number from its name, a NumPy type or a Python type."""
    if isinstance(dtype, str) and dtype in _TYPE_NUMBERS:
        return _TYPE_NUMBERS[dtype]
    if dtype is float:
        return _TYPE_NUMBERS["float32"]
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    number = _TYPE_NUMBERS.get("str" if name.startswith(("str", "object")) else name)
    if number is None:
        raise TypeMismatchError(f"there is no element type {dtype!r}")
    return number


def _own_copy(array: Any) -> c_void_p:
    """A reference to a tensor that nobody else writes to."""
    source = array if isinstance(array, Tensor) else np.array(array, copy=True)
    if isinstance(source, np.ndarray) and source.dtype == np.float64 and not _is_float64(array):
        source = source.astype(np.float32)
    return new_handle(source)[0]


def _is_float64(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype == np.float64


def _names(names: Sequence[Optional[str]]) -> Any:
    return (c_char_p * max(len(names), 1))(*(name and name.encode() for name in names))


def _text(name: Any) -> str:
    content = name if isinstance(name, bytes) else name.value
    return (content or b"").decode()
