"""Models over sequences of errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers, reals, some, strings

__all__ = ["ErrorFlowLSTM", "ErrorWindows", "Forecast"]


@dataclass(frozen=True)
class Forecast:
    """What follows each window.

    Attributes
    ----------
    class_logits : array [windows, classes]
        For the class of the next error.
    next_sequence : array [windows, width]
        The next error.
    time_to_next : array [windows]
        Seconds until then.
    cascade_prob : array [windows]
        The probability of a cascade.
    attention_weights : array [windows, steps]
        What each step counted; 0 on padding.
    hidden_states : array [windows, steps, 2 · hidden]
    hn, cn : array [2 · layers, windows, hidden]
        Final states and cells, layer by layer, forward before backward.
    """

    class_logits: np.ndarray
    next_sequence: np.ndarray
    time_to_next: np.ndarray
    cascade_prob: np.ndarray
    attention_weights: np.ndarray
    hidden_states: np.ndarray
    hn: np.ndarray
    cn: np.ndarray


@dataclass(frozen=True)
class ErrorWindows:
    """The window that ends at each error of a stream, by time, and what followed it.

    Attributes
    ----------
    x : array [errors, longest, width]
        Oldest first, padded behind.
    lengths, next_class, next_x, time_to_next, cascade
        As `ErrorFlowLSTM.fit` takes them.
    error : array [errors]
        Which error each window ends at.
    """

    x: np.ndarray
    lengths: np.ndarray
    next_class: np.ndarray
    next_x: np.ndarray
    time_to_next: np.ndarray
    cascade: np.ndarray
    error: np.ndarray

    def rows(self, rows: Any) -> dict[str, np.ndarray]:
        """Some windows, as ``fit(**windows.rows(...))`` takes them."""
        return {name: array[rows] for name, array in vars(self).items() if name != "error"}


class ErrorFlowLSTM(Estimator):
    """A bidirectional LSTM with attention over a window of errors: what comes next, and when.

    Parameters
    ----------
    width : int
        Features of an error.
    hidden : int
        Units of a direction.
    layers : int
    classes : int
        Classes of the next error.
    dropout : float
        Between the layers.
    seed, threads : int

    Examples
    --------
    >>> models.ErrorFlowLSTM().parameter_count
    5260045
    """

    kind = "error_flow_lstm"

    def __init__(
        self,
        width: int = 512,
        hidden: int = 256,
        layers: int = 3,
        classes: int = 10,
        dropout: float = 0.2,
        *,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            width=width, hidden=hidden, layers=layers, classes=classes, dropout=dropout,
            seed=seed, threads=threads,
        )

    def fit(
        self,
        x: Any,
        next_class: Any,
        next_x: Any,
        time_to_next: Any,
        cascade: Any,
        lengths: Any = None,
        validation: Optional[dict[str, Any]] = None,
        *,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        patience: int = 10,
        validation_share: float = 0.1,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from windows and what followed each.

        Parameters
        ----------
        x : array [windows, steps, width]
            Errors, oldest first.
        next_class : array [windows]
            The class of the error that followed; -100 where none did within the horizon, and what
            follows is not looked at.
        next_x : array [windows, width]
            The error that followed.
        time_to_next : array [windows]
            Seconds until then.
        cascade : array [windows]
            1 before a cascade, else 0.
        lengths : array [windows], optional
            Valid steps.
        validation : dict, optional
            The same by name, to judge by; a share of the windows unless given.
        epochs, batch_size, learning_rate, patience, validation_share, callback, progress
        """
        arrays = _arrays(x, lengths, next_class, next_x, time_to_next, cascade)
        for name, value in (_arrays(**validation) if validation else {}).items():
            arrays["validation_" + name] = value
        options = {
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "patience": patience, "validation_share": validation_share,
        }
        return self._fit(arrays, options, callback, progress)

    def predict(self, x: Any, lengths: Any = None) -> Forecast:
        """What follows each window."""
        arrays = {"x": reals(x), "lengths": some(lengths, integers)}
        return Forecast(*self._call("predict", arrays, 8))

    def states(
        self,
        embedding: Any,
        timestamp_ms: Any,
        *,
        error_id: Any = None,
        text: Any = None,
        source: Any = None,
        severity: Any = None,
        category: Any = None,
        confidence: Any = None,
        isolation: Any = None,
        conditions: Any = None,
        own: Any = None,
        longest: int = 10,
        gap: float = 1800,
    ) -> np.ndarray:
        """Errors as 512 numbers: the vectors of their texts and what is known of the moment.

        What is not given stays zero.

        Parameters
        ----------
        embedding : array [errors, 384]
            Vectors of the texts, of length 1.
        timestamp_ms : array [errors]
            Unix time in milliseconds.
        error_id : array [errors], optional
            Orders errors of one moment.
        text : sequence of str, optional
            Tells which errors repeat: particulars such as numbers do not count.
        source : sequence of str, optional
            Services or components.
        severity, category : array [errors], optional
            0 to 3 and 0 to 9; -100 where one is not known.
        confidence, isolation : array [errors], optional
            Of the classifier, and the isolation forest's score.
        conditions : array [errors, 6], optional
            0 to 2 or -100: connections, timeouts, memory, CPU, disk, queue.
        own : array [errors, 32], optional
            Numbers of the deployment.
        longest, gap
            Errors of a window, and seconds of silence that end one.
        """
        arrays = {
            "embedding": reals(embedding), "timestamp_ms": integers(timestamp_ms),
            "error_id": some(error_id, integers), "text": some(text, strings),
            "source": some(source, strings), "severity": some(severity, integers),
            "category": some(category, integers), "confidence": some(confidence, reals),
            "isolation": some(isolation, reals), "conditions": some(conditions, integers),
            "own": some(own, reals),
        }
        states: np.ndarray = self._call("states", arrays, longest=longest, gap=gap)[0]
        return states

    def windows(
        self,
        x: Any,
        timestamp_ms: Any,
        source: Any,
        category: Any,
        error_id: Any = None,
        *,
        longest: int = 10,
        gap: float = 1800,
        horizon: float = 1800,
        cascade_errors: int = 3,
        cascade_sources: int = 2,
        cascade_gap: float = 300,
    ) -> ErrorWindows:
        """The window that ends at each error, and what followed it, to learn from.

        Parameters
        ----------
        x : array [errors, width]
        timestamp_ms : array [errors]
            Unix time in milliseconds.
        source : sequence of str
        category : array [errors]
        error_id : array [errors], optional
            Orders errors of one moment.
        longest, gap
            Errors of a window, the newest, and seconds of silence that end one.
        horizon : float
            Seconds in which what follows is looked for.
        cascade_errors, cascade_sources, cascade_gap
            A cascade: so many errors of so many sources within the horizon, each no more than so
            many seconds after the one before.
        """
        arrays = {
            "x": reals(x), "timestamp_ms": integers(timestamp_ms),
            "error_id": some(error_id, integers), "source": strings(source),
            "category": integers(category),
        }
        return ErrorWindows(
            *self._call(
                "windows", arrays, 7, longest=longest, gap=gap, horizon=horizon,
                cascade_errors=cascade_errors, cascade_sources=cascade_sources,
                cascade_gap=cascade_gap,
            )
        )


def _arrays(
    x: Any, lengths: Any, next_class: Any, next_x: Any, time_to_next: Any, cascade: Any
) -> dict[str, Any]:
    return {
        "x": reals(x), "lengths": some(lengths, integers),
        "next_class": integers(next_class), "next_x": reals(next_x),
        "time_to_next": reals(time_to_next), "cascade": reals(cascade),
    }
