"""Models over sequences of errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers, reals

__all__ = ["ErrorFlowLSTM", "Forecast"]


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
        arrays = {"x": reals(x), "lengths": None if lengths is None else integers(lengths)}
        return Forecast(*self._call("predict", arrays, 8))


def _arrays(
    x: Any, lengths: Any, next_class: Any, next_x: Any, time_to_next: Any, cascade: Any
) -> dict[str, Any]:
    return {
        "x": reals(x), "lengths": None if lengths is None else integers(lengths),
        "next_class": integers(next_class), "next_x": reals(next_x),
        "time_to_next": reals(time_to_next), "cascade": reals(cascade),
    }
