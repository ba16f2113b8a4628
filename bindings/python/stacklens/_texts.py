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


class TextTable:
    """An array of ``sl_text``; ``pointer`` is valid as long as the table lives."""

    def __init__(self, texts: Iterable[AnyText]) -> None:
        if isinstance(texts, (str, bytes)):
            raise TypeMismatchError("expected several texts, found one")
        pieces = [encoded(text) for text in texts]
        self.count = len(pieces)
        self._bytes = b"".join(pieces)
        base = ctypes.cast(ctypes.c_char_p(self._bytes), ctypes.c_void_p).value or 0
        self._places = np.zeros((max(self.count, 1), 2), dtype=np.uint64)
        lengths = np.fromiter(map(len, pieces), dtype=np.uint64, count=self.count)
        self._places[: self.count, 1] = lengths
        if self.count:
            ends = np.cumsum(lengths, dtype=np.uint64)
            self._places[: self.count, 0] = np.uint64(base) + (ends - lengths)

    @property
    def pointer(self) -> Any:
        return self._places.ctypes.data_as(_native.texts)

    def __getitem__(self, index: int) -> _native.Text:
        """One entry as a structure."""
        place, count = self._places[index].tolist()
        return _native.Text(place, count)
