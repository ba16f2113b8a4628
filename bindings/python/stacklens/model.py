"""ONNX models as objects: read, look at, check, write."""

from __future__ import annotations

import ctypes
import os
import weakref
from ctypes import byref, c_void_p
from typing import Optional, Union

from . import _native
from ._native import lib

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
    def load(cls, path: Union[str, os.PathLike[str]]) -> Model:
        """Reads an ONNX file of opset 7 and up; external data must lie inside the file's folder.

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

    def save(self, path: Union[str, os.PathLike[str]], opset: Optional[int] = None) -> None:
        """Writes an ONNX file, whole or not at all.

        Parameters
        ----------
        path : path
            The file to write or replace.
        opset : int, optional
            Version of the default operator set; 17 unless given.

        Raises
        ------
        UnsupportedError
            Naming the node, where that opset cannot express the model.
        """
        lib.sl_model_save(self._handle, _native.path_bytes(path), _native.opset_number(opset))

    def to_bytes(self, opset: Optional[int] = None) -> bytes:
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
