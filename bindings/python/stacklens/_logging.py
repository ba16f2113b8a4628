"""The library's messages in Python's logging."""

from __future__ import annotations

import logging
from typing import Any, Callable, Optional

from . import _native

LogFunction = Callable[[int, str], None]

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
_logger = logging.getLogger("stacklens")


def callback(log: Optional[LogFunction]) -> Any:
    """A C callback that calls ``log(level, message)``, by default the logger ``stacklens``.

    Levels are those of the logging module. The callback must outlive the object that uses it.
    """
    receive = log if log is not None else _logger.log

    def forward(level: int, message: bytes, _: Optional[int]) -> None:
        known = _LEVELS[level] if 0 <= level < len(_LEVELS) else logging.ERROR
        receive(known, message.decode("utf-8", "replace"))

    return _native.log_callback(forward)
