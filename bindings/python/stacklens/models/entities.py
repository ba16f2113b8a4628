"""The tagger that finds names of functions, files and variables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from .._watch import Callback
from ..history import History
from ..tensor import encoded
from ._estimator import Estimator, integers, reals, some, strings

__all__ = ["Entity", "NerTagger", "PieceWindows"]

#: Start and end in bytes of UTF-8, and the name of the type.
Span = tuple[int, int, str]


@dataclass(frozen=True)
class Entity:
    """An entity in a text.

    Attributes
    ----------
    type, text : str
    start, end : int
        In the original text, in bytes of UTF-8; end lies behind the last one.
    score : float
        How likely the tags of its words are, on average.
    source : str
        What found it: "model".
    """

    type: str
    text: str
    start: int
    end: int
    score: float
    source: str = "model"


@dataclass(frozen=True)
class PieceWindows:
    """The pieces of texts as the network takes them.

    Attributes
    ----------
    row : array [windows]
        The text of each window; long texts have several.
    input_ids, attention_mask : array [windows, steps]
    shapes : array [windows, steps, 16]
        1 for what the word of a piece looks like, else 0.
    word_ids : array [windows, steps, 8]
        Rows of the table of words; 0 without one.
    word_starts : array [windows, steps]
        The pieces that have a tag.
    start, end : array [windows, steps]
        Where pieces stand, in bytes of UTF-8.
    """

    row: np.ndarray
    input_ids: np.ndarray
    attention_mask: np.ndarray
    shapes: np.ndarray
    word_ids: np.ndarray
    word_starts: np.ndarray
    start: np.ndarray
    end: np.ndarray


class NerTagger(Estimator):
    """Finds entities in texts: a BERT encoder, shapes of words, a BiLSTM and a linear-chain CRF.

    Parameters
    ----------
    encoder : path, optional
        A folder with a BERT encoder and its tokenizer, such as all-MiniLM-L6-v2: its sizes, numbers and
        tokenizer are taken, and kept in the model's files. Without one the encoder starts with random
        numbers of the sizes below, BERT-base unless given, and the model takes pieces, not texts.
    entities : list of str, optional
        Names of the types; FUNCTION, FILE and VARIABLE unless given.
    words : {"punctuation", "space"}
        What has a tag: runs without white space and each punctuation character, or such runs as a
        whole, for texts whose tokens are known.
    states : {"last", "mean"}
        What is seen of the encoder: its last layer's states, or the mean of the embeddings and all
        layers'.
    hidden : int
        Units of each direction.
    dropout, output_dropout : float
        Before and behind the LSTM.
    word_buckets, word_width : int
        Rows of a table of vectors for words, their beginnings, ends and signs (0: none), and its width.
    max_length, overlap : int, optional
        Pieces of a window, and how many neighbouring ones share; 256 and a quarter of it unless given.
    vocabulary, positions, types, width, layers, heads, feed_forward : int, optional
        Sizes of the encoder.
    seed, threads : int

    Examples
    --------
    >>> model = models.NerTagger(vocabulary=100, width=24, layers=1, heads=2, feed_forward=32)
    >>> model.entities
    ['FUNCTION', 'FILE', 'VARIABLE']
    """

    kind = "ner_tagger"

    def __init__(
        self,
        encoder: Union[str, os.PathLike[str], None] = None,
        *,
        entities: Optional[Sequence[str]] = None,
        words: str = "punctuation",
        states: str = "last",
        hidden: int = 128,
        dropout: float = 0.1,
        output_dropout: float = 0.0,
        word_buckets: int = 0,
        word_width: int = 64,
        max_length: Optional[int] = None,
        overlap: Optional[int] = None,
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
            entities=None if entities is None else list(entities), words=words,
            states=states, hidden=hidden, dropout=dropout, output_dropout=output_dropout,
            word_buckets=word_buckets, word_width=word_width, max_length=max_length,
            overlap=overlap, vocabulary=vocabulary, positions=positions, types=types, width=width,
            layers=layers, heads=heads, feed_forward=feed_forward, seed=seed, threads=threads,
        )

    @property
    def entities(self) -> list[str]:
        """Names of the types, by number."""
        given = self._description()["configuration"] or {}
        return list(given.get("entities") or self._default("entities"))

    @property
    def tags(self) -> list[str]:
        """Names of the tags, by number: O, then B- and I- of each type."""
        return ["O", *(f"{part}-{name}" for name in self.entities for part in "BI")]

    def fit(
        self,
        text: Optional[Sequence[Union[str, Sequence[str]]]] = None,
        spans: Optional[Sequence[Union[Iterable[Span], Sequence[str]]]] = None,
        validation: Optional[Mapping[str, Any]] = None,
        *,
        input_ids: Any = None,
        attention_mask: Any = None,
        shapes: Any = None,
        word_ids: Any = None,
        tags: Any = None,
        freeze_encoder: bool = True,
        epochs: int = 30,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        encoder_learning_rate: float = 2e-5,
        schedule: str = "constant",
        patience: int = 5,
        validation_share: float = 0.1,
        precision: str = "fp32",
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns from texts with entities.

        Parameters
        ----------
        text : list of str, or list of list of str
            Texts, or tokens of texts, which are joined by spaces.
        spans : list of list of (start, end, type), or list of list of str
            The entities of each text, from byte to byte of UTF-8, or the BIO tags of its tokens.
        validation : dict, optional
            The same by name, to judge by; a share of the rows unless given. The epoch with the best
            micro F1 there is kept.
        input_ids, attention_mask, shapes, word_ids, tags : array [rows, steps, …], optional
            Pieces as `tokenize` gives them and the numbers of their tags (-100: none), in place of
            texts.
        freeze_encoder : bool
            Whether the encoder stays as it is: its states are computed once then.
        encoder_learning_rate : float
            Of the encoder where it learns.
        schedule : {"constant", "cosine"}
            Of the learning rates; "cosine" falls to 0 with the last epoch.
        epochs, batch_size, learning_rate, patience, validation_share, precision, callback, progress
        """
        arrays = self._labelled(
            "", text=text, spans=spans, input_ids=input_ids, attention_mask=attention_mask,
            shapes=shapes, word_ids=word_ids, tags=tags,
        )
        arrays.update(self._labelled("validation_", **(validation or {})))
        options = {
            "freeze_encoder": freeze_encoder, "epochs": epochs, "batch_size": batch_size,
            "learning_rate": learning_rate, "encoder_learning_rate": encoder_learning_rate,
            "schedule": schedule, "patience": patience, "validation_share": validation_share,
            "precision": precision,
        }
        return self._fit(arrays, options, callback, progress)

    def _labelled(
        self, prefix: str, *, text: Any = None, spans: Any = None, shapes: Any = None, **pieces: Any
    ) -> dict[str, Any]:
        arrays = {name: some(array, integers) for name, array in pieces.items()}
        arrays["shapes"] = some(shapes, reals)
        if text is not None:
            number = {name: place for place, name in enumerate(self.entities)}
            rows = [
                (row, number[name], start, end)
                for row, (one, marked) in enumerate(zip(text, spans or ()))
                for start, end, name in _spans(one, marked)
            ]
            table = integers(rows).reshape(-1, 4)
            arrays["text"] = strings([_joined(one) for one in text])
            arrays.update(zip(("row", "entity", "start", "end"), map(integers, table.T)))
        return {prefix + name: array for name, array in arrays.items() if array is not None}

    def predict(
        self, text: Sequence[Union[str, Sequence[str]]], precision: str = "fp32"
    ) -> list[list[Entity]]:
        """The entities of each text, in order; none overlaps another.

        Parameters
        ----------
        text : list of str, or list of list of str
            Texts, or tokens, which are joined by spaces.
        precision : {"fp32", "bf16", "int8"}
            Of the encoder's matrix products.
        """
        texts = [_joined(one) for one in text]
        columns = self._call("tag", {"text": strings(texts)}, 5, precision=precision)
        data = [encoded(one) for one in texts]
        found: list[list[Entity]] = [[] for _ in texts]
        names = self.entities
        for row, kind, start, end, score in zip(*(column.tolist() for column in columns)):
            part = data[row][start:end].decode("utf-8", "replace")
            found[row].append(Entity(names[kind], part, start, end, score))
        return found

    def tokenize(self, text: Sequence[str]) -> PieceWindows:
        """The pieces of texts, with all that the network takes."""
        return PieceWindows(*self._call("tokenize", {"text": strings(text)}, 8))

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any,
        token_type_ids: Any = None,
        shapes: Any = None,
        word_ids: Any = None,
    ) -> np.ndarray:
        """Scores of tags [rows, steps, tags] for pieces as `tokenize` gives them."""
        arrays = {
            "input_ids": integers(input_ids), "attention_mask": integers(attention_mask),
            "token_type_ids": some(token_type_ids, integers), "shapes": some(shapes, reals),
            "word_ids": some(word_ids, integers),
        }
        scores: np.ndarray = self._call("forward", arrays)[0]
        return scores

    def decode(self, tag_scores: Any, word_starts: Any) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest tags and how likely each is.

        Parameters
        ----------
        tag_scores : array [rows, steps, tags]
        word_starts : array [rows, steps]
            The pieces that have a tag.

        Returns
        -------
        tags : array [rows, steps]
            -100 where no word starts.
        marginals : array [rows, steps, tags]
            0 where no word starts.
        """
        arrays = {
            "tag_scores": reals(tag_scores), "word_starts": np.ascontiguousarray(word_starts, bool)
        }
        tags, marginals = self._call("decode", arrays, 2)
        return tags, marginals


def _joined(text: Union[str, Sequence[str]]) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _spans(text: Union[str, Sequence[str]], marked: Any) -> list[Span]:
    """Spans as they are, or those that the BIO tags of tokens spell."""
    if isinstance(text, str):
        return list(marked)
    spans: list[Span] = []
    place = 0
    before = "O"
    for token, tag in zip(text, marked):
        end = place + len(encoded(token))
        if tag.startswith("I-") and before[2:] == tag[2:]:
            spans[-1] = (spans[-1][0], end, tag[2:])
        elif tag != "O":
            spans.append((place, end, tag[2:]))
        place, before = end + 1, tag
    return spans
