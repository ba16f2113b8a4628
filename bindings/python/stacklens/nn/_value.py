"""Symbolic values: what operators give while a model is being put together."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional, Union

import numpy as np

from .._symbol import Symbol
from ..errors import InvalidArgumentError, ShapeError, TypeMismatchError
from ._graph import Graph

Number = Union[int, float, bool]
Operand = Union["Value", np.ndarray, Number]
Axis = Union[int, Sequence[int], None]

_LAST = (1 << 63) - 1


class _Tracing(threading.local):
    """The graph that is being put together on this thread."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = []


_tracing = _Tracing()


@contextmanager
def tracing(graph: Graph) -> Iterator[Graph]:
    """Constants and parameters that meet no value go to this graph."""
    _tracing.graphs.append(graph)
    try:
        yield graph
    finally:
        _tracing.graphs.pop()


def is_tracing() -> bool:
    """Whether a model is being put together on this thread."""
    return bool(_tracing.graphs)


def current_graph() -> Graph:
    """The graph that is being put together."""
    if not _tracing.graphs:
        raise InvalidArgumentError(
            "no model is being built: stacklens.nn.build(module, inputs) calls modules with values"
        )
    return _tracing.graphs[-1]


class Value(Symbol):
    """A value of a model under construction: an input, a parameter or what an operator makes of
    them.

    Arithmetic, comparisons, indexing and the methods below add nodes to the model; so does every
    function of `stacklens.ops`. Numbers and arrays that meet a value become constants.

    Attributes
    ----------
    name : str
        What the model calls it.
    """

    __slots__ = ("_graph", "_info", "name")
    # NumPy leaves operators between an array and a value to this class.
    __array_ufunc__ = None

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph, self.name = graph, name
        self._info: Any = None

    # ---- What is known of it --------------------------------------------------------------------

    def _known(self) -> Any:
        if self._info is None:
            self._info = self._graph.info(self.name)
        return self._info

    @property
    def shape(self) -> tuple[Union[int, str, None], ...]:
        """The extents: a number, a name ("batch") or None for each axis."""
        shape = self._known().shape
        if shape is None:
            raise ShapeError(f"not even the rank of '{self.name}' is known")
        return tuple(shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> Optional[str]:
        """The element type ("float32"); None where it is not known."""
        found: Optional[str] = self._known().dtype
        return found

    def __repr__(self) -> str:
        info = self._known()
        return f"Value({self.name!r}, shape={info.shape}, dtype={info.dtype!r})"

    # ---- Nodes ----------------------------------------------------------------------------------

    def _applied(
        self, name: str, domain: str, inputs: Sequence[Any], attributes: dict[str, Any], count: int
    ) -> list[Value]:
        graph = self._graph
        names = [None if value is None else as_value(value, graph).name for value in inputs]
        return [Value(graph, made) for made in graph.op(name, names, attributes, domain, count)]

    def _op(self, name: str, *others: Any, **attributes: Any) -> Value:
        return self._applied(name, "", [self, *others], attributes, 1)[0]

    # ---- Arithmetic -----------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Value:
        return _binary("Add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return _binary("Add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return _binary("Sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return _binary("Sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return _binary("Mul", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return _binary("Mul", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return _binary("Div", *_floats(self, other))

    def __rtruediv__(self, other: Operand) -> Value:
        return _binary("Div", *_floats(other, self))

    def __pow__(self, other: Operand) -> Value:
        return _binary("Pow", self, other)

    def __rpow__(self, other: Operand) -> Value:
        return _binary("Pow", other, self)

    def __matmul__(self, other: Operand) -> Value:
        return _binary("MatMul", self, other)

    def __rmatmul__(self, other: Operand) -> Value:
        return _binary("MatMul", other, self)

    def __neg__(self) -> Value:
        return self._op("Neg")

    def __abs__(self) -> Value:
        return self._op("Abs")

    # ---- Comparisons and logic ------------------------------------------------------------------

    def __lt__(self, other: Operand) -> Value:
        return _binary("Less", self, other)

    def __le__(self, other: Operand) -> Value:
        return _binary("LessOrEqual", self, other)

    def __gt__(self, other: Operand) -> Value:
        return _binary("Greater", self, other)

    def __ge__(self, other: Operand) -> Value:
        return _binary("GreaterOrEqual", self, other)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]
        return _binary("Equal", self, other)

    def __ne__(self, other: object) -> Value:  # type: ignore[override]
        return _binary("Equal", self, other)._op("Not")

    __hash__ = object.__hash__

    def __and__(self, other: Operand) -> Value:
        return _binary("And", self, other)

    __rand__ = __and__

    def __or__(self, other: Operand) -> Value:
        return _binary("Or", self, other)

    __ror__ = __or__

    def __invert__(self) -> Value:
        return self._op("Not")

    def __bool__(self) -> bool:
        raise TypeError(
            f"'{self.name}' has no truth value while the model is being built; stacklens.nn.where "
            "chooses between values"
        )

    def __iter__(self) -> Iterator[Value]:
        extent = self.shape[0] if self.shape else None
        if not isinstance(extent, int):
            raise TypeError(f"'{self.name}' has no fixed first extent to iterate over")
        return (self[index] for index in range(extent))

    # ---- Parts ----------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Value:
        """Parts by integers, slices, ``...``, ``None`` for a new axis, or a value of indices for the
        first axis."""
        if isinstance(key, (Symbol, np.ndarray, list)):
            return self._op("Gather", np.asarray(key) if isinstance(key, list) else key, axis=0)
        keys = list(key) if isinstance(key, tuple) else [key]
        return _part(self, keys)

    # ---- Shapes ---------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Value:
        """The same elements under another shape. One extent may be -1; an extent of ``x.shape`` of
        this value that has a name or is None means what it is when the model runs."""
        extents = list(shape[0]) if len(shape) == 1 and _is_list(shape[0]) else list(shape)
        if all(isinstance(extent, (int, np.integer)) for extent in extents):
            return self._op("Reshape", np.array(extents, np.int64))
        parts = [self._extent(extent, axis) for axis, extent in enumerate(extents)]
        return self._op("Reshape", concat(parts, axis=0))

    view = reshape

    def _extent(self, extent: Any, axis: int) -> Any:
        if isinstance(extent, (int, np.integer)):
            return np.array([extent], np.int64)
        if isinstance(extent, Value):
            return extent.reshape(1)
        same = [place for place, own in enumerate(self.shape) if own == extent]
        if not same or (extent is None and axis not in same):
            raise ShapeError(f"the extent {extent!r} is none of {self.shape}")
        place = axis if axis in same else same[0]
        return self._op("Shape", start=place, end=place + 1)

    def flatten(self, start: int = 0) -> Value:
        """All axes from ``start`` on as one."""
        rank = self.ndim
        start = _axis(start, max(rank, 1))
        if rank <= 1:
            return self.reshape(-1)
        return self._op("Reshape", np.array([0] * start + [-1], np.int64))

    def transpose(self, *axes: Any) -> Value:
        """The axes in another order; two numbers swap two axes, none reverses all."""
        rank = self.ndim
        order = list(axes[0]) if len(axes) == 1 and _is_list(axes[0]) else list(axes)
        if not order:
            order = list(range(rank))[::-1]
        elif len(order) == 2 and rank != 2:
            first, second = (_axis(axis, rank) for axis in order)
            order = list(range(rank))
            order[first], order[second] = second, first
        return self._op("Transpose", perm=[_axis(axis, rank) for axis in order])

    def permute(self, *axes: Any) -> Value:
        """The axes in another order."""
        order = list(axes[0]) if len(axes) == 1 and _is_list(axes[0]) else list(axes)
        return self._op("Transpose", perm=[_axis(axis, self.ndim) for axis in order])

    @property
    def T(self) -> Value:
        """The axes in reverse order."""
        return self.transpose()

    def unsqueeze(self, axis: Axis) -> Value:
        """A new axis of extent 1."""
        return self._op("Unsqueeze", _axes(axis))

    def squeeze(self, axis: Axis = None) -> Value:
        """Without an axis of extent 1; without all of them where none is given."""
        return self._op("Squeeze") if axis is None else self._op("Squeeze", _axes(axis))

    def astype(self, dtype: Any) -> Value:
        """The elements in another type."""
        from ._graph import type_number

        return self._op("Cast", to=type_number(dtype))

    def float(self) -> Value:
        """The elements as float32."""
        return self.astype("float32")

    # ---- Sums -----------------------------------------------------------------------------------

    def _reduced(self, name: str, axis: Axis, keepdims: bool) -> Value:
        axes = [] if axis is None else [_axes(axis)]
        return self._op(name, *axes, keepdims=int(keepdims))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """The sum over some axes, all where none is given."""
        return self._reduced("ReduceSum", axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """The mean over some axes, all where none is given."""
        return self._reduced("ReduceMean", axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """The largest element along some axes, all where none is given."""
        return self._reduced("ReduceMax", axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """The smallest element along some axes, all where none is given."""
        return self._reduced("ReduceMin", axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """The mean squared distance to the mean."""
        distance = self - self.mean(axis, keepdims=True)
        return (distance * distance).mean(axis, keepdims)

    def argmax(self, axis: int = -1, keepdims: bool = False) -> Value:
        """Where along an axis the largest element is."""
        return self._op("ArgMax", axis=axis, keepdims=int(keepdims))

    # ---- Functions ------------------------------------------------------------------------------

    def relu(self) -> Value:
        """max(x, 0)"""
        return self._op("Relu")

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x))"""
        return self._op("Sigmoid")

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return self._op("Tanh")

    def exp(self) -> Value:
        """e to the power of x."""
        return self._op("Exp")

    def log(self) -> Value:
        """The natural logarithm."""
        return self._op("Log")

    def sqrt(self) -> Value:
        """The square root."""
        return self._op("Sqrt")

    def softmax(self, axis: int = -1) -> Value:
        """exp(x) over its sum along an axis."""
        return self._op("Softmax", axis=axis)

    def log_softmax(self, axis: int = -1) -> Value:
        """The logarithm of `softmax`."""
        return self._op("LogSoftmax", axis=axis)

    def clip(self, low: Optional[Number] = None, high: Optional[Number] = None) -> Value:
        """The elements, none below ``low`` or above ``high``."""
        bounds = [None if bound is None else _like(bound, self) for bound in (low, high)]
        return self._op("Clip", *bounds)


# ---- Operands -----------------------------------------------------------------------------------


def as_value(source: Any, graph: Optional[Graph] = None) -> Value:
    """A value, or a constant that holds an array or a number."""
    graph = graph if graph is not None else current_graph()
    if isinstance(source, Symbol):
        value: Value = source if isinstance(source, Value) else source.value(graph)  # type: ignore[attr-defined]
        if value._graph is not graph:
            raise InvalidArgumentError(f"'{value.name}' is a value of another model")
        return value
    return Value(graph, graph.constant(source))


def _like(operand: Any, value: Value) -> Any:
    """A number or an array in the type of the value that it meets, where that loses no fraction."""
    if isinstance(operand, Symbol):
        return operand
    array, dtype = np.asarray(operand), value.dtype
    if array.dtype.kind not in "iuf" or dtype in (None, "bool"):
        return operand
    if not _is_float(dtype):
        return operand if array.dtype.kind == "f" else array.astype(dtype)
    if dtype in ("float16", "float32", "float64"):
        return array.astype(dtype)
    return as_value(array.astype(np.float32), value._graph).astype(dtype)


def _is_float(dtype: Optional[str]) -> bool:
    return dtype is not None and dtype.startswith(("float", "bfloat"))


def _pair(left: Any, right: Any) -> tuple[Value, Value]:
    """Both operands as values of one type: numbers follow the value they meet, integers become
    floats where they meet floats."""
    values = [side for side in (left, right) if isinstance(side, Symbol)]
    graph = next((v._graph for v in values if isinstance(v, Value)), None) or current_graph()
    first = as_value(values[0], graph)
    sides = [as_value(_like(side, first), graph) for side in (left, right)]
    types = [side.dtype for side in sides]
    if None in types or types[0] == types[1]:
        return sides[0], sides[1]
    wider = _common(types[0], types[1])  # type: ignore[arg-type]
    return tuple(v if v.dtype == wider else v.astype(wider) for v in sides)  # type: ignore[return-value]


def _common(left: str, right: str) -> str:
    if "str" in (left, right):
        raise TypeMismatchError(f"{left} and {right} have no common type")
    if _is_float(left) != _is_float(right):
        return left if _is_float(left) else right
    if "bool" in (left, right):
        return right if left == "bool" else left
    try:
        return np.promote_types(left, right).name
    except TypeError:
        raise TypeMismatchError(f"{left} and {right} have no common type") from None


def _floats(left: Any, right: Any) -> tuple[Any, Any]:
    """Operands of a division: integers are divided as floats."""

    def converted(side: Any) -> Any:
        is_whole = isinstance(side, Value) and side.dtype and not _is_float(side.dtype)
        return side.astype("float32") if is_whole else side

    left, right = converted(left), converted(right)
    return left, right


def _binary(name: str, left: Any, right: Any) -> Value:
    first, second = _pair(left, right)
    return first._op(name, second)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _axis(axis: Any, rank: int) -> int:
    place = operator.index(axis)
    if not -rank <= place < rank:
        raise ShapeError(f"axis {place} is outside [-{rank}, {rank})")
    return place % rank


def _axes(axis: Any) -> np.ndarray:
    return np.array([operator.index(a) for a in (axis if _is_list(axis) else [axis])], np.int64)


def _part(value: Value, keys: list[Any]) -> Value:
    """Integers and slices of a value, as one Slice with what is dropped or added around it."""
    if any(isinstance(key, (Symbol, np.ndarray, list)) for key in keys):
        return _gathered(value, keys)
    used = sum(key is not None and key is not Ellipsis for key in keys)
    if sum(key is Ellipsis for key in keys) > 1:
        raise ShapeError("an index can have one '...' only")
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        keys = keys[:place] + [slice(None)] * (value.ndim - used) + keys[place + 1 :]
    starts, ends, axes, steps, dropped, added = [], [], [], [], [], []
    axis = kept = 0
    for key in keys:
        if key is None:
            added.append(kept)
            kept += 1
            continue
        if isinstance(key, slice):
            if key != slice(None):
                step = 1 if key.step is None else operator.index(key.step)
                if step == 0:
                    raise ShapeError("a slice cannot have step 0")
                start = (0 if step > 0 else _LAST) if key.start is None else key.start
                end = (_LAST if step > 0 else -_LAST) if key.stop is None else key.stop
                starts.append(operator.index(start))
                ends.append(operator.index(end))
                axes.append(axis)
                steps.append(step)
            kept += 1
        else:
            index = operator.index(key)
            _check_index(value, index, axis)
            starts.append(index)
            ends.append(index + 1 if index != -1 else _LAST)
            axes.append(axis)
            steps.append(1)
            dropped.append(axis)
        axis += 1
    if axes:
        parts = [np.array(numbers, np.int64) for numbers in (starts, ends, axes, steps)]
        value = value._op("Slice", *parts)
    if dropped:
        value = value.squeeze(dropped)
    return value.unsqueeze(added) if added else value


def _check_index(value: Value, index: int, axis: int) -> None:
    shape = value._known().shape
    if shape is None:
        return
    if axis >= len(shape):
        raise ShapeError(f"'{value.name}' has {len(shape)} axes, the index names more")
    extent = shape[axis]
    if isinstance(extent, int) and not -extent <= index < extent:
        raise IndexError(f"index {index} is outside axis {axis} of extent {extent}")


def _gathered(value: Value, keys: list[Any]) -> Value:
    """One axis by a list of indices, the others whole."""
    place = next(i for i, key in enumerate(keys) if isinstance(key, (Symbol, np.ndarray, list)))
    others = keys[:place] + keys[place + 1 :]
    if any(not isinstance(key, slice) or key != slice(None) for key in others):
        raise InvalidArgumentError("an index by values cannot be mixed with others than ':'")
    indices = keys[place]
    return value._op(
        "Gather", np.asarray(indices) if isinstance(indices, list) else indices, axis=place
    )


# ---- Functions of several values ----------------------------------------------------------------


def _first(values: Sequence[Any]) -> Any:
    return next((value for value in values if isinstance(value, Symbol)), None)


def op(
    name: str, *inputs: Any, domain: str = "", outputs: int = 1, **attributes: Any
) -> Any:
    """Any ONNX operator on values: ``nn.op("Softmax", x, axis=-1)``.

    Parameters
    ----------
    name : str
        The operator in ONNX's spelling; `stacklens.ops` has every operator as a function too.
    *inputs : Value, array_like or None
        Inputs in order; None leaves an optional one out.
    domain : str
        The operator's domain, "" for ONNX's own.
    outputs : int
        How many outputs are wanted; more than one come as a tuple.
    **attributes
        Attributes by ONNX name.
    """
    graph = next((v._graph for v in inputs if isinstance(v, Value)), None) or current_graph()
    names = [None if value is None else as_value(value, graph).name for value in inputs]
    made = [Value(graph, name) for name in graph.op(name, names, attributes, domain, outputs)]
    return made[0] if outputs == 1 else tuple(made)


def constant(array: Any) -> Value:
    """An array as a value that is never trained."""
    return as_value(array)


def concat(values: Sequence[Any], axis: int = 0) -> Value:
    """Values one behind the other along an axis."""
    made: Value = op("Concat", *values, axis=axis)
    return made


def stack(values: Sequence[Any], axis: int = 0) -> Value:
    """Values of one shape side by side along a new axis."""
    return concat([as_value(value).unsqueeze(axis) for value in values], axis)


def split(value: Value, sizes: Union[int, Sequence[int]], axis: int = 0) -> tuple[Value, ...]:
    """Parts along an axis: as many equal ones as a number says, or of the given sizes."""
    if isinstance(sizes, int):
        parts = op("Split", value, axis=axis, num_outputs=sizes, outputs=sizes)
    else:
        lengths = np.array(sizes, np.int64)
        parts = op("Split", value, lengths, axis=axis, outputs=len(lengths))
    return parts if isinstance(parts, tuple) else (parts,)


def where(condition: Value, left: Operand, right: Operand) -> Value:
    """``left`` where the condition holds, else ``right``."""
    if not isinstance(left, Symbol) and not isinstance(right, Symbol):
        left = as_value(left, condition._graph)
    made: Value = op("Where", condition, *_pair(left, right))
    return made


def einsum(equation: str, *values: Any) -> Value:
    """A sum of products by index letters: ``nn.einsum("bij,bjk->bik", x, y)``."""
    made: Value = op("Einsum", *values, equation=equation)
    return made


def matmul(left: Operand, right: Operand) -> Value:
    """The matrix product."""
    return _binary("MatMul", left, right)


