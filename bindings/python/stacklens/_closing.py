"""What sessions and embedders have in common: an object of the library that can be given back early."""

from __future__ import annotations

import weakref
from ctypes import c_void_p
from types import TracebackType
from typing import ClassVar, Optional, TypeVar

from .errors import InvalidArgumentError

Self = TypeVar("Self", bound="Closing")


class Closing:
    """Ends with `close`, with the block that it is the context of, or with its last reference."""

    _handle: Optional[c_void_p]
    _finalizer: weakref.finalize  # type: ignore[type-arg]
    _name: ClassVar[str]

    def _live(self) -> c_void_p:
        if self._handle is None:
            raise InvalidArgumentError(f"the {self._name} is closed")
        return self._handle

    def close(self) -> None:
        """Gives the memory back; what is in progress ends first."""
        self._handle = None
        self._finalizer()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()
