"""The transformer that reads errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from .._watch import Callback
from ..history import History
from ._estimator import Estimator, integers, reals, some, strings

__all__ = ["AttendedPieces", "ErrorReport", "StackLensTransformer"]


@dataclass(frozen=True)
class ErrorReport:
    """What errors are.

    Attributes
    ----------
    severity, category : array [rows]
        The likeliest classes, by number; names are the model's.
    severity_probabilities, category_probabilities : array [rows, classes]
    confidence : array [rows]
        How likely both are right; 0 for an empty text.
    embeddings : array [rows, width]
    empty, truncated : array [rows]
        Whether there was nothing to read, and whether the middle was left out.
    unknown_ratio : array [rows]
        The share of words that the tokenizer cannot spell.
    """

    severity: np.ndarray
    category: np.ndarray
    severity_probabilities: np.ndarray
    category_probabilities: np.ndarray
    confidence: np.ndarray
    embeddings: np.ndarray
    empty: np.ndarray
    truncated: np.ndarray
    unknown_ratio: np.ndarray


@dataclass(frozen=True)
class AttendedPieces:
    """What the network says of pieces.

    Attributes
    ----------
    severity_logits, category_logits : array [rows, classes]
    confidence : array [rows, 1]
    embeddings : array [rows, width]
    attention_weights : array [rows, steps, steps]
        How much each piece looks at each, mean of the heads; 0 for padding.
    """

    severity_logits: np.ndarray
    category_logits: np.ndarray
    confidence: np.ndarray
    embeddings: np.ndarray
    attention_weights: np.ndarray


class StackLensTransformer(Estimator):
    """Tells severity and category of errors, and how far to trust it.

    Parameters
    ----------
    encoder : path, optional
        A folder with a BERT encoder and its tokenizer, such as all-MiniLM-L6-v2: its sizes, numbers and
        tokenizer are taken, and kept in the model's files. Without one the encoder starts with random
        numbers of the sizes below, BERT-base unless given, and the model takes pieces, not texts.
    severities, categories : list of str, optional
        Names of the classes; four and ten unless given.
    terms : list of str, optional
        At most 5,000 technical terms; some hundred common ones unless given.
    term_start : {"random", "encoder"}
        What their vectors start with.
    attention_heads : int
        Of the attention behind the encoder.
    max_length : int, optional
        Pieces of a text; as many as the encoder has positions unless given.
    spelling_buckets : int
        Rows of tables of n-grams of characters, whose scores add to the logits: how a text is spelt
        beside what it means. 0: there are none.
    vocabulary, positions, types, width, layers, heads, feed_forward : int, optional
        Sizes of the encoder.
    seed, threads : int

    Examples
    --------
    >>> model = models.StackLensTransformer(vocabulary=100, width=24, layers=1, heads=2, feed_forward=32)
    >>> model.severities
    ['critical', 'high', 'medium', 'low']
    """

    kind = "stacklens_transformer"

    def __init__(
        self,
        encoder: Union[str, os.PathLike[str], None] = None,
        *,
        severities: Optional[Sequence[str]] = None,
        categories: Optional[Sequence[str]] = None,
        terms: Optional[Sequence[str]] = None,
        term_start: str = "random",
        attention_heads: int = 12,
        max_length: Optional[int] = None,
        spelling_buckets: int = 0,
        vocabulary: Optional[int] = None,
        positions: Optional[int] = None,
        types: Optional[int] = None,
        width: Optional[int] = None,
        layers: Optional[int] = None,
        heads: Optional[int] = None,
        feed_forward: Optional[int] = None,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            encoder=None if encoder is None else os.fspath(encoder),
            severities=None if severities is None else list(severities),
            categories=None if categories is None else list(categories),
            terms=None if terms is None else list(terms), term_start=term_start,
            attention_heads=attention_heads, max_length=max_length,
            spelling_buckets=spelling_buckets, vocabulary=vocabulary, positions=positions,
            types=types, width=width, layers=layers, heads=heads, feed_forward=feed_forward,
            seed=seed, threads=threads,
        )

    @property
    def severities(self) -> list[str]:
        """Names of the severities, by number."""
        return self._texts("severities")

    @property
    def categories(self) -> list[str]:
        """Names of the categories, by number."""
        return self._texts("categories")

    @classmethod
    def common_terms(cls) -> list[str]:
        """The technical terms that are looked for unless others are given."""
        return list(cls._default("terms"))

    def _texts(self, option: str) -> list[str]:
        given = self._description()["configuration"] or {}
        return list(given.get(option) or self._default(option))

    def fit(
        self,
        text: Optional[Sequence[str]] = None,
        severity: Any = None,
        category: Any = None,
        validation: Optional[dict[str, Any]] = None,
        *,
        reliability: Any = None,
        input_ids: Any = None,
        attention_mask: Any = None,
        tech_ids: Any = None,
        spelling_ids: Any = None,
        spelling_weights: Any = None,
        freeze_encoder: bool = True,
        epochs: Optional[int] = None,
        batch_size: int = 32,
        learning_rate: Optional[float] = None,
        encoder_learning_rate: float = 2e-5,
        head_learning_rate: Optional[float] = None,
        patience: int = 2,
        validation_share: float = 0.1,
        class_weights: str = "none",
        severity_weight: float = 1.0,
        category_weight: float = 1.0,
        confidence_weight: float = 1.0,
        precision: str = "fp32",
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from errors with severities, categories or both.

        Parameters
        ----------
        text : list of str
            Or, in its place, `input_ids` and `attention_mask` [rows, steps], `tech_ids` beside them,
            and `spelling_ids` and `spelling_weights` [rows, grams].
        severity, category : array [rows], optional
            Numbers of classes, -100 where one is not known.
        validation : dict, optional
            The same by name, to judge by; a share of the rows unless given. What is best is told by the
            mean of the macro F1 of both, and the confidence is calibrated on these rows.
        reliability : array [rows], optional
            What the confidence shall be, 0 to 1; -100, or none given: whether the answer is right.
        freeze_encoder : bool
            Whether the encoder stays as it is: its states are computed once then.
        epochs : int, optional
            20, or 3 where the encoder learns.
        learning_rate : float, optional
            1e-3, or 1e-4 where the encoder learns, at `encoder_learning_rate`.
        head_learning_rate : float, optional
            Of the heads and the tables of n-grams; `learning_rate` unless given. With few rows 0.03 is
            better.
        class_weights : {"none", "balanced"}
            Whether rare classes count as much as frequent ones.
        severity_weight, category_weight, confidence_weight : float
            Of the three losses.
        batch_size, patience, validation_share, precision, callback, progress
        """
        arrays = _errors(
            "", text=text, severity=severity, category=category, reliability=reliability,
            input_ids=input_ids, attention_mask=attention_mask, tech_ids=tech_ids,
            spelling_ids=spelling_ids, spelling_weights=spelling_weights,
        )
        arrays.update(_errors("validation_", **(validation or {})))
        options = {
            "freeze_encoder": freeze_encoder,
            "epochs": epochs if epochs is not None else 20 if freeze_encoder else 3,
            "batch_size": batch_size, "learning_rate": learning_rate,
            "encoder_learning_rate": encoder_learning_rate,
            "head_learning_rate": head_learning_rate, "patience": patience,
            "validation_share": validation_share, "class_weights": class_weights,
            "severity_weight": severity_weight, "category_weight": category_weight,
            "confidence_weight": confidence_weight, "precision": precision,
        }
        return self._fit(arrays, options, callback, progress)

    def predict(self, text: Sequence[str], precision: str = "fp32") -> ErrorReport:
        """What errors are.

        Parameters
        ----------
        text : list of str
        precision : {"fp32", "bf16", "int8"}
            Of matrix products.
        """
        return ErrorReport(*self._call("classify", {"text": strings(text)}, 9, precision=precision))

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any,
        token_type_ids: Any = None,
        tech_ids: Any = None,
        spelling_ids: Any = None,
        spelling_weights: Any = None,
    ) -> AttendedPieces:
        """What the network says of pieces, with the weights of its attention.

        Parameters
        ----------
        input_ids, attention_mask, token_type_ids, tech_ids : array [rows, steps]
        spelling_ids, spelling_weights : array [rows, grams]
            As `tokenize` gives them.
        """
        arrays = {
            "input_ids": integers(input_ids), "attention_mask": integers(attention_mask),
            "token_type_ids": some(token_type_ids, integers), "tech_ids": some(tech_ids, integers),
            "spelling_ids": some(spelling_ids, integers),
            "spelling_weights": some(spelling_weights, reals),
        }
        return AttendedPieces(*self._call("forward", arrays, 5))

    def tokenize(self, text: Sequence[str]) -> dict[str, np.ndarray]:
        """The pieces of texts: input_ids, attention_mask and tech_ids, [rows, steps] each; for a model
        with a table of n-grams spelling_ids and spelling_weights [rows, grams] too."""
        names = ("input_ids", "attention_mask", "tech_ids", "spelling_ids", "spelling_weights")
        found = dict(zip(names, self._call("tokenize", {"text": strings(text)}, 5)))
        return {name: array for name, array in found.items() if len(array) == len(text)}


def _errors(prefix: str, **columns: Any) -> dict[str, Any]:
    converters = {"text": strings, "reliability": reals, "spelling_weights": reals}
    return {
        prefix + name: converters.get(name, integers)(column)
        for name, column in columns.items() if column is not None
    }
