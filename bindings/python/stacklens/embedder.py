"""Texts as vectors."""

from __future__ import annotations

import ctypes
import os
import pathlib
import weakref
from collections.abc import Iterable, Sequence
from ctypes import byref, c_float, c_int32, c_int64, c_size_t, c_void_p
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from . import _logging, _native
from ._closing import Closing
from ._native import lib
from ._progress import ProgressBar
from ._texts import AnyText, TextTable
from .errors import CancelledError, InvalidArgumentError, ShapeError
from .tensor import pointer_to

__all__ = ["Embedder", "Match", "default_encoder", "nearest", "similarity"]

PRECISIONS = ("fp32", "bf16", "int8")
_DEFAULT_BATCH = 4096


class Match(NamedTuple):
    """A text of a corpus that is similar to a query."""

    index: int  # type: ignore[assignment]
    score: float
    text: str


def default_encoder() -> pathlib.Path:
    """The folder of the encoder that comes with this package: 384 numbers a text, two layers, made by
    ``python -m stacklens.recipes default_encoder`` (docs/models/default-encoder.md).

    The environment's ``STACKLENS_ENCODER`` names another one.
    """
    chosen = os.environ.get("STACKLENS_ENCODER")
    return pathlib.Path(chosen) if chosen else pathlib.Path(__file__).with_name("encoder")


