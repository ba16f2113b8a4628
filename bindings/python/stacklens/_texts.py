"""Texts as the library takes them: one block of bytes with a table of places."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, Union

import numpy as np

from . import _native
from .errors import TypeMismatchError
from .tensor import encoded

AnyText = Union[str, bytes]
_FEW = 8  # texts for which ctypes is quicker than NumPy


class TextTable:
    """An array of ``sl_text``; ``pointer`` is valid as long as the table lives."""

    def __init__(self, texts: Iterable[AnyText]) -> None:
        if isinstance(texts, (str, bytes)):
            raise TypeMismatchError("expected several texts, found one")
        pieces = [encoded(text) for text in texts]
        self.count = len(pieces)
        self.pointer: Any
        if self.count <= _FEW:
            # ctypes keeps the pieces alive with the array.
            self.pointer = (_native.Text * max(self.count, 1))()
            for entry, piece in zip(self.pointer, pieces):
                entry.bytes, entry.byte_count = piece, len(piece)
            return
        self._bytes = b"".join(pieces)
        base = ctypes.cast(ctypes.c_char_p(self._bytes), ctypes.c_void_p).value or 0
        self._places = np.zeros((self.count, 2), dtype=np.uint64)
        lengths = np.fromiter(map(len, pieces), dtype=np.uint64, count=self.count)
        self._places[:, 1] = lengths
        self._places[:, 0] = np.uint64(base) + (np.cumsum(lengths, dtype=np.uint64) - lengths)
        self.pointer = self._places.ctypes.data_as(_native.texts)

    def __getitem__(self, index: int) -> _native.Text:
        """One entry as a structure."""
        return self.pointer[index]
