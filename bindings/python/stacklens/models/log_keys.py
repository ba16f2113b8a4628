"""Models over event keys of logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers, reals, some

__all__ = ["Detection", "LogKeyLSTM"]


@dataclass(frozen=True)
class Detection:
    """Which sessions are anomalies.

    Attributes
    ----------
    is_anomaly : array [sessions]
    first_anomaly : array [sessions]
        The first unlikely step; -1 where none is.
    worst_rank : array [sessions]
        1 where every key was the likeliest; 0 where none was judged.
    surprise : array [sessions]
        The largest -log p of a key; infinite where something came that cannot be expected.
    end_surprise : array [sessions]
        -log p of the end; 0 where it is not judged.
    has_known_counts : array [sessions]
        Whether keys occur as often as in normal sessions; true where that is not judged.
    """

    is_anomaly: np.ndarray
    first_anomaly: np.ndarray
    worst_rank: np.ndarray
    surprise: np.ndarray
    end_surprise: np.ndarray
    has_known_counts: np.ndarray


class LogKeyLSTM(Estimator):
    """Learns in which order event keys of a log follow each other; what is unlikely is an anomaly.

    Sessions are an array [sessions, longest] of keys 1, 2, … with the length of each, or a sequence
    of sequences of keys.

    Parameters
    ----------
    keys : int
        Event keys are 1 to this.
    window : int
        Keys before the one that is judged.
    embedding : int
        Width of a key's vector.
    hidden : int
        Units of a layer.
    layers : int
    dropout : float
        Between the layers and after them.
    padded : bool
        Whether the first keys of a session are judged too.
    end : bool
        Whether it is judged where a session ends.
    counts : bool
        Whether the network sees how often each key came so far in the session.
    quantities : bool
        Whether it is judged how often keys occur in a whole session: the counts of those keys that
        vary little, taken together, must be known from normal sessions.
    rule : {"top", "probability"}
        What an anomaly is: a key that is not among the ``top`` likeliest ones, or one that is less
        probable than `fit` found in normal sessions.
    top : int
    seed, threads : int

    Examples
    --------
    >>> model = models.LogKeyLSTM(keys=3, window=2, top=1)
    >>> history = model.fit([[1, 2, 3, 1, 2, 3]] * 20, epochs=200, learning_rate=1e-2)
    >>> model.detect([[1, 2, 3, 1, 2], [1, 2, 2, 1, 2]]).first_anomaly
    array([-1,  2])
    """

    kind = "log_key_lstm"

    def __init__(
        self,
        keys: int = 28,
        window: int = 10,
        embedding: int = 64,
        hidden: int = 64,
        layers: int = 2,
        dropout: float = 0.0,
        *,
        padded: bool = False,
        end: bool = False,
        counts: bool = False,
        quantities: bool = False,
        rule: str = "top",
        top: int = 9,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            keys=keys, window=window, embedding=embedding, hidden=hidden, layers=layers,
            dropout=dropout, padded=padded, end=end, counts=counts, quantities=quantities,
            rule=rule, top=top, seed=seed, threads=threads,
        )

    def fit(
        self,
        keys: Any,
        lengths: Any = None,
        vectors: Any = None,
        validation: Optional[tuple[Any, Any]] = None,
        *,
        epochs: int = 100,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        patience: int = 10,
        validation_share: float = 0.1,
        false_alarms: float = 0.001,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from normal sessions.

        Parameters
        ----------
        keys, lengths
            Sessions.
        vectors : array [keys, embedding], optional
            What the vectors of the keys start with, those of their templates for example.
        validation : tuple, optional
            Keys and lengths of normal sessions to judge by and to find the threshold; a share of
            the sessions unless given.
        epochs, batch_size, learning_rate, patience, validation_share
        false_alarms : float
            The share of normal sessions that may be called anomalies, parted among keys, the end and
            quantities as far as they are judged.
        callback, progress
            As in `stacklens.Trainer.fit`.
        """
        arrays = _sessions(keys, lengths)
        arrays["vectors"] = some(vectors, reals)
        if validation is not None:
            for name, array in _sessions(*validation).items():
                arrays["validation_" + name] = array
        options = {
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "patience": patience, "validation_share": validation_share,
            "false_alarms": false_alarms,
        }
        return self._fit(arrays, options, callback, progress)

    def predict(self, keys: Any, counts: Any = None) -> np.ndarray:
        """What follows each window: logits of the keys 1, 2, … and of the end if it is judged.

        Parameters
        ----------
        keys : array [rows, window]
            Oldest first, 0 before the start of a session.
        counts : array [rows, keys]
            How often each key came so far, where the model sees counts.
        """
        arrays = {"keys": integers(keys), "counts": some(counts, reals)}
        logits: np.ndarray = self._call("predict", arrays)[0]
        return logits

    def detect(
        self,
        keys: Any,
        lengths: Any = None,
        *,
        top: Optional[int] = None,
        threshold: Optional[float] = None,
        end_threshold: Optional[float] = None,
    ) -> Detection:
        """Which sessions are anomalies; ``top`` or thresholds in place of the model's rule.

        Parameters
        ----------
        keys, lengths
            Sessions. Keys that `fit` never saw are anomalies.
        top : int, optional
            Likeliest keys, one of which each must be.
        threshold, end_threshold : float, optional
            The largest -log p of a key and of the end that are normal.
        """
        found = self._call(
            "detect", _sessions(keys, lengths), 6, top=top, threshold=threshold,
            end_threshold=end_threshold,
        )
        return Detection(*found)


def _sessions(keys: Any, lengths: Any) -> dict[str, Any]:
    if lengths is not None or isinstance(keys, np.ndarray):
        keys = integers(keys)
        whole = np.full(len(keys), keys.shape[-1])
        return {"keys": keys, "lengths": integers(whole if lengths is None else lengths)}
    rows: Sequence[Sequence[int]] = keys
    table = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return {"keys": table, "lengths": integers([len(row) for row in rows])}
