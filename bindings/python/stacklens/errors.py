"""The exceptions of this package: a base class, and a subclass for each status of the library."""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "CancelledError",
    "FormatError",
    "InternalError",
    "InvalidArgumentError",
    "IoError",
    "LimitExceededError",
    "NonFiniteError",
    "NotFittedError",
    "OutOfMemoryError",
    "ShapeError",
    "StackLensError",
    "Status",
    "TypeMismatchError",
    "UnsupportedError",
]


class Status(IntEnum):
    """What came of a call, with the numbers of ``sl_status`` in ``stacklens.h``."""

    OK = 0
    INVALID_ARGUMENT = 1
    SHAPE_MISMATCH = 2
    NON_FINITE = 3
    NOT_FITTED = 4
    UNSUPPORTED = 5
    FORMAT_ERROR = 6
    IO_ERROR = 7
    OUT_OF_MEMORY = 8
    TYPE_MISMATCH = 9
    CANCELLED = 10
    LIMIT_EXCEEDED = 11
    INTERNAL_ERROR = 12


class StackLensError(Exception):
    """The base of all errors of this package.

    Attributes
    ----------
    status : Status
        What went wrong, for programs.
    message : str
        What went wrong, for people: the library's own words.
    """

    status: Status = Status.INTERNAL_ERROR

    def __init__(self, message: str, status: Status | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status

    def __str__(self) -> str:
        return self.message


class InvalidArgumentError(StackLensError, ValueError):
    """A value outside its range, an unknown name, or a closed object."""

    status = Status.INVALID_ARGUMENT


class ShapeError(StackLensError, ValueError):
    """Ranks or extents that do not fit."""

    status = Status.SHAPE_MISMATCH


class NonFiniteError(StackLensError, ValueError):
    """NaN or infinity where numbers are required."""

    status = Status.NON_FINITE


class NotFittedError(StackLensError, ValueError):
    """Used before it was fitted or loaded."""

    status = Status.NOT_FITTED


class UnsupportedError(StackLensError, NotImplementedError):
    """Valid, but not something this library does."""

    status = Status.UNSUPPORTED


class FormatError(StackLensError, ValueError):
    """A file or buffer that breaks its format."""

    status = Status.FORMAT_ERROR


class IoError(StackLensError, OSError):
    """The system refused to read or write."""

    status = Status.IO_ERROR


class OutOfMemoryError(StackLensError, MemoryError):
    """Memory could not be had."""

    status = Status.OUT_OF_MEMORY


class TypeMismatchError(StackLensError, TypeError):
    """Another element type or kind of value than required."""

    status = Status.TYPE_MISMATCH


class CancelledError(StackLensError):
    """Ended by a cancellation or by a callback."""

    status = Status.CANCELLED


class LimitExceededError(StackLensError, RuntimeError):
    """A configured limit, such as the memory limit, was reached."""

    status = Status.LIMIT_EXCEEDED


class InternalError(StackLensError, RuntimeError):
    """A defect of the library: please report it."""

    status = Status.INTERNAL_ERROR


_CLASSES: dict[int, type[StackLensError]] = {
    int(cls.status): cls for cls in StackLensError.__subclasses__()
}


def error_for(status: int, message: str) -> StackLensError:
    """The exception of a status."""
    cls = _CLASSES.get(status, InternalError)
    return cls(message or f"the library reported status {status}")
