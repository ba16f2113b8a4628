"""ONNX models as objects: read, look at, check, write."""

from __future__ import annotations

import ctypes
import json
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_char_p, c_void_p
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import numpy as np

from . import _native
from ._native import lib
from .errors import InvalidArgumentError
from .tensor import TYPE_NAMES, Arguments, Tensor

if TYPE_CHECKING:
    from .session import ValueInfo

__all__ = ["Model", "ParameterInfo"]


@dataclass(frozen=True)
class ParameterInfo:
    """What a model says of one of its parameters.

    Attributes
    ----------
    name : str
    dtype : str
        The element type in NumPy's spelling.
    shape : tuple of int
    count : int
        The number of elements.
    trainable : bool
        Whether training changes it: it is not frozen, and no running statistic.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    count: int
    trainable: bool


class Model:
    """An ONNX model in memory. Immutable.

    Made by `Model.load`, `Model.from_bytes` or `stacklens.nn.build`; a `stacklens.Session` runs it, a
    `stacklens.Trainer` trains it. What changes a model (`freeze`, `attach`, `load_state_dict` ...)
    gives a new one.
    """

    def __init__(self) -> None:
        raise TypeError("use Model.load(path) or Model.from_bytes(data)")

    @classmethod
    def _owning(cls, handle: c_void_p) -> Model:
        model = cls.__new__(cls)
        model._handle = handle
        model._finalizer = weakref.finalize(model, lib.sl_model_release, c_void_p(handle.value))
        return model

    _handle: c_void_p
    _finalizer: weakref.finalize  # type: ignore[type-arg]

    @classmethod
    def _of(cls, source: ModelSource) -> Model:
        """A model however it is given: itself, its bytes or its path."""
        if isinstance(source, Model):
            return source
        if isinstance(source, (bytes, bytearray, memoryview)):
            return cls.from_bytes(source)
        return cls.load(source)

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> Model:
        """Reads an ONNX file of any opset; external data must lie inside the file's folder.

        Raises
        ------
        IoError, FormatError
            Where the file cannot be read or breaks its format.
        UnsupportedError
            With every operator that is unknown.
        """
        out = c_void_p()
        lib.sl_model_load(_native.path_bytes(path), byref(out))
        return cls._owning(out)

    @classmethod
    def from_bytes(
        cls, data: Union[bytes, bytearray, memoryview],
        folder: Optional[Union[str, os.PathLike[str]]] = None,
    ) -> Model:
        """Reads an ONNX model from memory.

        Parameters
        ----------
        data : bytes-like
            The encoded model.
        folder : path, optional
            Where external data lies; without it, external data is refused.
        """
        content = bytes(data)
        out = c_void_p()
        lib.sl_model_load_bytes(
            ctypes.cast(ctypes.c_char_p(content), c_void_p),
            len(content),
            None if folder is None else _native.path_bytes(folder),
            byref(out),
        )
        return cls._owning(out)

    def save(
        self,
        path: Union[str, os.PathLike[str]],
        opset: Union[int, Literal["auto"], None] = None,
        *,
        external_data: Optional[str] = None,
        threshold: int = 1024,
    ) -> None:
        """Writes an ONNX file, whole or not at all.

        Parameters
        ----------
        path : path
            The file to write or replace.
        opset : int or "auto", optional
            Version of the default operator set, 7 and up; 17 unless given. ``"auto"`` takes the
            lowest that can hold the model, from 17 and its own file's version upwards.
        external_data : str, optional
            Name of a file in the same folder that takes the weights; needed over 2 GiB. Both files
            are complete on the disk before they take their names.
        threshold : int
            Bytes from which on a weight goes into that file.

        Raises
        ------
        UnsupportedError
            Naming the node, where that opset cannot express the model.
        """
        target, number = _native.path_bytes(path), _native.opset_number(opset)
        if external_data is None:
            lib.sl_model_save(self._handle, target, number)
            return
        if threshold < 0:
            raise InvalidArgumentError(f"threshold must be at least 0, found {threshold}")
        name = _native.name_bytes(external_data, "external_data")
        lib.sl_model_save_external(self._handle, target, number, name, threshold)

    def to_bytes(self, opset: Union[int, Literal["auto"], None] = None) -> bytes:
        """The bytes that `save` would write."""
        out = c_void_p()
        lib.sl_model_encode(self._handle, _native.opset_number(opset), byref(out))
        return _native.take_bytes(out)

    def check(self) -> None:
        """Holds the model against the official ONNX checker (opset 17 and below).

        Raises
        ------
        StackLensError
            With the checker's finding.
        """
        lib.sl_model_check(self._handle)

    def describe(self) -> str:
        """A readable listing of the graph."""
        out = c_void_p()
        lib.sl_model_describe(self._handle, byref(out))
        return _native.take_bytes(out).decode()

    def infer(self) -> Model:
        """The model with the types of all inner values written down as far as they follow from its
        inputs; `save` writes them as ``value_info``.

        Raises
        ------
        TypeMismatchError, ShapeError
            Naming the node, where what follows contradicts what the model declares.
        """
        out = c_void_p()
        lib.sl_model_infer(self._handle, byref(out))
        return Model._owning(out)

    def value_types(self) -> dict[str, ValueInfo]:
        """The types of all values by name, as far as they follow from the model's inputs.

        An extent is a number, a text (a dimension that the model names, a formula of such names as
        ``"2*batch + 1"``, or a name of its own where several values share it) or None. Values of
        graphs inside are called ``"node.attribute/name"``.
        """
        out = c_void_p()
        lib.sl_model_value_types(self._handle, byref(out))
        entries = json.loads(_native.take_bytes(out))
        return {name: _value_info(name, entry) for name, entry in entries.items()}

    @property
    def inputs(self) -> tuple[ValueInfo, ...]:
        """The inputs that must be given, as the model declares them."""
        return self._interface("inputs")

    @property
    def outputs(self) -> tuple[ValueInfo, ...]:
        """The outputs, as the model declares them."""
        return self._interface("outputs")

    def _interface(self, side: str) -> tuple[ValueInfo, ...]:
        out = c_void_p()
        lib.sl_model_interface(self._handle, byref(out))
        entries = json.loads(_native.take_bytes(out))[side]
        return tuple(_value_info(entry["name"], entry) for entry in entries)

    def metadata(self, key: str) -> str:
        """The value of a metadata entry.

        Raises
        ------
        InvalidArgumentError
            Where there is no entry of that key.
        """
        out = c_void_p()
        lib.sl_model_metadata(self._handle, _native.name_bytes(key, "key"), byref(out))
        return _native.take_bytes(out).decode()

    # ---- Weights --------------------------------------------------------------------------------

    def parameters(self) -> list[ParameterInfo]:
        """What can be read and replaced by name: parameters, frozen ones and running statistics
        included, without the constants of the computation.

        Examples
        --------
        >>> from stacklens import nn
        >>> model = nn.build(nn.Linear(4, 2), nn.Input(("batch", 4)))
        >>> [(parameter.name, parameter.shape) for parameter in model.parameters()]
        [('weight', (2, 4)), ('bias', (2,))]
        """
        out = c_void_p()
        lib.sl_model_parameters(self._handle, byref(out))
        return [
            ParameterInfo(
                entry["name"], TYPE_NAMES[entry["type"]], tuple(entry["dims"]), entry["count"],
                entry["trainable"],
            )
            for entry in json.loads(_native.take_bytes(out))
        ]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and running statistics, by name."""
        return {parameter.name: self.parameter(parameter.name) for parameter in self.parameters()}

    def parameter(self, name: str) -> np.ndarray:
        """A copy of one parameter.

        Raises
        ------
        InvalidArgumentError
            Where there is none of that name, with names like it.
        """
        out = c_void_p()
        lib.sl_model_get_parameter(self._handle, _native.name_bytes(name, "name"), byref(out))
        return Tensor._owning(out).numpy().copy()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Model:
        """The model with other weights.

        Parameters
        ----------
        state_dict : dict of str to array_like
            As from `state_dict`, or a PyTorch module's; entries of other element types are
            converted.
        strict : bool
            Whether every parameter must be given and none that the model lacks.

        Raises
        ------
        InvalidArgumentError
            Naming what is missing and what is too much.
        ShapeError
            Naming a parameter whose values do not fit.
        """
        known = {parameter.name: parameter for parameter in self.parameters()}
        given = {name: value for name, value in state_dict.items() if name in known}
        if strict and (len(given) < len(known) or len(given) < len(state_dict)):
            raise InvalidArgumentError(
                "the state dict does not fit the model: "
                + "; ".join(
                    f"{word} {_shown(names)}"
                    for word, names in (
                        ("missing are", [name for name in known if name not in given]),
                        ("unknown are", [name for name in state_dict if name not in known]),
                    )
                    if names
                )
            )
        values = [_as_weights(value, known[name].dtype) for name, value in given.items()]
        names = [_native.name_bytes(name, "a parameter's name") for name in given]
        out = c_void_p()
        with Arguments(values) as arguments:
            lib.sl_model_set_parameters(
                self._handle, (c_char_p * max(len(names), 1))(*names), arguments.array,
                len(names), byref(out),
            )
        return Model._owning(out)

    def freeze(self, pattern: Union[str, Sequence[str]] = "*") -> Model:
        """The model with parameters that training leaves alone. Saved files remember them.

        Parameters
        ----------
        pattern : str or sequence of str
            Names; ``*`` stands for any characters, ``?`` for one, ``[0-3]`` for one of a set:
            ``"encoder.layer.[0-3].*"``.

        Raises
        ------
        InvalidArgumentError
            Where no parameter has such a name.
        """
        return self._by_patterns(lib.sl_model_freeze, pattern)

    def thaw(self, pattern: Union[str, Sequence[str]] = "*") -> Model:
        """The model with parameters that training changes again; patterns as in `freeze`."""
        return self._by_patterns(lib.sl_model_thaw, pattern)

    def _by_patterns(self, function: Any, patterns: Union[str, Sequence[str]]) -> Model:
        model = self
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            out = c_void_p()
            function(model._handle, _native.name_bytes(pattern, "pattern"), byref(out))
            model = Model._owning(out)
        return model

    def attach(
        self,
        head: Callable[..., Any],
        output: Union[str, Sequence[str], None] = None,
        name: Union[str, Sequence[str], None] = None,
        *,
        scope: str = "head",
        keep_outputs: bool = False,
        seed: int = 42,
    ) -> Model:
        """The model with a head on it.

        Parameters
        ----------
        head : Module or function
            Called with the values that ``output`` names; what it gives are the new outputs.
        output : str or sequence of str, optional
            Outputs, inputs or inner values of the model; its only output unless given.
        name : str or sequence of str, optional
            Names of the new outputs, after ``scope`` unless given.
        scope : str
            What the names of the head's parameters start with.
        keep_outputs : bool
            Whether the model's own outputs stay, behind the new ones.
        seed : int
            What the initial values of the head's parameters follow from.

        Examples
        --------
        >>> from stacklens import nn
        >>> trunk = nn.build(nn.Linear(4, 8), nn.Input(("batch", 4)), outputs="features")
        >>> model = trunk.attach(nn.Linear(8, 3), name="logits")
        >>> [parameter.name for parameter in model.parameters()]
        ['weight', 'bias', 'head.weight', 'head.bias']
        """
        from .nn._attach import attached

        return attached(
            self, head, output, name, scope=scope, keep_outputs=keep_outputs, seed=seed
        )


def _value_info(name: str, entry: Mapping[str, Any]) -> ValueInfo:
    from .session import ValueInfo

    dims = entry["dims"]
    return ValueInfo(
        name, TYPE_NAMES.get(entry["type"]), None if dims is None else tuple(dims), entry["kind"]
    )


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _as_weights(value: Any, dtype: str) -> Any:
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "detach"):  # a PyTorch tensor that gradients flow to has no array
        value = value.detach()
    array = np.asarray(value)
    return array if array.dtype.name == dtype else array.astype(dtype)


ModelSource = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, Model]
