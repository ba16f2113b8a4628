"""What happens while a model is trained: told to the caller, and drawn."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from ctypes import c_void_p
from dataclasses import dataclass, field
from typing import Any, Optional, TextIO

from . import _native, history
from ._progress import ProgressBar, is_shown_on
from .history import History

__all__ = ["Callback", "Event", "Watch"]

Callback = Callable[["Event"], Any]

_KINDS = ("step", "epoch", "warning", "checkpoint")
_log = logging.getLogger("stacklens")


@dataclass(frozen=True)
class Event:
    """Something that happened while a model was trained.

    Attributes
    ----------
    kind : str
        "step", "epoch", "warning" or "checkpoint".
    step : int
        Updates of the parameters so far; of "step" alone.
    epoch : int
    batch : int
        The place of the batch in its epoch.
    batch_count : int
        Batches of an epoch; 0 where that is not known.
    loss : float
    gradient_norm : float
        Of all gradients together, before clipping.
    learning_rate : float
    seconds : float
        That the epoch took.
    is_best : bool
        Whether the epoch is the best so far.
    figures : dict of str to float
        What the validation data gave after an epoch.
    text : str
        The warning, or the file of the checkpoint.
    """

    kind: str
    step: int = 0
    epoch: int = 0
    batch: int = 0
    batch_count: int = 0
    loss: float = 0.0
    gradient_norm: float = 0.0
    learning_rate: float = 0.0
    seconds: float = 0.0
    is_best: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    text: str = ""

    @classmethod
    def _read(cls, event: _native.TrainingEvent) -> Event:
        kind = _KINDS[event.kind] if 0 <= event.kind < len(_KINDS) else "warning"
        figures = {
            event.figures[place].name.decode(): event.figures[place].value
            for place in range(event.figure_count)
        }
        return cls(
            kind, event.step, event.epoch, event.batch, event.batch_count, event.loss,
            event.gradient_norm, event.learning_rate, event.seconds, bool(event.is_best), figures,
            event.text.decode("utf-8", "replace") if event.text else "",
        )


class Watch:
    """What happens during a fit: drawn, handed to the caller's function, and kept where it is a
    warning."""

    def __init__(self, callback: Optional[Callback], epochs: int, progress: Optional[bool]) -> None:
        self.error: Optional[BaseException] = None
        self.is_interrupted = False
        self.warnings: list[str] = []
        self._callback = callback
        self._display = _Display(epochs) if _is_watched(progress) else None
        self.function = _native.training_callback(self._report)

    def _report(self, event: Any, _user_data: Any) -> int:
        try:
            return self._observe(Event._read(event.contents))
        except BaseException as error:
            self.error = error
            return 1

    def _observe(self, event: Event) -> int:
        if event.kind == "warning":
            self.warnings.append(event.text)
            _log.warning("%s", event.text)
        if self._display is not None:
            self._display.show(event)
        goes_on = self._callback is None or self._callback(event) is not False
        return 0 if goes_on and not self.is_interrupted else 1

    def interruptible(self) -> _Interruptible:
        """For the length of a ``with`` block, Ctrl-C ends training after the current batch."""
        return _Interruptible(self)

    def history(self, out: c_void_p) -> History:
        """What the library wrote down of a fit; the error of the caller's function where it had one."""
        if self.error is not None:
            _native.lib.sl_buffer_release(out)
            raise self.error
        found = json.loads(_native.take_bytes(out))
        end = "interrupted" if self.is_interrupted else found["end"]
        return History(found["epochs"], end, self.warnings)

    def close(self) -> None:
        """Ends the drawing."""
        if self._display is not None:
            self._display.close()


class _Interruptible:
    def __init__(self, watch: Watch) -> None:
        self._watch, self._before = watch, None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before is not None:
                signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, _number: int, _frame: Any) -> None:
        self._watch.is_interrupted = True

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class _Display:
    """A table that grows by a line with each epoch, and a bar for the one in progress."""

    def __init__(self, epochs: int, stream: Optional[TextIO] = None) -> None:
        self._epochs, self._stream = epochs, stream if stream is not None else sys.stderr
        self._bar: Optional[ProgressBar] = None
        self._has_heading = False

    def show(self, event: Event) -> None:
        """Draws what an event tells."""
        if event.kind == "step":
            if self._bar is None:
                label = f"epoch {event.epoch + 1}/{self._epochs}"
                self._bar = ProgressBar(event.batch_count or None, label, self._stream)
            self._bar.update(event.batch + 1, f"loss {event.loss:.4g}")
        elif event.kind == "epoch":
            self.close()
            figures = {
                "epoch": event.epoch, "loss": event.loss, **event.figures,
                "learning_rate": event.learning_rate, "gradient_norm": event.gradient_norm,
                "seconds": event.seconds, "is_best": event.is_best,
            }
            if not self._has_heading:
                self._has_heading = True
                self._stream.write(history.heading(list(figures)) + "\n")
            self._stream.write(history.row(figures) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.clear()
            self._bar = None


def _is_watched(progress: Optional[bool]) -> bool:
    return is_shown_on(sys.stderr) if progress is None else bool(progress)