class Embedder(Closing):
    """A text encoder with its tokenizer. Immutable and safe to use from many threads.

    The vector of a text is the same to the last bit alone, in any batch, in any order and with any
    number of threads.

    Parameters
    ----------
    folder : path, optional
        A sentence-transformers folder (``config.json``, ``model.safetensors``,
        ``tokenizer.json``), or one with ``model.onnx`` and a tokenizer; `default_encoder` unless
        given.
    precision : {"fp32", "bf16", "int8"}
        Number format of the matrix products; falls back to fp32 with a message to ``log`` where
        the CPU cannot.
    threads : int
        0 means the processors this process may use.
    max_length : int, optional
        Tokens kept of a text; the model's own setting unless given.
    log : callable, optional
        Receives ``(level, message)``; by default the logger ``stacklens``.

    Examples
    --------
    >>> embedder = stacklens.Embedder()
    >>> embedder.encode(["connection refused", "disk full"]).shape
    (2, 384)
    >>> better_and_slower = stacklens.Embedder("all-MiniLM-L6-v2")            # doctest: +SKIP
    """

    _name = "embedder"

    def __init__(
        self,
        folder: Union[str, os.PathLike[str], None] = None,
        precision: str = "fp32",
        threads: int = 0,
        max_length: Optional[int] = None,
        *,
        log: Optional[_logging.LogFunction] = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise InvalidArgumentError(
                f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}"
            )
        if max_length is not None and not 1 <= max_length < 1 << 63:
            raise InvalidArgumentError(f"max_length is {max_length}, expected at least 1")
        callback = _logging.callback(log)
        options = _native.EmbedderOptions(
            ctypes.sizeof(_native.EmbedderOptions),
            PRECISIONS.index(precision),
            threads,
            max_length or 0,
            callback,
            None,
        )
        self._handle = c_void_p()
        path = _native.path_bytes(default_encoder() if folder is None else folder)
        lib.sl_embedder_load(path, byref(options), byref(self._handle))
        # The callback is an argument, so that it lives as long as the library may call it.
        self._finalizer = weakref.finalize(self, _release, c_void_p(self._handle.value), callback)
        size = c_size_t()
        lib.sl_embedder_dimension(self._handle, byref(size))
        self._dimension = size.value

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    @property
    def precision(self) -> str:
        """The precision in use, after any fallback."""
        number = c_int32()
        lib.sl_embedder_precision(self._live(), byref(number))
        return PRECISIONS[number.value]

    def encode(
        self,
        texts: Union[AnyText, Iterable[AnyText]],
        batch_size: Optional[int] = None,
        normalize: bool = True,
        progress: bool = False,
    ) -> np.ndarray:
        """Embeds texts.

        Parameters
        ----------
        texts : str, bytes, or iterable of them
            Invalid UTF-8 reads as U+FFFD.
        batch_size : int, optional
            Texts handed to the library at a time (4096 unless given). It bounds how long an
            interrupt waits; the vectors do not depend on it.
        normalize : bool
            Scale vectors to length 1.
        progress : bool
            Draw a progress bar on stderr.

        Returns
        -------
        array, float32
            ``[n, dimension]``; ``[dimension]`` for a single text.
        """
        if isinstance(texts, (str, bytes)):
            return self.encode([texts], batch_size, normalize, progress)[0]
        items = texts if isinstance(texts, (list, tuple)) else list(texts)
        size = _DEFAULT_BATCH if batch_size is None else batch_size
        if size < 1:
            raise InvalidArgumentError(f"batch_size is {batch_size}, expected at least 1")
        vectors = np.empty((len(items), self._dimension), dtype=np.float32)
        bar = ProgressBar(len(items), "embedding") if progress else None
        try:
            for start in range(0, len(items), size):
                rows = vectors[start : start + size]
                report = None if bar is None else _Report(bar, start)
                self._encode(TextTable(items[start : start + size]), normalize, rows, report)
        finally:
            if bar is not None:
                bar.close()
        return vectors

    def _encode(
        self, table: TextTable, normalize: bool, rows: np.ndarray, report: Optional[_Report]
    ) -> None:
        options = _encode_options(normalize, report)
        try:
            lib.sl_embedder_encode(
                self._live(),
                table.pointer,
                table.count,
                byref(options),
                pointer_to(rows, c_float),
                rows.size,
            )
        except CancelledError:
            if report is not None and report.error is not None:
                raise report.error from None
            raise

    def encode_ids(
        self, ids: Sequence[Sequence[int]], normalize: bool = True
    ) -> np.ndarray:
        """Embeds texts given as token ids, special tokens included.

        Returns
        -------
        array, float32
            ``[n, dimension]``.
        """
        rows = [np.asarray(row, dtype=np.int64).reshape(-1) for row in ids]
        flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        lengths = np.array([row.size for row in rows], dtype=np.uintp)
        vectors = np.empty((len(rows), self._dimension), dtype=np.float32)
        options = _encode_options(normalize, None)
        lib.sl_embedder_encode_ids(
            self._live(),
            pointer_to(flat, c_int64),
            pointer_to(lengths, c_size_t),
            len(rows),
            byref(options),
            pointer_to(vectors, c_float),
            vectors.size,
        )
        return vectors

    def similarity(self, left: AnyText, right: AnyText) -> float:
        """Cosine similarity of two texts, in [-1, 1]."""
        table = TextTable([left, right])
        out = c_float()
        lib.sl_embedder_similarity(self._live(), table[0], table[1], byref(out))
        return out.value

    def find_similar(
        self,
        text: AnyText,
        corpus: Sequence[AnyText],
        top_k: int = 5,
        threshold: float = 0.0,
    ) -> list[Match]:
        """The texts of a corpus that are most similar to ``text``.

        Parameters
        ----------
        text : str or bytes
        corpus : sequence of str or bytes
        top_k : int
            How many at most.
        threshold : float
            In [-1, 1]; less similar texts are left out.

        Returns
        -------
        list of Match
            ``(index, score, text)``, best first, ties by smaller index.
        """
        query, table = TextTable([text]), TextTable(corpus)
        room = _room(top_k, table.count)
        indices, scores, count = (c_size_t * room)(), (c_float * room)(), c_size_t()
        lib.sl_embedder_find_similar(
            self._live(),
            query[0],
            table.pointer,
            table.count,
            room,
            threshold,
            indices,
            scores,
            byref(count),
        )
        return [
            Match(indices[rank], scores[rank], _shown(corpus[indices[rank]]))
            for rank in range(count.value)
        ]

    def save_onnx(self, path: Union[str, os.PathLike[str]], opset: Optional[int] = None) -> None:
        """Writes the encoder (ids and mask to last hidden state and sentence vector) as ONNX.

        Parameters
        ----------
        path : path
            The file to write or replace.
        opset : int, optional
            17 unless given.
        """
        number = _native.opset_number(opset)
        lib.sl_embedder_save_onnx(self._live(), _native.path_bytes(path), number)

    def trim(self) -> None:
        """Gives the memory of idle runs back to the system."""
        lib.sl_embedder_trim(self._live())


