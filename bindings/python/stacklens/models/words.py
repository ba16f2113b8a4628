"""Vectors of words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

import numpy as np

from .._watch import Callback
from ..errors import InvalidArgumentError
from ..history import History
from ._estimator import Estimator, reals, some, strings

__all__ = ["WordVectors"]

Words = Union[str, Sequence[str]]


class WordVectors(Estimator):
    """Vectors of words by the company they keep, and by how they are written.

    Parameters
    ----------
    width : int
        Of a vector.
    architecture : {"skip_gram", "cbow"}
        Whether a word tells each of its neighbours, or all of them together tell the word.
    window : int
        Neighbours on each side at most: how many is drawn for each word, from 1 on.
    negative : int
        Words that each word is held against.
    min_count : int
        Rarer words are left out.
    vocabulary : int
        Words at most.
    subsample : float
        A word of the share f of the text is kept with the chance √(t / f) + t / f; 0 keeps all.
    subwords : bool
        Whether a word is the mean of a vector of its own and those of its n-grams of characters,
        which words that were not seen have too.
    min_n, max_n : int
        Characters of an n-gram, < and > around the word.
    buckets : int
        Vectors that n-grams share.
    seed, threads : int

    Examples
    --------
    >>> model = models.WordVectors(width=16, min_count=1)
    >>> history = model.fit(["disk full on node a", "disk error on node b"] * 50)
    >>> model.vector("disk").shape
    (16,)
    >>> len(model.most_similar("disk", top_k=3))
    3
    """

    kind = "word_vectors"

    def __init__(
        self,
        width: int = 100,
        architecture: str = "skip_gram",
        *,
        window: int = 5,
        negative: int = 5,
        min_count: int = 5,
        vocabulary: int = 1_000_000,
        subsample: float = 1e-3,
        subwords: bool = False,
        min_n: int = 3,
        max_n: int = 6,
        buckets: int = 200_000,
        seed: int = 42,
        threads: int = 0,
    ) -> None:
        super().__init__(
            width=width, architecture=architecture, window=window, negative=negative,
            min_count=min_count, vocabulary=vocabulary, subsample=subsample, subwords=subwords,
            min_n=min_n, max_n=max_n, buckets=buckets, seed=seed, threads=threads,
        )

    def fit(
        self,
        texts: Iterable[Union[str, Sequence[str]]],
        *,
        epochs: int = 5,
        learning_rate: float = 0.025,
        least_learning_rate: float = 1e-4,
        callback: Optional[Callback] = None,
        progress: Optional[bool] = None,
    ) -> History:
        """Learns the words of texts and their vectors; what was learned before is forgotten.

        Parameters
        ----------
        texts : iterable of str, or of sequences of str
            Texts, whose words are lower-case runs of letters and digits; or the words of each, taken
            as they are. Neighbours are of one text.
        epochs : int
            Passes over the texts.
        learning_rate, least_learning_rate : float
            It falls in a line from the first word of the first pass to the last of the last.
        callback, progress
        """
        rows = [texts] if isinstance(texts, str) else list(texts)
        given = {"epochs": epochs, "learning_rate": learning_rate,
                 "least_learning_rate": least_learning_rate}
        if any(not isinstance(row, str) for row in rows):
            rows, given["split"] = [_joined(row) for row in rows], "spaces"  # type: ignore[assignment]
        return self._fit({"text": strings(rows)}, given, callback, progress)  # type: ignore[arg-type]

    @property
    def words(self) -> dict[str, int]:
        """The words that were learned and how often each came, the most frequent first."""
        words, counts = self._call("vocabulary", {}, 2)
        return dict(zip(words.tolist(), counts.tolist()))

    def vector(self, words: Words) -> np.ndarray:
        """The vector of a word [width], or those of several [rows, width].

        Raises
        ------
        InvalidArgumentError
            Naming a word that was not learned, where there are no subwords.
        """
        vectors: np.ndarray = self._call("vector", {"words": _several(words)})[0]
        return vectors[0] if isinstance(words, str) else vectors

    def most_similar(
        self, positive: Words = (), negative: Words = (), top_k: int = 10, *, vector: Any = None
    ) -> list[tuple[str, float]]:
        """The words nearest to the mean of some words, less that of others, with their cosines.

        Parameters
        ----------
        positive, negative : str or sequence of str
            Each counts with its vector of length 1; none of them is in the answer.
        top_k : int
            Words in the answer.
        vector : array [width], optional
            One more that counts as positive.
        """
        given = {"positive": positive, "negative": negative}
        arrays = {name: _several(words) for name, words in given.items() if len(words)}
        arrays["vector"] = some(vector, reals)
        words, cosines = self._call("most_similar", arrays, 2, top_k=top_k)
        return list(zip(words.tolist(), cosines.tolist()))


def _several(words: Words) -> np.ndarray:
    return strings([words] if isinstance(words, str) else words)


def _joined(words: Union[str, Sequence[str]]) -> str:
    if isinstance(words, str):
        raise InvalidArgumentError(f"texts and words of texts are mixed: {words[:40]!r}")
    text = " ".join(words)
    if text.split() != list(words):
        wrong = next(word for word in words if word.split() != [word])
        raise InvalidArgumentError(f"{wrong!r} is not one word")
    return text
