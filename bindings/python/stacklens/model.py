"""ONNX models as objects: read, look at, check, write."""

from __future__ import annotations

import ctypes
import json
import os
import weakref
from ctypes import byref, c_void_p
from typing import TYPE_CHECKING, Literal, Optional, Union

from . import _native
from ._native import lib
from .errors import InvalidArgumentError
from .tensor import TYPE_NAMES

if TYPE_CHECKING:
    from .session import ValueInfo

__all__ = ["Model"]


class Model:
    """An ONNX model in memory. Immutable.

    Made by `Model.load` or `Model.from_bytes`; a `stacklens.Session` runs it.
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
        from .session import ValueInfo

        out = c_void_p()
        lib.sl_model_value_types(self._handle, byref(out))
        entries = json.loads(_native.take_bytes(out))
        return {
            name: ValueInfo(
                name,
                TYPE_NAMES.get(entry["type"]),
                None if entry["dims"] is None else tuple(entry["dims"]),
                entry["kind"],
            )
            for name, entry in entries.items()
        }

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


ModelSource = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, Model]
