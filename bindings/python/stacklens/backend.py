"""The contract of ``onnx.backend.base.Backend``, for tools that run ONNX models through it.

Needs the package ``onnx``.

Examples
--------
>>> import onnx.parser, numpy, stacklens.backend                                # doctest: +SKIP
>>> model = onnx.parser.parse_model(text)                                       # doctest: +SKIP
>>> stacklens.backend.run_model(model, [numpy.ones(3, "float32")])              # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

try:
    import onnx
    from onnx import ModelProto, NodeProto, helper
    from onnx.backend.base import Backend, BackendRep, Device, DeviceType, namedtupledict
except ImportError as error:
    raise ImportError("stacklens.backend needs the package onnx: pip install onnx") from error

from .errors import InvalidArgumentError
from .session import Session

__all__ = [
    "StackLensBackend",
    "StackLensBackendRep",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]


class StackLensBackendRep(BackendRep):  # type: ignore[misc]
    """A model ready to run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outputs = [info.name for info in session.outputs]

    def run(self, inputs: Any, **_: Any) -> Any:
        """Runs the model.

        Parameters
        ----------
        inputs : sequence, mapping or array
            Values in the order of the model's inputs, or by name; one array for one input.

        Returns
        -------
        named tuple
            The outputs by position and by name.
        """
        if isinstance(inputs, Mapping):
            feed = dict(inputs)
        else:
            values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            names = [info.name for info in self._session.inputs]
            if len(values) > len(names):
                raise InvalidArgumentError(
                    f"{len(values)} inputs are given, the model has {len(names)}"
                )
            feed = dict(zip(names, values))
        return namedtupledict("Outputs", self._outputs)(*self._session.run(None, feed))


class StackLensBackend(Backend):  # type: ignore[misc]
    """StackLens behind the interface of ONNX backends."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on a device: on the CPU."""
        try:
            return Device(device).type == DeviceType.CPU
        except AttributeError:
            return False

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **_: Any) -> bool:
        """Whether a model is worth trying: what cannot run says so in `prepare`."""
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **options: Any) -> StackLensBackendRep:
        """Compiles a model.

        Parameters
        ----------
        model : ModelProto, bytes, path or Model
        device : str
            ``"CPU"``.
        **options
            What `stacklens.Session` takes.
        """
        if not cls.supports_device(device):
            raise InvalidArgumentError(f"models run on the CPU, not on '{device}'")
        known = ("threads", "optimization_level", "memory_limit", "profile", "log")
        chosen = {name: value for name, value in options.items() if name in known}
        source = model.SerializeToString() if isinstance(model, ModelProto) else model
        return StackLensBackendRep(Session(source, **chosen))

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **options: Any) -> Any:
        """Compiles a model and runs it once."""
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Optional[Sequence[tuple[Any, Sequence[int]]]] = None,
        **options: Any,
    ) -> Any:
        """Runs one node, as a model of that node alone.

        Parameters
        ----------
        node : NodeProto
        inputs : sequence of array or mapping
            A value for each named input of the node.
        outputs_info : sequence of (dtype, shape), optional
            What the outputs are declared as.
        **options
            ``opset_version``, and what `stacklens.Session` takes.
        """
        names = [name for name in dict.fromkeys(node.input) if name]
        values = (
            [inputs[name] for name in names] if isinstance(inputs, Mapping) else list(inputs)
        )
        if len(values) != len(names):
            raise InvalidArgumentError(f"{len(values)} inputs are given, the node has {len(names)}")
        declared = [
            _declaration(name, np.asarray(value).dtype, np.shape(value))
            for name, value in zip(names, values)
        ]
        outputs = [name for name in node.output if name]
        if outputs_info is None:
            results = [onnx.ValueInfoProto(name=name) for name in outputs]
        else:
            results = [
                _declaration(name, np.dtype(dtype), shape)
                for name, (dtype, shape) in zip(outputs, outputs_info)
            ]
        graph = helper.make_graph([node], "node", declared, results)
        opsets = [helper.make_opsetid(node.domain, cls._opset(node, options))]
        model = helper.make_model(graph, opset_imports=opsets)
        return cls.run_model(model, dict(zip(names, values)), device, **options)

    @staticmethod
    def _opset(node: NodeProto, options: Mapping[str, Any]) -> int:
        if "opset_version" in options:
            return int(options["opset_version"])
        if node.domain in ("", "ai.onnx"):
            return int(onnx.defs.onnx_opset_version())
        schemas = [s for s in onnx.defs.get_all_schemas_with_history() if s.domain == node.domain]
        return max((schema.since_version for schema in schemas), default=1)


def _declaration(name: str, dtype: Any, shape: Sequence[int]) -> onnx.ValueInfoProto:
    kind = onnx.TensorProto.STRING
    if np.dtype(dtype).kind not in "OUS":
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, list(shape))


is_compatible = StackLensBackend.is_compatible
prepare = StackLensBackend.prepare
run_model = StackLensBackend.run_model
run_node = StackLensBackend.run_node
supports_device = StackLensBackend.supports_device
