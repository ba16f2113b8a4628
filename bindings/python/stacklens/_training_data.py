"""Data to train on in the forms that people have it: arrays, dicts of arrays, batches that somebody
iterates over."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ctypes import byref, c_char_p, c_void_p
from functools import cache
from typing import Any, Optional, Union

import numpy as np

from . import _native
from ._native import lib
from ._options import json_bytes
from .errors import InvalidArgumentError, Status, TypeMismatchError
from .session import ValueInfo
from .tensor import Arguments, Tensor, as_array, from_dlpack, new_handle


class Schema:
    """What a batch holds: the model's inputs and the loss's targets, by name.

    Parameters
    ----------
    inputs : sequence of ValueInfo
    targets : sequence of str
    """

    def __init__(self, inputs: Sequence[ValueInfo], targets: Sequence[str]) -> None:
        self.inputs = {info.name: info for info in inputs}
        self.targets = list(targets)
        # Names of all parts of a batch.
        self.names = list(dict.fromkeys([*self.inputs, *self.targets]))

    def named(self, x: Any, y: Any = None) -> dict[str, Union[Tensor, np.ndarray]]:
        """Arrays by the names of the parts that they are."""
        given = self._parts(x, list(self.inputs), "inputs")
        if y is not None:
            given.update(self._parts(y, self.targets, "targets"))
        for name in given:
            if name not in self.names:
                raise InvalidArgumentError(
                    f"the data has '{name}', the model takes {_listed(self.inputs)} and the loss "
                    f"{_listed(self.targets)}"
                )
        return {name: self.converted(name, value) for name, value in given.items()}

    def complete(self, x: Any, y: Any = None) -> dict[str, Union[Tensor, np.ndarray]]:
        """The same, and nothing may be missing."""
        given = self.named(x, y)
        missing = [name for name in self.names if name not in given]
        if missing:
            targets = [name for name in missing if name in self.targets]
            hint = ": give y, the targets of the loss" if targets else ""
            raise InvalidArgumentError(f"the data lacks {_listed(missing)}{hint}")
        return given

    def pair(self, x: Any, y: Any) -> Optional[dict[str, Any]]:
        """What is given by name, as far as that takes no look at it: a dict of all, or one input and
        one target."""
        if y is None:
            return x if type(x) is dict else None
        if len(self.inputs) != 1 or len(self.targets) != 1:
            return None
        given = {name: x for name in self.inputs}
        given[self.targets[0]] = y
        return given

    def _parts(self, value: Any, names: Sequence[str], what: str) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return dict(value)
        if len(names) == 1:
            is_one = isinstance(value, tuple) and len(value) == 1
            return {names[0]: value[0] if is_one else value}
        if not names:
            raise InvalidArgumentError(f"{what} are given, but there are none to give")
        if isinstance(value, (list, tuple)) and len(value) == len(names):
            return dict(zip(names, value))
        raise InvalidArgumentError(
            f"there are {len(names)} {what} ({_listed(names)}): give a dict by name, or one array "
            "for each in that order"
        )

    def converted(self, name: str, value: Any) -> Union[Tensor, np.ndarray]:
        """An array as the library shares it. Numbers of another width than the model declares are
        converted; for targets, integers become int64 and floats float32."""
        info = self.inputs.get(name)
        array = shared(value, name)
        dtype = array.dtype if isinstance(array, Tensor) else _name_of(array.dtype)
        wanted = info.dtype if info is not None else _target_type(dtype)
        if wanted is None or dtype == wanted:
            return array
        source = np.asarray(array)
        if source.dtype.kind in "iuf" and wanted in _NUMBERS and _loses_nothing(source, wanted):
            return source.astype(wanted)
        return array


@cache
def _name_of(dtype: np.dtype[Any]) -> str:
    """Which numpy puts together anew each time that it is asked."""
    return str(dtype.name)


_NUMBERS = {"float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8"}


def _loses_nothing(array: np.ndarray, wanted: str) -> bool:
    """Whether only the width of the numbers changes, or integers become floats."""
    return array.dtype.kind != "f" or wanted.startswith("float")


def _target_type(dtype: str) -> Optional[str]:
    if dtype in ("float64", "float16"):
        return "float32"
    return "int64" if dtype.startswith(("int", "uint")) else None


def shared(value: Any, name: str) -> Union[Tensor, np.ndarray]:
    """An array over the caller's memory where that can be shared."""
    if isinstance(value, (Tensor, np.ndarray)):
        return value
    if hasattr(value, "__dlpack__"):
        if getattr(value, "requires_grad", False):
            value = value.detach()
        return from_dlpack(value)
    try:
        array = as_array(value)
    except ValueError as error:
        raise InvalidArgumentError(f"'{name}' is no array: {error}") from None
    if array.dtype.kind == "O":
        raise TypeMismatchError(
            f"'{name}' is no array: rows of different lengths must be padded to one"
        )
    return array


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def are_batches(x: Any, y: Any) -> bool:
    """Whether ``x`` is something to iterate over that gives batches."""
    if y is not None or isinstance(x, (Mapping, np.ndarray, Tensor)) or hasattr(x, "__dlpack__"):
        return False
    if isinstance(x, (list, tuple)):
        return bool(x) and all(isinstance(item, (tuple, Mapping)) for item in x)
    return callable(x) or hasattr(x, "__iter__")


