"""Running models: `Session`, and `InferenceSession` with the spelling of ONNX Runtime."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from ctypes import byref, c_char_p, c_size_t, c_void_p
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from . import _logging, _native
from ._closing import Closing
from ._native import lib
from ._quick import QuickRuns
from .errors import InvalidArgumentError
from .model import Model, ModelSource
from .tensor import (
    TYPE_NAMES,
    Arguments,
    ArrayLike,
    Entries,
    Nothing,
    Several,
    Tensor,
    Value,
    checked_names,
    take_values,
)

__all__ = ["Cancellation", "InferenceSession", "NodeArg", "Session", "ValueInfo"]

_UNKNOWN_RANK = ctypes.c_size_t(-1).value
_KINDS = ("tensor", "sequence", "map", "optional")
_ORT_NAMES = {
    "float32": "float",
    "float64": "double",
    "str": "string",
    "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz",
    "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz",
    "float8_e8m0fnu": "float8e8m0",
    "float6_e2m3fn": "float6e2m3",
    "float6_e3m2fn": "float6e3m2",
    "float4_e2m1fn": "float4e2m1",
}



@dataclass(frozen=True)
class ValueInfo:
    """What a model declares of an input or output.

    Attributes
    ----------
    name : str
    dtype : str or None
        The element type in NumPy's spelling (``"float32"``, ``"bfloat16"``, ``"str"``).
    shape : tuple or None
        An int for each fixed extent, a str for each named one, None for each unknown one; None as a
        whole where the rank is not declared.
    kind : str
        ``"tensor"``, ``"sequence"``, ``"map"`` or ``"optional"``.
    """

    name: str
    dtype: Optional[str]
    shape: Optional[tuple[Union[int, str, None], ...]]
    kind: str = "tensor"

    @classmethod
    def _read(cls, info: _native.ValueInfo) -> ValueInfo:
        shape: Optional[tuple[Union[int, str, None], ...]] = None
        if info.rank != _UNKNOWN_RANK:
            shape = tuple(
                info.dims[axis] if info.dims[axis] >= 0 else info.dim_names[axis].decode() or None
                for axis in range(info.rank)
            )
        kind = _KINDS[info.kind] if 0 <= info.kind < len(_KINDS) else "tensor"
        return cls(info.name.decode(), TYPE_NAMES.get(info.type), shape, kind)


class Cancellation:
    """A flag that ends runs from another thread.

    Examples
    --------
    >>> flag = stacklens.Cancellation()
    >>> flag.cancel()
    """

    def __init__(self) -> None:
        self._handle = c_void_p()
        lib.sl_cancellation_create(byref(self._handle))
        self._finalizer = weakref.finalize(
            self, lib.sl_cancellation_release, c_void_p(self._handle.value)
        )

    def cancel(self) -> None:
        """Ends the runs that watch this flag; they raise `CancelledError` at their next step."""
        lib.sl_cancellation_cancel(self._handle)


class Session(Closing):
    """A model compiled to run. Immutable and safe to run from many threads at once.

    Parameters
    ----------
    model : path, bytes or Model
        An ONNX file, its contents, or a loaded model.
    threads : int
        Threads of one run, the caller included; 0 means the processors this process may use.
    optimization_level : int
        0 as written, 1 folding and dead code, 2 fusions too.
    memory_limit : int, optional
        Bytes that one run may take.
    profile : bool
        Record the time of each step for `profile_json`.
    log : callable, optional
        Receives ``(level, message)``; by default the logger ``stacklens``.

    Examples
    --------
    >>> session = stacklens.Session("model.onnx")                            # doctest: +SKIP
    >>> outputs = session.run(None, {"x": numpy.ones((1, 4), "float32")})    # doctest: +SKIP
    """

    _name = "session"

    def __init__(
        self,
        model: ModelSource,
        threads: int = 0,
        *,
        optimization_level: int = 2,
        memory_limit: Optional[int] = None,
        profile: bool = False,
        log: Optional[_logging.LogFunction] = None,
    ) -> None:
        source = Model._of(model)
        self._log = _logging.callback(log)
        options = _native.SessionOptions(
            ctypes.sizeof(_native.SessionOptions),
            _int32(threads, "threads"),
            _int32(optimization_level, "optimization_level"),
            _limit(memory_limit),
            int(profile),
            self._log,
            None,
        )
        self._handle = c_void_p()
        lib.sl_session_create(source._handle, byref(options), byref(self._handle))
        # The log callback is an argument, so that it lives as long as the library may call it.
        self._finalizer = weakref.finalize(
            self, _release, c_void_p(self._handle.value), self._log
        )
        inputs, outputs = c_size_t(), c_size_t()
        lib.sl_session_counts(self._handle, byref(inputs), byref(outputs))
        self._inputs = self._declared(lib.sl_session_input, inputs.value)
        self._outputs = self._declared(lib.sl_session_output, outputs.value)
        self._quick = QuickRuns([info.name for info in self._inputs])

    def _declared(self, read: Any, count: int) -> tuple[ValueInfo, ...]:
        values = []
        for index in range(count):
            info = _native.ValueInfo()
            read(self._handle, index, byref(info))
            values.append(ValueInfo._read(info))
        return tuple(values)

    @property
    def inputs(self) -> tuple[ValueInfo, ...]:
        """The declared inputs."""
        return self._inputs

    @property
    def outputs(self) -> tuple[ValueInfo, ...]:
        """The declared outputs."""
        return self._outputs

    def run(
        self,
        output_names: Optional[Sequence[str]],
        inputs: Mapping[str, ArrayLike],
        cancellation: Optional[Cancellation] = None,
    ) -> list[Value]:
        """Runs the model.

        Parameters
        ----------
        output_names : sequence of str or None
            The outputs wanted; None means all, in the model's order.
        inputs : mapping of str to array_like
            A value for each input: an array, a list for a sequence, None for an optional without
            content. Contiguous arrays are shared for the length of the run.
        cancellation : Cancellation, optional
            Ends the run from another thread.

        Returns
        -------
        list
            A NumPy array for each tensor, a list for a sequence, a dict for a map, None for an
            empty optional.

        Raises
        ------
        InvalidArgumentError, TypeMismatchError, ShapeError
            Naming the input that does not fit.
        """
        handle = self._live()
        if output_names is None and cancellation is None and type(inputs) is dict:
            values = self._quick.run(handle, inputs)
            if values is not None:
                return values
        results = self._run(handle, output_names, inputs, cancellation)
        if output_names is None:
            self._quick.learn(inputs, results)
        return results

    def _run(
        self,
        handle: c_void_p,
        output_names: Optional[Sequence[str]],
        inputs: Mapping[str, ArrayLike],
        cancellation: Optional[Cancellation],
    ) -> list[Value]:
        if not isinstance(inputs, (dict, Mapping)):
            raise InvalidArgumentError(
                f"inputs must map names to arrays, found {type(inputs).__name__}"
            )
        names = checked_names(list(inputs), "an input name")
        c_names = None
        count = len(self._outputs)
        if output_names is not None:
            wanted = checked_names(output_names, "output_names")
            count = len(wanted)
            c_names = (c_char_p * max(count, 1))(*wanted)
        outputs = (c_void_p * max(count, 1))()
        with Arguments([self._argument(*item) for item in inputs.items()]) as arguments:
            lib.sl_session_run(
                handle,
                (c_char_p * max(len(names), 1))(*names),
                arguments.array,
                len(names),
                c_names,
                count,
                None if cancellation is None else cancellation._handle,
                outputs,
            )
            # What a session gives lies in memory of its own.
            return take_values(outputs, count)

    def _argument(self, name: str, value: ArrayLike) -> ArrayLike:
        """The value as the model declares it: a list is a sequence where one is wanted."""
        if value is not None and not isinstance(value, (list, tuple, dict)):
            return value
        info = next((info for info in self._inputs if info.name == name), None)
        kind, dtype = (info.kind, info.dtype) if info else (None, None)
        if value is None:
            return Nothing() if kind == "optional" else value
        if isinstance(value, dict):
            return Entries(value, dtype)
        # An optional may hold either; a list of arrays is meant as a sequence.
        is_several = all(isinstance(element, (np.ndarray, Tensor)) for element in value)
        if kind == "sequence" or (kind == "optional" and is_several):
            return Several(Entries(v, dtype) if isinstance(v, dict) else v for v in value)
        return value

    def trim(self) -> None:
        """Gives the memory of idle runs and cached plans back to the system."""
        lib.sl_session_trim(self._live())

    def profile_json(self) -> str:
        """Recorded step times as Chrome trace JSON; needs ``profile=True``."""
        out = c_void_p()
        lib.sl_session_profile(self._live(), byref(out))
        return _native.take_bytes(out).decode()


def _release(handle: c_void_p, _callback: Any) -> None:
    lib.sl_session_release(handle)


def _int32(value: int, name: str) -> int:
    if not -(1 << 31) <= value < 1 << 31:
        raise InvalidArgumentError(f"{name} is {value}, which no option can hold")
    return int(value)


def _limit(value: Optional[int]) -> int:
    if value is None:
        return 0
    if not 0 < value < 1 << 64:
        raise InvalidArgumentError(f"memory_limit is {value}, expected a positive number of bytes")
    return int(value)


@dataclass(frozen=True)
class NodeArg:
    """An input or output in the spelling of ONNX Runtime.

    Attributes
    ----------
    name : str
    shape : list
        An int, a name or None for each axis.
    type : str
        ``"tensor(float)"``, ``"seq(tensor(int64))"`` ...
    """

    name: str
    shape: list[Union[int, str, None]]
    type: str

    @classmethod
    def _of(cls, info: ValueInfo) -> NodeArg:
        element = _ORT_NAMES.get(info.dtype or "", info.dtype or "undefined")
        tensor = f"tensor({element})"
        kinds = {"tensor": tensor, "sequence": f"seq({tensor})", "map": f"map(int64,{tensor})"}
        return cls(info.name, list(info.shape or ()), kinds.get(info.kind, f"optional({tensor})"))


class InferenceSession(Session):
    """`Session` with the methods that users of ONNX Runtime know.

    Parameters
    ----------
    path_or_bytes : path, bytes or Model
    sess_options, providers
        Accepted so that existing code runs; only ``intra_op_num_threads`` of ``sess_options`` has
        an effect.
    **options
        What `Session` takes.
    """

    def __init__(
        self,
        path_or_bytes: ModelSource,
        sess_options: Any = None,
        providers: Optional[Sequence[Any]] = None,
        **options: Any,
    ) -> None:
        threads = getattr(sess_options, "intra_op_num_threads", 0)
        super().__init__(path_or_bytes, **{"threads": threads, **options})

    def get_inputs(self) -> list[NodeArg]:
        """The declared inputs."""
        return [NodeArg._of(info) for info in self.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """The declared outputs."""
        return [NodeArg._of(info) for info in self.outputs]

    def get_providers(self) -> list[str]:
        """Where the model runs: on the CPU."""
        return ["CPUExecutionProvider"]

    def run(  # type: ignore[override]
        self,
        output_names: Optional[Sequence[str]],
        input_feed: Mapping[str, ArrayLike],
        run_options: Any = None,
    ) -> list[Value]:
        """Runs the model; ``run_options`` is accepted and ignored."""
        return super().run(output_names or None, input_feed)
