"""Models that read texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers, strings

__all__ = ["SentimentClassifier", "TicketClassifier", "TicketLabels"]

#: Texts, or the ids of their words [rows, steps].
Texts = Union[Sequence[str], np.ndarray]


@dataclass(frozen=True)
class TicketLabels:
    """What labels tickets have.

    Attributes
    ----------
    logits, probabilities : array [rows, labels]
    branch_attention : array [rows, 2]
        What description and resolution counted; 0 for what is not there.
    labels : array [rows, labels]
        Whether a ticket has a label: what reaches its threshold, or the likeliest one.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    branch_attention: np.ndarray
    labels: np.ndarray


class TicketClassifier(Estimator):
    """Labels tickets by description and, where there is one, resolution.

    Parameters
    ----------
    labels : int
    multi_label : bool
        Whether a ticket may have several labels, or none.
    vocabulary : int
        Ids of words, those of padding (0) and of unknown words (1) among them.
    length : int
        Words of a text; what is longer is cut.
    branch : {"lstm", "transformer"}
        What reads a text.
    bidirectional : bool
        Whether an LSTM reads in both directions.
    shared : bool
        Whether one branch reads both texts.
    width : int
        Of word vectors.
    hidden : int
        Of an LSTM's states and of features.
    seed, threads : int

    Examples
    --------
    >>> models.TicketClassifier(labels=10).parameter_count
    1392522
    """

    kind = "ticket_classifier"

    def __init__(
        self,
        labels: int = 10,
        multi_label: bool = True,
        *,
        vocabulary: int = 10_000,
        length: int = 100,
        branch: str = "lstm",
        bidirectional: bool = False,
        shared: bool = False,
        width: int = 128,
        hidden: int = 64,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            labels=labels, multi_label=multi_label, vocabulary=vocabulary, length=length,
            branch=branch, bidirectional=bidirectional, shared=shared, width=width, hidden=hidden,
            seed=seed, threads=threads,
        )

    def fit(
        self,
        description: Optional[Texts],
        labels: Any,
        resolution: Optional[Texts] = None,
        validation: Optional[dict[str, Any]] = None,
        *,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        patience: int = 10,
        validation_share: float = 0.1,
        tune_thresholds: bool = False,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns the vocabulary and what words say about labels.

        Parameters
        ----------
        description, resolution : list of str or array [rows, steps]
            Texts, or ids of words; an empty text where a ticket has none.
        labels : array [rows, labels] or [rows]
            1 or 0 for each label; or the label of each row where a ticket has one. -100 where it is
            not known.
        validation : dict, optional
            The same by name, to judge by; a share of the rows unless given.
        epochs, batch_size, learning_rate, patience, validation_share
        tune_thresholds : bool
            Whether each label gets the threshold with the best F1 on the validation rows, not 0.5.
        callback, progress
        """
        arrays = _texts(description=description, resolution=resolution)
        arrays["labels"] = integers(labels)
        held = dict(validation or {})
        if "labels" in held:
            arrays["validation_labels"] = integers(held.pop("labels"))
        for name, column in _texts(**held).items():
            arrays["validation_" + name] = column
        options = {
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "patience": patience, "validation_share": validation_share,
            "tune_thresholds": tune_thresholds,
        }
        return self._fit(arrays, options, callback, progress)

    def predict(
        self, description: Optional[Texts] = None, resolution: Optional[Texts] = None
    ) -> TicketLabels:
        """What labels tickets have, each by what there is of it."""
        arrays = _texts(description=description, resolution=resolution)
        return TicketLabels(*self._call("classify", arrays, 4))

    def ids(self, texts: Sequence[str]) -> np.ndarray:
        """The ids of the words of texts: [rows, length]."""
        found: np.ndarray = self._call("ids", {"texts": strings(texts)})[0]
        return found


class SentimentClassifier(Estimator):
    """Tells whether a short text is of a kind, by what a recurrent layer holds after its last word.

    Parameters
    ----------
    vocabulary : int
        Ids of words, those of padding (0) and of unknown words (1) among them.
    length : int
        Words of a text; what is longer is cut.
    width : int
        Of word vectors.
    hidden : int
        Of states.
    cell : {"lstm", "gru", "rnn"}
    biases : int
        Of each gate: 1, or 2 where the product with the state has one of its own.
    seed, threads : int

    Examples
    --------
    >>> models.SentimentClassifier(biases=1).parameter_count
    344897
    """

    kind = "sentiment_classifier"

    def __init__(
        self,
        *,
        vocabulary: int = 10_000,
        length: int = 50,
        width: int = 32,
        hidden: int = 64,
        cell: str = "lstm",
        biases: int = 2,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            vocabulary=vocabulary, length=length, width=width, hidden=hidden, cell=cell,
            biases=biases, seed=seed, threads=threads,
        )

    def fit(
        self,
        text: Texts,
        labels: Any,
        validation: Optional[dict[str, Any]] = None,
        *,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        patience: int = 5,
        validation_share: float = 0.1,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns the vocabulary and what words say.

        Parameters
        ----------
        text : list of str or array [rows, steps]
            Texts, or ids of words.
        labels : array [rows]
            1 or 0, -100 where it is not known.
        validation : dict, optional
            The same by name, to judge by; a share of the rows unless given.
        epochs, batch_size, learning_rate, patience, validation_share, callback, progress
        """
        arrays = {**_texts(text=text), "labels": integers(labels)}
        held = dict(validation or {})
        if "labels" in held:
            arrays["validation_labels"] = integers(held.pop("labels"))
        for name, column in _texts(**held).items():
            arrays["validation_" + name] = column
        options = {
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "patience": patience, "validation_share": validation_share,
        }
        return self._fit(arrays, options, callback, progress)

    def predict(self, text: Texts) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, and whether each is 0.5 at least."""
        probabilities, labels = self._call("classify", _texts(text=text), 2)
        return probabilities, labels


def _texts(**columns: Any) -> dict[str, Any]:
    """Columns under the names for texts, those of numbers under the names for ids."""
    arrays: dict[str, Any] = {}
    for name, column in columns.items():
        if column is None:
            continue
        array = column if isinstance(column, np.ndarray) else None
        if array is not None and array.dtype.kind in "iu":
            arrays[name + "_ids"] = integers(array)
        else:
            arrays[name] = strings(column)
    return arrays