class _Report:
    """Hands the library's progress on to a bar; an exception there ends the work."""

    def __init__(self, bar: ProgressBar, start: int) -> None:
        self._bar, self._start = bar, start
        self.error: Optional[BaseException] = None
        self.callback = _native.progress_callback(self._receive)

    def _receive(self, done: int, _total: int, _: Any) -> int:
        try:
            self._bar.update(self._start + done)
        except BaseException as error:  # raised again by the caller: it must not cross C
            self.error = error
            return 1
        return 0


def _encode_options(normalize: bool, report: Optional[_Report]) -> _native.EncodeOptions:
    none = _native.progress_callback()
    return _native.EncodeOptions(
        ctypes.sizeof(_native.EncodeOptions),
        int(normalize),
        none if report is None else report.callback,
        None,
    )


def _release(handle: c_void_p, _callback: Any) -> None:
    lib.sl_embedder_release(handle)


def _room(top_k: int, count: int) -> int:
    if top_k < 1:
        raise InvalidArgumentError(f"top_k is {top_k}, expected at least 1")
    return max(1, min(top_k, count))


def _shown(text: AnyText) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _floats(array: Any, ndim: int, name: str) -> np.ndarray:
    converted = np.ascontiguousarray(array, dtype=np.float32)
    if converted.ndim != ndim:
        raise ShapeError(f"{name} has shape {np.shape(array)}, expected {ndim} axes")
    return converted


def similarity(left: Any, right: Any) -> float:
    """Cosine similarity of two vectors; 0 when one of them is zero.

    Examples
    --------
    >>> import stacklens
    >>> stacklens.similarity([3, 4], [6, 8])
    1.0
    """
    first, second = _floats(left, 1, "left"), _floats(right, 1, "right")
    if first.shape != second.shape:
        raise ShapeError(f"left has {first.size} elements, right has {second.size}")
    out = c_float()
    lib.sl_similarity(
        pointer_to(first, c_float), pointer_to(second, c_float), first.size, byref(out)
    )
    return out.value


def nearest(
    query: Any, vectors: Any, top_k: int = 5, threshold: float = -1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of ``vectors`` that are most similar to ``query``.

    Parameters
    ----------
    query : array_like
        ``[dimension]``.
    vectors : array_like
        ``[count, dimension]``.
    top_k : int
        How many at most.
    threshold : float
        In [-1, 1]; less similar rows are left out.

    Returns
    -------
    indices : array, int64
        Best first, ties by smaller index.
    scores : array, float32
    """
    one, rows = _floats(query, 1, "query"), _floats(vectors, 2, "vectors")
    if rows.shape[1] != one.size:
        raise ShapeError(f"query has {one.size} elements, vectors have {rows.shape[1]}")
    room = _room(top_k, rows.shape[0])
    indices, scores = np.empty(room, dtype=np.uintp), np.empty(room, dtype=np.float32)
    count = c_size_t()
    lib.sl_nearest(
        pointer_to(one, c_float),
        pointer_to(rows, c_float),
        rows.shape[0],
        rows.shape[1],
        room,
        threshold,
        pointer_to(indices, c_size_t),
        pointer_to(scores, c_float),
        byref(count),
    )
    return indices[: count.value].astype(np.int64), scores[: count.value]