class Dataset:
    """Rows or batches as the library asks for them."""

    def __init__(self, handle: c_void_p, *kept: Any) -> None:
        self._handle = handle
        #: What a function of the caller's raised while the library waited for a batch.
        self.error: Optional[BaseException] = None
        self._finalizer = weakref.finalize(self, _release, c_void_p(handle.value), kept)

    def close(self) -> None:
        """Gives the data back to its owner."""
        self._finalizer()

    @classmethod
    def of(cls, schema: Schema, x: Any, y: Any, options: Mapping[str, Any]) -> Dataset:
        """A data set from what the caller has."""
        if are_batches(x, y):
            return BatchDataset(schema, x)
        arrays = schema.complete(x, y)
        names = [_native.name_bytes(name, "a name in the data") for name in arrays]
        out = c_void_p()
        with Arguments(list(arrays.values())) as arguments:
            lib.sl_dataset_create(
                (c_char_p * max(len(names), 1))(*names), arguments.array, len(names),
                json_bytes(options, "options"), byref(out),
            )
        return cls(out)


class BatchDataset(Dataset):
    """Batches that somebody iterates over, anew for each epoch."""

    def __init__(self, schema: Schema, source: Any) -> None:
        self._schema, self._source = schema, source
        self._epoch, self._next = -1, 0
        self._iterator: Iterator[Any] = iter(())
        names = [_native.name_bytes(name, "a name in the data") for name in schema.names]
        count = len(source) if hasattr(source, "__len__") else 0
        # The library's callback may not keep the data set, or neither would ever be released.
        this = weakref.ref(self)

        def make(index: int, epoch: int, values: Any, _user_data: Any) -> int:
            data = this()
            return Status.CANCELLED if data is None else data._fill(index, epoch, values)

        callback = _native.batch_callback(make)
        out = c_void_p()
        lib.sl_dataset_create_callback(
            (c_char_p * len(names))(*names), len(names), count, callback,
            _native.release_callback(), None, byref(out),
        )
        super().__init__(out, callback)

    def _fill(self, index: int, epoch: int, values: Any) -> int:
        try:
            batch = self._batch(index, epoch)
            if batch is not None:
                for place, name in enumerate(self._schema.names):
                    values[place] = new_handle(batch[name])[0].value
            return Status.OK
        except BaseException as error:
            self.error = error
            return Status.CANCELLED

    def _batch(self, index: int, epoch: int) -> Optional[dict[str, Any]]:
        if epoch != self._epoch or index < self._next:
            self._iterator = iter(self._source() if callable(self._source) else self._source)
            self._epoch, self._next = epoch, 0
        item: Any = None
        while self._next <= index:
            try:
                item = next(self._iterator)
            except StopIteration:
                if index == 0 and epoch > 0:
                    raise InvalidArgumentError(
                        f"there was no batch in epoch {epoch}: a generator gives its batches once; "
                        "give a function that makes a new one"
                    ) from None
                return None
            self._next += 1
        return batch_of(self._schema, item)


def batch_of(schema: Schema, item: Any) -> dict[str, Any]:
    """One batch: a dict, a pair of inputs and targets, or inputs alone."""
    if isinstance(item, (tuple, list)) and len(item) == 2 and schema.targets:
        return schema.complete(item[0], item[1])
    if isinstance(item, (tuple, list)) and len(item) == 1:
        return schema.complete(item[0])
    return schema.complete(item)


def _release(handle: c_void_p, _kept: Any) -> None:
    lib.sl_dataset_release(handle)


def divided(
    x: Any, y: Any, share: float, seed: int
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Arrays in two parts: rows to train on, and a share of rows to validate with."""
    if not 0 < share < 1:
        raise InvalidArgumentError(f"validation is {share}, expected a share between 0 and 1")
    count = _row_count(x)
    held = round(count * share)
    if not 0 < held < count:
        raise InvalidArgumentError(f"a share of {share} leaves one part of {count} rows empty")
    order = np.random.default_rng(seed).permutation(count)
    train, test = np.sort(order[held:]), np.sort(order[:held])
    return ((_rows(x, train), _rows(y, train)), (_rows(x, test), _rows(y, test)))


def _row_count(x: Any) -> int:
    if isinstance(x, Mapping):
        return _row_count(next(iter(x.values())))
    if isinstance(x, (tuple, list)) and len(x) and hasattr(x[0], "__len__"):
        return _row_count(x[0]) if not isinstance(x[0], (int, float)) else len(x)
    return len(x)


def _rows(value: Any, rows: np.ndarray) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: _rows(part, rows) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_rows(part, rows) for part in value)
    return np.asarray(shared(value, "x"))[rows]


