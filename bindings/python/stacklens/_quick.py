"""Runs and training steps on arrays by one call into the library, described to it before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from ctypes import POINTER, addressof, byref, c_char, c_int64, c_void_p, cast
from typing import Any, Optional

import numpy as np

from ._native import Array, TrainingEvent, lib, names_of
from .tensor import number_of, take_values

__all__ = ["QuickRuns", "QuickSteps"]

# Arrays up to this size are copied in and out, which costs less than a look at their memory. The
# memory of larger inputs is lent, that of larger outputs is the library's.
_MOST_BYTES = 1 << 15
# Combinations of types and shapes that are remembered; beyond that all are forgotten.
_MOST_KINDS = 64


class _Frame:
    """Memory for the small inputs and outputs of one run, and what the library is told of all."""

    __slots__ = ("arguments", "inputs", "others", "outputs", "places")

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.inputs = [_memory(*kind) for kind in inputs]
        self.outputs = [_memory(*kind) for kind in outputs]
        self.others = (c_void_p * max(len(outputs), 1))()
        described = _described(inputs, self.inputs)
        self.places = list(described)[: len(inputs)]
        self.arguments = (
            described, len(inputs), _described(outputs, self.outputs), len(outputs), self.others,
        )


def _memory(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Optional[np.ndarray]:
    """Room for a small array."""
    is_small = dtype.itemsize * math.prod(shape) <= _MOST_BYTES
    return np.empty(shape, dtype) if is_small else None


def _described(kinds: Sequence[Any], arrays: Sequence[Optional[np.ndarray]]) -> Any:
    result = (Array * max(len(kinds), 1))()
    for place, (dtype, shape), array in zip(result, kinds, arrays):
        place.type = number_of(dtype)
        place.rank = len(shape)
        place.dims = cast((c_int64 * max(len(shape), 1))(*shape), POINTER(c_int64))
        place.data = None if array is None else array.ctypes.data
        place.byte_count = dtype.itemsize * math.prod(shape)
    return result


def _address(array: np.ndarray) -> int:
    """Where a contiguous array begins."""
    try:
        return addressof(c_char.from_buffer(array))  # a third of what NumPy takes to say it
    except (TypeError, ValueError):  # read-only, or empty
        return int(array.ctypes.data)


def _lends(place: Array, array: np.ndarray) -> bool:
    """Whether the library can read an array where it lies, which `place` then tells it."""
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned):
        return False
    place.data = _address(array)
    return True


def _kind(arrays: Iterable[Any]) -> Optional[tuple[Any, ...]]:
    """The types and shapes of arrays; None where something is no plain one."""
    kind: list[Any] = []
    for array in arrays:
        if type(array) is not np.ndarray:
            return None
        kind += (array.dtype, array.shape)
    return tuple(kind)


def _remember(kinds: dict[Any, Any], kind: Any, value: Any) -> None:
    if len(kinds) >= _MOST_KINDS:
        kinds.clear()
    kinds[kind] = value


class QuickRuns:
    """The frames of a session by the types and shapes of its inputs."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._kinds: dict[Any, tuple[list[_Frame], list[Any], list[Any]]] = {}

    def run(self, handle: c_void_p, inputs: Mapping[str, Any]) -> Optional[list[Any]]:
        """All outputs, or None where inputs of these types and shapes have not been seen."""
        given = [inputs.get(name) for name in self._names]
        known = self._kinds.get(_kind(given))
        if known is None or len(inputs) != len(given):
            return None
        frames, kinds_in, kinds_out = known
        try:
            frame = frames.pop()
        except IndexError:  # others run at the same time
            frame = _Frame(kinds_in, kinds_out)
        for place, memory, array in zip(frame.places, frame.inputs, given):
            if memory is not None:
                memory[...] = array
            elif not _lends(place, array):
                frames.append(frame)
                return None
        lib.sl_session_run_arrays(handle, *frame.arguments)
        if any(frame.others):
            values = take_values(frame.others, len(frame.outputs))
            results = [
                array.copy() if value is None and array is not None else value
                for array, value in zip(frame.outputs, values)
            ]
        else:
            results = [array.copy() for array in frame.outputs]
        frames.append(frame)
        return results

    def learn(self, inputs: Mapping[str, Any], outputs: Sequence[Any]) -> None:
        """Prepares for more runs like one that gave `outputs`, where all of them are plain arrays."""
        given = [inputs.get(name) for name in self._names]
        if len(inputs) != len(given) or not all(map(_is_plain, [*given, *outputs])):
            return
        kinds_in, kinds_out = ([(a.dtype, a.shape) for a in list_] for list_ in (given, outputs))
        _remember(self._kinds, _kind(given), ([], kinds_in, kinds_out))


class QuickSteps:
    """What a trainer's batches look like, by the names, types and shapes of their arrays."""

    def __init__(self) -> None:
        self._kinds: dict[Any, tuple[Any, list[Any]]] = {}

    def step(
        self, handle: c_void_p, batch: Mapping[str, Any], event: TrainingEvent
    ) -> bool:
        """Takes a step; False, and none was taken, where no batch like this one has been seen."""
        arrays = list(batch.values())
        known = self._kinds.get((tuple(batch), _kind(arrays)))
        if known is None:
            return False
        names, spares = known
        try:
            described = spares.pop()
        except IndexError:  # others step at the same time
            described = _described([(a.dtype, a.shape) for a in arrays], [None] * len(arrays))
        is_lent = all(map(_lends, described, arrays))
        if is_lent:
            lib.sl_trainer_step_arrays(handle, names, described, len(arrays), byref(event))
        spares.append(described)
        return is_lent

    def learn(self, given: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Prepares for more batches like ``given``, where the step took its arrays as they are."""
        if list(given) != list(batch) or not all(
            given[name] is array and _is_plain(array) for name, array in batch.items()
        ):
            return
        _remember(self._kinds, (tuple(batch), _kind(batch.values())), (names_of(batch), []))


def _is_plain(array: Any) -> bool:
    if type(array) is not np.ndarray or number_of(array.dtype) is None:
        return False
    # The library wants large complex numbers aligned more than NumPy has them.
    return array.nbytes <= _MOST_BYTES or array.dtype.kind != "c"
