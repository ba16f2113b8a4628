"""Modules: networks described by classes, and what turns them into models."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

import numpy as np

from .._symbol import Symbol
from ..errors import InvalidArgumentError, TypeMismatchError
from ..model import Model
from ._graph import Graph, Shape
from ._value import Value, as_value, current_graph, is_tracing, tracing

#: An integer for each axis, or one for all.
Extents = Union[int, Sequence[int]]
#: How a parameter starts: a name, or a dict with it under "name" and settings beside it.
Initializer = Union[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Input:
    """What a model is given: ``nn.Input(("batch", 784))``.

    Attributes
    ----------
    shape : tuple or None
        An int for each fixed extent, a str for each named one, None for each unknown one, batch
        included; None as a whole where not even the rank is fixed.
    dtype : str
        The element type, ``"float32"`` or ``"int64"`` for instance.
    name : str, optional
        What the model calls it; the name of the parameter of ``forward`` unless given.
    """

    shape: Optional[Shape]
    dtype: Any = "float32"
    name: Optional[str] = None


class Parameter(Symbol):
    """Numbers that training changes, as an attribute of a `Module`.

    Parameters
    ----------
    data : array_like or tuple of int
        The first values, or a shape, which ``init`` fills.
    init : str or dict
        For a shape: the initialiser ("zeros", "ones", "xavier_uniform", "kaiming_normal" ...), or a
        dict of its name under "name" and its settings.
    name : str, optional
        What the model calls it; its path among the attributes unless given.

    Examples
    --------
    >>> class Scale(stacklens.nn.Module):
    ...     def __init__(self):
    ...         self.factor = stacklens.nn.Parameter(numpy.ones(4, "float32"))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> model = stacklens.nn.build(Scale(), stacklens.nn.Input(("batch", 4)))
    >>> list(model.state_dict())
    ['factor']
    """

    __array_ufunc__ = None

    def __init__(
        self, data: Any, init: Initializer = "zeros", name: Optional[str] = None
    ) -> None:
        self.name = name
        self._shape: Optional[tuple[int, ...]] = None
        if isinstance(data, tuple) and all(isinstance(extent, int) for extent in data):
            self._shape = data
            self._init = {"name": init} if isinstance(init, str) else dict(init)
        else:
            self._data = np.asarray(data)

    def value(self, graph: Graph) -> Value:
        """The parameter in a model that is being built."""
        name = self.name or _names(graph).paths.get(id(self))
        if name is None:
            raise InvalidArgumentError(
                "a parameter is no attribute of the module that is built: give it a name"
            )
        if self._shape is None:
            return Value(graph, graph.weights(name, self._data))
        return Value(graph, graph.parameter(name, self._shape, self._init))

    def _applied(
        self, name: str, domain: str, inputs: Sequence[Any], attributes: dict[str, Any], count: int
    ) -> list[Any]:
        return as_value(self)._applied(name, domain, inputs, attributes, count)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(as_value(self), name)

    def __getitem__(self, key: Any) -> Value:
        return as_value(self)[key]


def _forwarded(name: str) -> Callable[..., Any]:
    def method(self: Parameter, *others: Any) -> Any:
        return getattr(as_value(self), name)(*others)

    method.__name__ = name
    return method


for _name in (
    "add radd sub rsub mul rmul truediv rtruediv pow rpow matmul rmatmul neg abs lt le gt ge"
).split():
    setattr(Parameter, f"__{_name}__", _forwarded(f"__{_name}__"))


class Module:
    """A part of a network: a class with ``forward``, as in PyTorch.

    ``forward`` is called once with symbolic values when `build` makes a model; what it does with
    them becomes the model. Modules, lists and dicts of modules, and parameters that are attributes
    give their parameters their names: ``encoder.layers.0.weight``.

    Examples
    --------
    >>> from stacklens import nn
    >>> class Classifier(nn.Module):
    ...     def __init__(self):
    ...         self.hidden, self.out = nn.Linear(4, 16), nn.Linear(16, 3)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> model = nn.build(Classifier(), nn.Input(("batch", 4)))
    >>> list(model.state_dict())
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    def forward(self, *inputs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        for value in (*inputs, *options.values()):
            if isinstance(value, np.ndarray) and not is_tracing():
                raise TypeMismatchError(
                    f"{type(self).__name__} was called with an array: stacklens.nn.build(module, "
                    "inputs) gives a model, stacklens.Session(model) runs it"
                )
        return self.forward(*inputs, **options)

    def _named_members(self) -> Iterator[tuple[str, Any]]:
        yield from vars(self).items()


class Layer(Module):
    """A layer of the library; the classes of `stacklens.nn` for layers are made of it.

    Parameters
    ----------
    layer : str
        What the library calls it.
    **options
        Its options; None stands for one that is not given.
    """

    def __init__(self, layer: str, **options: Any) -> None:
        self._layer = layer
        self._options = {key: value for key, value in options.items() if value is not None}

    def forward(self, *inputs: Any) -> Any:
        """The layer's output, or a tuple of them."""
        return self._applied(inputs)

    def _applied(self, inputs: Sequence[Any]) -> Any:
        graph = next((v._graph for v in inputs if isinstance(v, Value)), None) or current_graph()
        names = [None if value is None else as_value(value, graph).name for value in inputs]
        made = graph.layer(self._layer, _path_of(self, graph), self._options, names)
        values = tuple(Value(graph, name) for name in made)
        return values[0] if len(values) == 1 else values

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self._options.items())
        return f"{type(self).__name__}({given})"


