"""WordPiece tokenisation, with the ids of Hugging Face ``tokenizers``."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Iterable, Sequence
from ctypes import byref, c_int64, c_size_t, c_void_p
from typing import Any, Optional, Union

from . import _native
from ._native import lib
from ._texts import AnyText, TextTable
from .errors import InvalidArgumentError, ShapeError

__all__ = ["Encoding", "Tokenizer"]


class Tokenizer:
    """A WordPiece tokenizer. Immutable and safe to use from many threads.

    Parameters
    ----------
    path : path
        ``tokenizer.json`` or ``vocab.txt``, or a folder with one of them.

    Examples
    --------
    >>> tokenizer = stacklens.Tokenizer("all-MiniLM-L6-v2")    # doctest: +SKIP
    >>> tokenizer.encode("connection refused").tokens          # doctest: +SKIP
    ['[CLS]', 'connection', 'refused', '[SEP]']
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._handle = c_void_p()
        lib.sl_tokenizer_load(_native.path_bytes(path), byref(self._handle))
        self._finalizer = weakref.finalize(
            self, lib.sl_tokenizer_release, c_void_p(self._handle.value)
        )

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, added tokens included."""
        size = c_size_t()
        lib.sl_tokenizer_vocabulary_size(self._handle, byref(size))
        return size.value

    def encode(
        self, text: AnyText, pair: Optional[AnyText] = None, **options: Any
    ) -> Encoding:
        """The tokens of one text, or of a pair; takes the options of `encode_batch`."""
        pairs = None if pair is None else [pair]
        return self.encode_batch([text], pairs, **options)[0]

    def encode_batch(
        self,
        texts: Iterable[AnyText],
        pairs: Optional[Iterable[AnyText]] = None,
        *,
        max_length: Optional[int] = None,
        special_tokens: bool = True,
        pad: bool = False,
        threads: int = 0,
    ) -> list[Encoding]:
        """The tokens of many texts.

        Parameters
        ----------
        texts : iterable of str or bytes
            Invalid UTF-8 reads as U+FFFD.
        pairs : iterable of str or bytes, optional
            A second text for each first one.
        max_length : int, optional
            Tokens kept of a text, special ones included; the file's setting unless given, -1 for
            no truncation.
        special_tokens : bool
            Add ``[CLS]`` and ``[SEP]``.
        pad : bool
            Pad every text to the longest of the batch.
        threads : int
            0 means the processors this process may use.
        """
        table = TextTable(texts)
        second = None if pairs is None else TextTable(pairs)
        if second is not None and second.count != table.count:
            raise ShapeError(f"{table.count} texts cannot pair with {second.count}")
        if max_length is not None and (max_length == 0 or not -1 <= max_length < 1 << 63):
            raise InvalidArgumentError(f"max_length is {max_length}, expected at least 1, or -1")
        options = _native.TokenizerOptions(
            ctypes.sizeof(_native.TokenizerOptions),
            max_length or 0,
            int(special_tokens),
            int(pad),
            threads,
        )
        out = c_void_p()
        lib.sl_tokenizer_encode(
            self._handle,
            table.pointer,
            None if second is None else second.pointer,
            table.count,
            byref(options),
            byref(out),
        )
        batch = _Batch(out)
        return [Encoding(self, batch, index) for index in range(table.count)]

    def token(self, id: int) -> str:
        """The text of an id: ``"##ing"``.

        Raises
        ------
        InvalidArgumentError
            Outside the vocabulary.
        """
        length = c_size_t()
        buffer = ctypes.create_string_buffer(128)
        try:
            lib.sl_tokenizer_token(self._handle, id, buffer, len(buffer), byref(length))
        except ShapeError:
            buffer = ctypes.create_string_buffer(length.value + 1)
            lib.sl_tokenizer_token(self._handle, id, buffer, len(buffer), byref(length))
        return buffer.raw[: length.value].decode()

    def id(self, token: str) -> int:
        """The id of a token.

        Raises
        ------
        InvalidArgumentError
            Where there is none.
        """
        out = c_int64()
        lib.sl_tokenizer_id(self._handle, _native.name_bytes(token, "token"), byref(out))
        return out.value

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a sequence of ids: word pieces joined, special tokens left out."""
        array = (c_int64 * len(ids))(*ids)
        out = c_void_p()
        lib.sl_tokenizer_decode(self._handle, array, len(ids), byref(out))
        return _native.take_bytes(out).decode()


class _Batch:
    """Keeps the library's batch alive for its encodings."""

    __slots__ = ("__weakref__", "_finalizer", "handle")

    def __init__(self, handle: c_void_p) -> None:
        self.handle = handle
        self._finalizer = weakref.finalize(self, lib.sl_encoding_release, c_void_p(handle.value))


class Encoding:
    """The tokens of one text, with the fields of Hugging Face's ``Encoding``."""

    __slots__ = ("_batch", "_fields", "_tokenizer")

    def __init__(self, tokenizer: Tokenizer, batch: _Batch, index: int) -> None:
        self._tokenizer, self._batch = tokenizer, batch
        self._fields = _native.Tokens()
        lib.sl_encoding_tokens(batch.handle, index, byref(self._fields))

    def __len__(self) -> int:
        return int(self._fields.count)

    def _list(self, pointer: Any) -> list[int]:
        return pointer[: self._fields.count] if self._fields.count else []

    def _spans(self, pointer: Any) -> list[tuple[int, int]]:
        flat = pointer[: 2 * self._fields.count] if self._fields.count else []
        return list(zip(flat[::2], flat[1::2]))

    @property
    def ids(self) -> list[int]:
        """Ids in the vocabulary."""
        return self._list(self._fields.ids)

    @property
    def type_ids(self) -> list[int]:
        """0 for the first text of a pair, 1 for the second."""
        return self._list(self._fields.type_ids)

    @property
    def attention_mask(self) -> list[int]:
        """1 for tokens, 0 for padding."""
        return self._list(self._fields.attention_mask)

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for tokens that are not from the text."""
        return self._list(self._fields.special_tokens_mask)

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Begin and end of each token, in characters of the text."""
        return self._spans(self._fields.offsets)

    @property
    def byte_offsets(self) -> list[tuple[int, int]]:
        """Begin and end of each token, in bytes of the UTF-8 text."""
        return self._spans(self._fields.byte_offsets)

    @property
    def tokens(self) -> list[str]:
        """The tokens as texts."""
        return [self._tokenizer.token(id) for id in self.ids]

    @property
    def is_truncated(self) -> bool:
        """Whether tokens were left out."""
        return bool(self._fields.is_truncated)

    def __repr__(self) -> str:
        return f"Encoding(num_tokens={len(self)})"
