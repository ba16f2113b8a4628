"""A progress bar on the terminal and in notebooks."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 30


def is_shown_on(stream: TextIO) -> bool:
    """Whether somebody watches a stream: it is a terminal, or the output of a notebook's cell."""
    return stream.isatty() or _is_notebook()


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    instance = None if shell is None else shell.get_ipython()
    return type(instance).__name__ == "ZMQInteractiveShell"


class ProgressBar:
    """Shows ``label [####----] 512/1024  830/s  1s left`` on stderr while somebody watches it.

    Parameters
    ----------
    total : int or None
        Steps in all, None where that is not known; nothing is drawn where there are none.
    label : str
        Shown in front.
    stream : text file, optional
        Where to draw; stderr unless given. Nothing is drawn where it is neither a terminal nor the
        output of a notebook's cell.
    """

    def __init__(self, total: int | None, label: str = "", stream: TextIO | None = None) -> None:
        self._total, self._label = total, label
        self._stream = stream if stream is not None else sys.stderr
        self._is_shown = total != 0 and is_shown_on(self._stream)
        self._start = time.monotonic()
        self._drawn = 0.0
        self._length = 0

    def update(self, done: int, note: str = "") -> None:
        """Draws the state, ten times a second at most, with a note behind it."""
        now = time.monotonic()
        is_last = self._total is not None and done >= self._total
        if self._is_shown and (is_last or now - self._drawn >= 0.1):
            self._drawn = now
            self._draw(f"{self.line(done, now - self._start)}  {note}".rstrip())

    def _draw(self, text: str) -> None:
        # Spaces over what was longer before: notebooks know no other way to clear a line.
        self._stream.write("\r" + text.ljust(self._length))
        self._stream.flush()
        self._length = len(text)

    def line(self, done: int, seconds: float) -> str:
        """The state as text."""
        rate = done / seconds if seconds > 0 else 0.0
        if not self._total:
            return f"{self._label} {done}  {rate:.0f}/s".strip()
        filled = _WIDTH * min(done, self._total) // self._total
        bar = "#" * filled + "-" * (_WIDTH - filled)
        left = f"{(self._total - done) / rate:.0f}s left" if rate > 0 else ""
        return f"{self._label} [{bar}] {done}/{self._total}  {rate:.0f}/s  {left}".strip()

    def clear(self) -> None:
        """Takes the line away."""
        if self._is_shown and self._length:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()

    def close(self) -> None:
        """Ends the line."""
        if self._is_shown:
            self._stream.write("\n")
            self._stream.flush()