class Sequential(Module):
    """Modules and functions one after the other; of several outputs the first goes on.

    Examples
    --------
    >>> from stacklens import nn
    >>> net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> nn.build(net, nn.Input(("batch", 4))).state_dict()["2.bias"].shape
    (3,)
    """

    def __init__(self, *modules: Callable[..., Any]) -> None:
        for module in modules:
            if not callable(module):
                raise TypeMismatchError(f"{module!r} is neither a module nor a function")
        self.modules = list(modules)

    def forward(self, x: Any) -> Any:
        """What the last one gives."""
        for module in self.modules:
            made = module(x)
            x = made[0] if isinstance(made, tuple) else made
        return x

    def _named_members(self) -> Iterator[tuple[str, Any]]:
        yield from ((str(index), module) for index, module in enumerate(self.modules))

    def __len__(self) -> int:
        return len(self.modules)

    def __getitem__(self, index: int) -> Callable[..., Any]:
        return self.modules[index]


# ---- Names --------------------------------------------------------------------------------------


class _Names:
    """What the modules and parameters of a model that is being built are called."""

    def __init__(self) -> None:
        self.paths: dict[int, str] = {}
        self.counts: dict[str, int] = {}
        # Keeps what has a name alive, so that no other object takes its place.
        self.members: list[Any] = []


def _names(graph: Graph) -> _Names:
    names: Optional[_Names] = getattr(graph, "_member_names", None)
    if names is None:
        names = _Names()
        graph._member_names = names  # type: ignore[attr-defined]
    return names


def name_members(graph: Graph, module: Any, path: str) -> None:
    """Gives a module and everything inside it their names."""
    names = _names(graph)
    waiting = [(path, module)]
    while waiting:
        path, member = waiting.pop(0)
        if isinstance(member, (Module, Parameter)):
            if id(member) in names.paths:
                continue
            names.paths[id(member)] = path
            names.members.append(member)
        waiting[:0] = [(f"{path}.{key}" if path else str(key), inner)
                       for key, inner in _members(member)]


