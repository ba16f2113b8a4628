"""Models that write one sequence after reading another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers

__all__ = ["Seq2Seq", "Translation"]


@dataclass(frozen=True)
class Translation:
    """What follows from each sequence.

    Attributes
    ----------
    tokens : array [rows, steps]
        Ids up to the end token (3), 0 behind it.
    finished : array [rows]
        Whether there is an end token.
    log_probability : array [rows]
        Of the tokens.
    attention : array [rows, steps, source steps]
        What each token looked at; 0 without attention.
    """

    tokens: np.ndarray
    finished: np.ndarray
    log_probability: np.ndarray
    attention: np.ndarray


class Seq2Seq(Estimator):
    """Writes one sequence of ids after reading another, with attention over what it read.

    Of the ids 0 is padding, 1 unknown, 2 begin and 3 end.

    Parameters
    ----------
    source_vocabulary, target_vocabulary : int
        Ids that are read and written, 0 to 3 among them.
    width : int
        Of the vectors of ids.
    hidden : int
        Units of a direction.
    layers : int
    cell : {"lstm", "gru"}
    bidirectional : bool
        Whether the encoder reads in both directions.
    attention : {"additive", "dot", "bilinear", "none"}
        How states of the decoder and the encoder give scores; "none": the encoder's last state is
        all that the decoder sees.
    dropout : float
        On vectors of ids, between layers and on what gives the logits.
    seed, threads : int

    Examples
    --------
    >>> models.Seq2Seq(30, 30).parameter_count
    341662
    """

    kind = "seq2seq"

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        *,
        width: int = 64,
        hidden: int = 128,
        layers: int = 1,
        cell: str = "lstm",
        bidirectional: bool = False,
        attention: str = "additive",
        dropout: float = 0.0,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            source_vocabulary=source_vocabulary, target_vocabulary=target_vocabulary, width=width,
            hidden=hidden, layers=layers, cell=cell, bidirectional=bidirectional,
            attention=attention, dropout=dropout, seed=seed, threads=threads,
        )

    def fit(
        self,
        source: Any,
        target: Any,
        validation: Optional[dict[str, Any]] = None,
        *,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        patience: int = 10,
        validation_share: float = 0.1,
        teacher_forcing: float = 1.0,
        teacher_forcing_end: Optional[float] = None,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from pairs of sequences.

        Parameters
        ----------
        source, target : array [rows, steps]
            Ids, 0 behind the last; the targets without begin and end.
        validation : dict, optional
            The same by name, to judge by; a share of the rows unless given.
        epochs, batch_size, learning_rate, patience, validation_share
        teacher_forcing, teacher_forcing_end : float
            How often the decoder sees the true token before, and not the one that it told itself, in
            the first and in the last epoch.
        callback, progress
        """
        arrays = {"source": integers(source), "target": integers(target)}
        for name, array in (validation or {}).items():
            arrays["validation_" + name] = integers(array)
        options = {
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "patience": patience, "validation_share": validation_share,
            "teacher_forcing": teacher_forcing, "teacher_forcing_end": teacher_forcing_end,
        }
        return self._fit(arrays, options, callback, progress)

    def translate(self, source: Any, *, beam: int = 1, max_length: int = 100) -> Translation:
        """What follows from each sequence.

        Parameters
        ----------
        source : array [rows, steps]
        beam : int
            Hypotheses that are kept, the best by Σ log p / length^0.6; 1 takes the likeliest token
            each time.
        max_length : int
            Tokens at most, the end among them.
        """
        arrays = {"source": integers(source)}
        return Translation(*self._call("translate", arrays, 4, beam=beam, max_length=max_length))
