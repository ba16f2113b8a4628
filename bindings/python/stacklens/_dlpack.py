"""DLPack capsules: Python objects that carry a `DLManagedTensor *` from one library to another."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from ctypes import (
    CFUNCTYPE,
    POINTER,
    PYFUNCTYPE,
    Structure,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint64,
    c_void_p,
    py_object,
)
from typing import Any

_NAME, _USED = b"dltensor", b"used_dltensor"


class _DLTensor(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class _DLManagedTensor(Structure):
    _fields_ = [
        ("dl_tensor", _DLTensor),
        ("manager_ctx", c_void_p),
        ("deleter", CFUNCTYPE(None, c_void_p)),
    ]


_python = ctypes.pythonapi
_destructor_type = PYFUNCTYPE(None, c_void_p)
_new = _python.PyCapsule_New
_new.restype, _new.argtypes = py_object, [c_void_p, c_char_p, c_void_p]
_set_name = _python.PyCapsule_SetName
_set_name.restype, _set_name.argtypes = c_int, [py_object, c_char_p]
_is_valid = _python.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = c_int, [py_object, c_char_p]
_pointer = _python.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = c_void_p, [py_object, c_char_p]

# The same functions for a capsule that is being destroyed: its reference count must stay as it is.
_raw_is_valid = PYFUNCTYPE(c_int, c_void_p, c_char_p)(("PyCapsule_IsValid", _python))
_raw_pointer = PYFUNCTYPE(c_void_p, c_void_p, c_char_p)(("PyCapsule_GetPointer", _python))


@_destructor_type
def _destroy(capsule: int) -> None:
    if _raw_is_valid(capsule, _NAME):
        _delete(_raw_pointer(capsule, _NAME))


def _delete(managed: int) -> None:
    deleter = ctypes.cast(managed, POINTER(_DLManagedTensor)).contents.deleter
    if deleter:
        deleter(managed)


def capsule(managed: c_void_p) -> Any:
    """A capsule that owns a `DLManagedTensor *` until a receiver takes it over."""
    return _new(managed, _NAME, ctypes.cast(_destroy, c_void_p))


@contextlib.contextmanager
def taken(source: Any) -> Iterator[int]:
    """The pointer in a capsule; the capsule is marked as used when the block succeeds."""
    if not _is_valid(source, _NAME):
        raise TypeError("expected a DLPack capsule that was not used yet")
    yield _pointer(source, _NAME)
    _set_name(source, _USED)
