"""A progress bar on the terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 30


class ProgressBar:
    """Shows ``label [####----] 512/1024  830/s  1s left`` on stderr while it is a terminal.

    Parameters
    ----------
    total : int
        Steps in all.
    label : str
        Shown in front.
    stream : text file, optional
        Where to draw; stderr unless given. Nothing is drawn where it is no terminal.
    """

    def __init__(self, total: int, label: str = "", stream: TextIO | None = None) -> None:
        self._total, self._label = total, label
        self._stream = stream if stream is not None else sys.stderr
        self._is_shown = self._stream.isatty() and total > 0
        self._start = time.monotonic()
        self._drawn = 0.0

    def update(self, done: int) -> None:
        """Draws the state, ten times a second at most."""
        now = time.monotonic()
        if self._is_shown and (done >= self._total or now - self._drawn >= 0.1):
            self._drawn = now
            self._stream.write("\r" + self.line(done, now - self._start) + "\x1b[K")
            self._stream.flush()

    def line(self, done: int, seconds: float) -> str:
        """The state as text."""
        filled = _WIDTH * min(done, self._total) // self._total
        bar = "#" * filled + "-" * (_WIDTH - filled)
        rate = done / seconds if seconds > 0 else 0.0
        left = f"{(self._total - done) / rate:.0f}s left" if rate > 0 else ""
        return f"{self._label} [{bar}] {done}/{self._total}  {rate:.0f}/s  {left}".strip()

    def close(self) -> None:
        """Ends the line."""
        if self._is_shown:
            self._stream.write("\n")
            self._stream.flush()
