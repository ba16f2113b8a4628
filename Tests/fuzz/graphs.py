"""Generated models: short graphs of hostile calls, with lies about types and with subgraphs."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import operators
import stacklens
from stacklens.tensor import TYPE_NAMES

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError:  # without the package there is nothing to make models with
    onnx = None

NUMBERS = {name: number for number, name in TYPE_NAMES.items()}
OPSETS = (7, 8, 9, 11, 13, 17, 18, 21)


class GraphTarget:
    """Import, type inference, export, compilation and a run."""

    def __init__(self, watch: Any, run_limit: int) -> None:
        self.seeds = [b"graphs"] if onnx is not None else []
        self._entries = operators.table()
        self._plain = [entry for entry in self._entries
                       if not any(spec["kind"] == "graph" for spec in entry["attributes"])]
        self._make_watch, self._watch, self._run_limit = watch, None, run_limit

    # Making -----------------------------------------------------------------------------------

    def make(self, chance: random.Random) -> bytes:
        initializers, inputs, nodes, values = [], [], [], []
        for number in range(chance.choice((1, 1, 2, 3, 5))):
            if chance.random() < 0.15:
                nodes.append(self._control(chance, number, values, initializers))
            else:
                nodes.append(self._node(chance, number, values, initializers, inputs))
            values += [name for name in nodes[-1].output if name]
        outputs = [helper.make_empty_tensor_value_info(name)
                   for name in dict.fromkeys(chance.sample(values, min(len(values), 3)))]
        if chance.random() < 0.3:
            for output in outputs:  # types that need not hold
                shape = operators.hostile_shape(chance, [2, 3])
                output.CopyFrom(helper.make_tensor_value_info(
                    output.name, chance.choice((1, 7, 9, 10, 8)),
                    [chance.choice((side, "n", None)) for side in shape]))
        graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
        opset = max(chance.choice(OPSETS), 7) if chance.random() < 0.1 else 22
        domains = {node.domain for node in nodes} - {""}
        imports = [helper.make_opsetid("", opset)]
        imports += [helper.make_opsetid(domain, 3 if domain == "ai.onnx.ml" else 1)
                    for domain in sorted(domains)]
        return helper.make_model(graph, opset_imports=imports).SerializeToString()

    def _node(self, chance: random.Random, number: int, values: list[str],
              initializers: list[Any], inputs: list[Any]) -> Any:
        content = operators.call(chance, self._plain)
        names = []
        for place, array in enumerate(content["inputs"]):
            name = f"v{number}_{place}"
            if array is None:
                name = ""
            elif values and chance.random() < 0.3:
                name = chance.choice(values)
            elif chance.random() < 0.5 and array.dtype != object:
                initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            else:
                dtype = "str" if array.dtype == object else str(array.dtype)
                shape = [chance.choice((side, side, "n", None)) for side in array.shape]
                inputs.append(helper.make_tensor_value_info(name, NUMBERS[dtype], shape))
            names.append(name)
        outputs = [f"o{number}_{place}" for place in range(content["outputs"])]
        if len(outputs) > 1 and chance.random() < 0.2:
            outputs[chance.randrange(1, len(outputs))] = ""
        node = helper.make_node(
            content["name"], names, outputs, name=f"node{number}", domain=content["domain"])
        for name, value in content["attributes"].items():
            node.attribute.append(self._attribute(name, value))
        return node

    @staticmethod
    def _attribute(name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return helper.make_attribute(name, numpy_helper.from_array(value))
        if isinstance(value, list) and not value:
            return helper.make_attribute(name, [], attr_type=onnx.AttributeProto.INTS)
        return helper.make_attribute(name, value)

    def _control(self, chance: random.Random, number: int, values: list[str],
                 initializers: list[Any]) -> Any:
        def constant(array: np.ndarray, hint: str) -> str:
            name = f"c{number}_{hint}"
            initializers.append(numpy_helper.from_array(array, name))
            return name

        start = chance.choice(values) if values else constant(np.ones((2, 3), "float32"), "start")
        kind = chance.choice(("If", "Loop", "Scan", "SequenceMap"))
        name = f"node{number}"
        if kind == "If":
            flag = constant(np.array(chance.random() < 0.5), "flag")
            return helper.make_node(
                "If", [chance.choice((flag, start))], [f"o{number}"], name=name,
                then_branch=self._body(chance, f"t{number}", [], 1, start),
                else_branch=self._body(chance, f"e{number}", [], 1, start))
        if kind == "Loop":
            count = constant(np.array(chance.choice((0, 1, 3, -1, 2**62))), "count")
            on = constant(np.array(True), "on")
            body = self._body(chance, f"l{number}", ["i", "c", "s"], 3, start)
            return helper.make_node(
                "Loop", [chance.choice((count, "")), on, start], [f"o{number}", f"p{number}"],
                name=name, body=body)
        if kind == "Scan":
            body = self._body(chance, f"s{number}", ["s", "x"], 2, start)
            return helper.make_node(
                "Scan", [start, start], [f"o{number}", f"p{number}"], name=name, body=body,
                num_scan_inputs=chance.choice((1, 1, 1, 0, 2, -1, 2**62)))
        return helper.make_node(
            "SequenceMap", [start], [f"o{number}"], name=name,
            body=self._body(chance, f"m{number}", ["x"], 1, start))

    def _body(self, chance: random.Random, prefix: str, names: list[str], count: int,
              outer: str) -> Any:
        known = [f"{prefix}_{name}" for name in names]
        types = {"i": (7, []), "c": (9, [])}
        inputs = [helper.make_tensor_value_info(value, *types.get(name, (1, None)))
                  for value, name in zip(known, names)]
        nodes, made = [], []
        for place in range(count):
            output = f"{prefix}_o{place}"
            choice = chance.randrange(4)
            source = [name for name in [*known, outer, *made] if name]
            if choice == 0 and names[:2] == ["i", "c"]:
                nodes.append(helper.make_node("Identity", [known[1]], [output]))
            elif choice == 1:
                nodes.append(helper.make_node(
                    "Concat", [chance.choice(source), chance.choice(source)], [output],
                    axis=chance.choice((0, -1, 5))))
            elif choice == 2 and chance.random() < 0.3:
                inner = self._body(chance, f"{prefix}n", [], 1, chance.choice(source))
                nodes.append(helper.make_node(
                    "If", [chance.choice(source)], [output], then_branch=inner,
                    else_branch=inner))
            else:
                kind = chance.choice(("Identity", "Relu", "Shape", "NonZero", "Not", "Transpose"))
                nodes.append(helper.make_node(kind, [chance.choice(source)], [output]))
            made.append(output)
        outputs = [helper.make_empty_tensor_value_info(name) for name in made]
        return helper.make_graph(nodes, prefix, inputs, outputs)

    # Trying -----------------------------------------------------------------------------------

    def try_out(self, content: bytes) -> None:
        self._watch = self._watch or self._make_watch()
        model = stacklens.Model.from_bytes(content)
        model.value_types()
        model.describe()
        for step in (lambda: model.infer(), lambda: model.to_bytes(), lambda: model.to_bytes(13)):
            try:
                step()
            except stacklens.InternalError:
                raise
            except stacklens.StackLensError:
                pass
        session = stacklens.Session(model, threads=1, memory_limit=self._run_limit)
        chance = random.Random(len(content))
        feed = {}
        for value in session.inputs:
            shape = [side if isinstance(side, int) else 2 for side in value.shape or ()]
            if value.kind != "tensor" or np.prod(shape, dtype=float) > 1e6:
                return
            if np.prod([max(side, 1) for side in shape], dtype=float) > 2**58:
                return  # NumPy refuses such an array, even an empty one
            dtype = value.dtype if value.dtype in operators.DTYPES else "float32"
            size = int(np.prod(shape, dtype=float))
            feed[value.name] = operators.numbers(chance, dtype, size).reshape(shape)
        with self._watch as flag:
            session.run(None, feed, flag)

    @staticmethod
    def shown(content: bytes) -> bytes:
        return content