def _members(owner: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(owner, Module):
        yield from owner._named_members()
    elif isinstance(owner, (list, tuple)):
        yield from enumerate(owner)
    elif isinstance(owner, dict):
        yield from owner.items()


def _path_of(layer: Layer, graph: Graph) -> str:
    """The name of a layer; one that is no attribute of the module is called after its class."""
    names = _names(graph)
    if id(layer) not in names.paths:
        kind = type(layer).__name__.lower()
        count = names.counts.get(kind, 0)
        names.counts[kind] = count + 1
        name_members(graph, layer, f"{kind}_{count}" if count else kind)
    return names.paths[id(layer)]


# ---- Building -----------------------------------------------------------------------------------


def build(
    module: Callable[..., Any],
    inputs: Union[Input, Sequence[Input], Mapping[str, Input]],
    *,
    outputs: Union[str, Sequence[str], None] = None,
    name: Optional[str] = None,
    seed: int = 42,
    state_dict: Optional[Mapping[str, Any]] = None,
) -> Model:
    """Turns a module into a model.

    Parameters
    ----------
    module : Module or function
        Called once with a symbolic value for each input.
    inputs : Input, sequence of Input or dict of Input by name
        What the model is given, in the order of ``forward``.
    outputs : str or sequence of str, optional
        Names of the outputs: "output" for one, "output_0", "output_1" ... for several, the keys of a
        dict, unless given.
    name : str, optional
        The model's name; that of the class unless given.
    seed : int
        What the initial values of parameters follow from.
    state_dict : dict of str to array_like, optional
        Values of all parameters, as from `Model.state_dict` or PyTorch.

    Returns
    -------
    Model
        To be trained by `stacklens.Trainer`, run by `stacklens.Session` or saved as ONNX.

    Examples
    --------
    >>> from stacklens import nn
    >>> model = nn.build(nn.Linear(4, 2), nn.Input(("batch", 4), name="x"))
    >>> stacklens.Session(model).run(None, {"x": numpy.ones((3, 4), "float32")})[0].shape
    (3, 2)
    """
    declared = _declared(module, inputs)
    graph = Graph(name or getattr(module, "__name__", type(module).__name__), seed)
    values = [
        Value(graph, graph.input(input_name, spec.dtype, spec.shape))
        for input_name, spec in declared
    ]
    apply_module(graph, module, values, outputs)
    model = graph.model()
    return model if state_dict is None else model.load_state_dict(state_dict)


def apply_module(
    graph: Graph, module: Callable[..., Any], values: Sequence[Value],
    outputs: Union[str, Sequence[str], None], *, path: str = "", default: str = "output",
) -> None:
    """Calls a module with values and declares what it gives as outputs of the graph."""
    name_members(graph, module, path)
    with tracing(graph):
        made = module(*values)
        named = _outputs(made, outputs, default, graph)
    for output_name, value in named:
        graph.output(value.name, output_name)


def _outputs(
    made: Any, names: Union[str, Sequence[str], None], default: str, graph: Graph
) -> list[tuple[str, Value]]:
    if isinstance(made, Mapping):
        if names is not None:
            raise InvalidArgumentError("outputs names what forward has named by a dict already")
        return [(key, as_value(value, graph)) for key, value in made.items()]
    several = list(made) if isinstance(made, (tuple, list)) else [made]
    if not several or any(not isinstance(value, Symbol) for value in several):
        kinds = ", ".join(type(value).__name__ for value in several) or "nothing"
        raise TypeMismatchError(f"forward must give values, it gave {kinds}")
    if names is None:
        names = [default] if len(several) == 1 else [f"{default}_{i}" for i in range(len(several))]
    names = [names] if isinstance(names, str) else list(names)
    if len(names) != len(several):
        raise InvalidArgumentError(
            f"outputs names {len(names)} outputs, forward gives {len(several)}"
        )
    return [(key, as_value(value, graph)) for key, value in zip(names, several)]


def _declared(module: Callable[..., Any], inputs: Any) -> list[tuple[str, Input]]:
    if isinstance(inputs, Mapping):
        named = [(key, _spec(spec)) for key, spec in inputs.items()]
    else:
        several = [inputs] if isinstance(inputs, Input) else list(inputs)
        if not several:
            raise InvalidArgumentError("a model needs at least one input")
        specs = [_spec(spec) for spec in several]
        names = _parameter_names(module, len(specs))
        named = [
            (names[index] if spec.name is None else spec.name, spec)
            for index, spec in enumerate(specs)
        ]
    return named


def _spec(spec: Any) -> Input:
    if isinstance(spec, Input):
        return spec
    if isinstance(spec, (tuple, list)):
        return Input(tuple(spec))
    raise TypeMismatchError(
        f"inputs must be stacklens.nn.Input or shapes, found {type(spec).__name__}"
    )


def _parameter_names(module: Callable[..., Any], count: int) -> list[str]:
    """What ``forward`` calls its inputs."""
    function = module.forward if isinstance(module, Module) else module
    names = []
    try:
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names.append(parameter.name)
    except (TypeError, ValueError):
        names = []
    if len(names) < count:
        names = ["x"] if count == 1 else [f"input_{index}" for index in range(count)]
    return names[:count]


__all__ = [
    "Input", "Layer", "Module", "Parameter", "Sequential", "apply_module", "build",
]
