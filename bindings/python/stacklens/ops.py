"""Operators called directly: ``stacklens.ops.<name>(inputs..., attributes=...)``.

Every operator of the library is a function of this module, in ONNX's spelling (``MatMul``) and in
Python's (``mat_mul`` or ``matmul``; ``and_``, ``or_``, ``not_`` and ``if_`` for words that Python
keeps). Inputs are positional, None for an optional one that is left out; attributes are keywords;
``outputs`` is the number of outputs wanted where it is not the usual one. One output is returned as
it is, several as a tuple.

Given a value of a model under construction (`stacklens.nn`), a function adds its operator to the model.

Examples
--------
>>> import numpy, stacklens
>>> stacklens.ops.add(numpy.float32([1, 2]), numpy.float32([10, 20]))
array([11., 22.], dtype=float32)
>>> values, indices = stacklens.ops.top_k(numpy.float32([3, 9, 5]), [2])
>>> values, indices
(array([9., 5.], dtype=float32), array([1, 2]))
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_char_p, c_float, c_int64, c_void_p
from typing import Any, Optional

import numpy as np

from . import _native
from ._native import lib
from ._symbol import Symbol
from .errors import InvalidArgumentError, TypeMismatchError
from .tensor import Arguments, ArrayLike, Tensor, Value, encoded, new_handle, take_values

# Operators whose callers want more than the first output.
_USUAL_OUTPUTS = {
    "DynamicQuantizeLinear": 3,
    "GRU": 2,
    "LSTM": 3,
    "LinearClassifier": 2,
    "RNN": 2,
    "SVMClassifier": 2,
    "TopK": 2,
    "TreeEnsembleClassifier": 2,
    "Unique": 4,
}


def run(
    name: str,
    *inputs: ArrayLike,
    domain: str = "",
    outputs: Optional[int] = None,
    **attributes: Any,
) -> Any:
    """Runs one operator in its newest form.

    Parameters
    ----------
    name : str
        The operator in ONNX's spelling.
    *inputs : array_like or None
        Inputs in order; None leaves an optional one out.
    domain : str
        The operator's domain, ``"ai.onnx.ml"`` for instance; "" is the default domain.
    outputs : int, optional
        How many outputs are wanted.
    **attributes
        Attributes by ONNX name: numbers, texts, lists of them, or an array for a tensor.

    Returns
    -------
    array or tuple of arrays
        A tuple where more than one output is wanted.
    """
    count = _output_count(name, inputs, attributes) if outputs is None else outputs
    if not 1 <= count <= 1 << 16:
        raise InvalidArgumentError(f"outputs is {count}, expected at least 1")
    symbol = next((value for value in inputs if isinstance(value, Symbol)), None)
    if symbol is not None:
        values = symbol._applied(name, domain, inputs, attributes, count)
    else:
        values = run_all(name, domain, inputs, attributes, count)
    return values[0] if count == 1 and (outputs is None or outputs == 1) else tuple(values)


def run_all(
    name: str,
    domain: str,
    inputs: Sequence[ArrayLike],
    attributes: dict[str, Any],
    count: int,
) -> list[Value]:
    """The first ``count`` outputs of an operator."""
    results = (c_void_p * count)()
    with AttributeSettings(attributes) as settings, Arguments(inputs) as arguments:
        lib.sl_op_run(
            _native.name_bytes(name, "the operator's name"),
            _native.name_bytes(domain, "domain"),
            arguments.array,
            len(inputs),
            settings,
            count,
            results,
        )
        return take_values(results, count, arguments.shared)


def _output_count(name: str, inputs: Sequence[ArrayLike], attributes: dict[str, Any]) -> int:
    if name == "Split":
        if len(inputs) > 1 and inputs[1] is not None:
            return int(np.size(inputs[1]))
        return int(attributes.get("num_outputs", 2))
    return _USUAL_OUTPUTS.get(name, 1)


class AttributeSettings:
    """Attributes as the library takes them, for the length of a call; None where there are none."""

    __slots__ = ("_attributes", "_settings")

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._settings: Optional[c_void_p] = None

    def __enter__(self) -> Optional[c_void_p]:
        if not self._attributes:
            return None
        self._settings = c_void_p()
        lib.sl_attributes_create(byref(self._settings))
        try:
            for name, value in self._attributes.items():
                if value is not None:
                    _set(self._settings, _native.name_bytes(name, "an attribute's name"), value)
        except BaseException:
            self.__exit__()
            raise
        return self._settings

    def __exit__(self, *_: Any) -> None:
        lib.sl_attributes_release(self._settings)


def _set(settings: c_void_p, name: bytes, value: Any) -> None:
    if isinstance(value, (Tensor, np.ndarray)):
        handle, _ = new_handle(value)
        try:
            lib.sl_attributes_set_tensor(settings, name, handle)
        finally:
            lib.sl_value_release(handle)
    elif isinstance(value, (bool, int, np.integer, np.bool_)):
        lib.sl_attributes_set_int(settings, name, _int64(value, name))
    elif isinstance(value, (float, np.floating)):
        lib.sl_attributes_set_float(settings, name, float(value))
    elif isinstance(value, (str, bytes)):
        lib.sl_attributes_set_string(settings, name, encoded(value))
    elif isinstance(value, (list, tuple)):
        _set_list(settings, name, value)
    else:
        raise TypeMismatchError(
            f"attribute '{name.decode()}' cannot be of type {type(value).__name__}"
        )


def _set_list(settings: c_void_p, name: bytes, values: Sequence[Any]) -> None:
    count = len(values)
    if all(isinstance(value, (int, np.integer)) for value in values):
        ints = (c_int64 * count)(*(_int64(value, name) for value in values))
        lib.sl_attributes_set_ints(settings, name, ints, count)
    elif all(isinstance(value, (str, bytes)) for value in values):
        texts = (c_char_p * count)(*map(encoded, values))
        lib.sl_attributes_set_strings(settings, name, texts, count)
    elif all(isinstance(value, (int, float, np.integer, np.floating)) for value in values):
        numbers = (c_float * count)(*map(float, values))
        lib.sl_attributes_set_floats(settings, name, numbers, count)
    else:
        raise TypeMismatchError(f"attribute '{name.decode()}' must list numbers or texts alone")


def _int64(value: Any, name: bytes) -> int:
    if not -(1 << 63) <= int(value) < 1 << 63:
        raise InvalidArgumentError(f"attribute '{name.decode()}' is {value}, beyond 64 bits")
    return int(value)


# ---- Names --------------------------------------------------------------------------------------


def _key(name: str) -> str:
    return name.replace("_", "").lower()


def snake_case(name: str) -> str:
    """An operator's name in Python's spelling: ``mat_mul`` for ``MatMul``."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", words).lower()
    return words + "_" if words in ("and", "or", "not", "if") else words


@functools.cache
def names() -> tuple[tuple[str, str], ...]:
    """Name and domain of every operator of the library."""
    return tuple(
        (lib.sl_op_name(index).decode(), lib.sl_op_domain(index).decode())
        for index in range(lib.sl_op_count())
    )


@functools.cache
def _by_key() -> dict[str, tuple[str, str]]:
    # The default domain wins a name that several domains have.
    ordered = sorted(names(), key=lambda entry: entry[1] not in ("", "ai.onnx"))
    found: dict[str, tuple[str, str]] = {}
    for name, domain in ordered:
        found.setdefault(_key(name), (name, domain))
    return found


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)
    entry = _by_key().get(_key(name))
    if entry is None:
        raise AttributeError(f"there is no operator '{name}'")
    operator, operator_domain = entry

    def function(*inputs: ArrayLike, outputs: Optional[int] = None, **attributes: Any) -> Any:
        return run(operator, *inputs, domain=operator_domain, outputs=outputs, **attributes)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Runs the ONNX operator {operator}; see the module's documentation."
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*globals(), *(snake_case(name) for name, _ in _by_key().values())})
