"""Models that learn what is usual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, reals, some

__all__ = ["AnomalyVAE"]


class AnomalyVAE(Estimator):
    """A variational autoencoder: learns the usual, scores how unusual something is.

    Parameters
    ----------
    width : int
        Features of an input.
    hidden : sequence of int
        Widths of the encoder's layers; the decoder has the same in reverse.
    latent : int
        Width of the code.
    seed, threads : int

    Examples
    --------
    >>> vae = models.AnomalyVAE()
    >>> vae.parameter_count
    353664
    """

    kind = "anomaly_vae"

    def __init__(
        self,
        width: int = 512,
        hidden: Sequence[int] = (256, 128),
        latent: int = 64,
        *,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            width=width, hidden=list(hidden), latent=latent, seed=seed, threads=threads
        )

    def fit(
        self,
        x: Any,
        validation: Any = None,
        *,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        patience: int = 10,
        validation_share: float = 0.1,
        warm_up: int = 10,
        quantile: float = 0.95,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from rows that are believed normal.

        Parameters
        ----------
        x : array [rows, width]
        validation : array [rows, width], optional
            Normal rows to judge by and to find the threshold; a share of ``x`` unless given.
        epochs, batch_size, learning_rate, patience, validation_share
        warm_up : int
            Epochs in which the weight of the divergence rises from 0 to 1.
        quantile : float
            Of the validation rows' scores: the threshold of `predict`.
        callback, progress
            As in `stacklens.Trainer.fit`.
        """
        return self._fit(
            {"x": reals(x), "validation_x": some(validation, reals)},
            {
                "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
                "patience": patience, "validation_share": validation_share, "warm_up": warm_up,
                "quantile": quantile,
            },
            callback, progress,
        )

    def score(self, x: Any) -> np.ndarray:
        """The mean squared standardised error of each row: how unusual it is."""
        scores: np.ndarray = self._call("score", {"x": reals(x)})[0]
        return scores

    def predict(
        self, x: Any, threshold: Optional[float] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores, and whether each is above the threshold."""
        scores, flags = self._call("predict", {"x": reals(x)}, 2, threshold=threshold)
        return scores, flags

    def reconstruct(self, x: Any) -> np.ndarray:
        """What the model makes of each row, in the units of the input."""
        rows: np.ndarray = self._call("reconstruct", {"x": reals(x)})[0]
        return rows

    def encode(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means and logarithms of the variances of each row's code."""
        mean, logvar = self._call("encode", {"x": reals(x)}, 2)
        return mean, logvar

    def decode(self, z: Any) -> np.ndarray:
        """Rows from codes, in the units of the input."""
        rows: np.ndarray = self._call("decode", {"z": reals(z)})[0]
        return rows
