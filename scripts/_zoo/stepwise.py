"""One node at a time: what each makes here of the values that ONNX Runtime has before it.

The answer of a quantised file may lie steps away although nothing is wrong: a sum that falls on the
other side of a half moves one value by one step, and what follows carries it on. Node by node there
is nothing to carry.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

# Share of integers that may be one step away, and the largest relative difference of floats.
SHARE = 1e-3
FLOATS = 1e-5
SUBGRAPHS = ("If", "Loop", "Scan")


def blame(path: Path, feed: dict[str, np.ndarray]) -> str:
    """What the nodes that differ are, by operator; empty where none does."""
    model = onnx.load(path)
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    values = {**constants, **feed, **_values(model, feed)}
    moved: dict[str, list[int]] = {}
    faults: list[str] = []
    for node in model.graph.node:
        if node.op_type in (*SUBGRAPHS, "Constant"):
            continue
        expected = [values[name] for name in node.output if name]
        found = _alone(model, node, values, constants)
        for one, two in zip(found, expected):
            if one.shape != two.shape or one.dtype != two.dtype:
                faults.append(f"{node.op_type} makes {one.dtype}{one.shape}")
            elif two.dtype.kind in "iu":
                away = np.abs(one.astype(np.float64) - two.astype(np.float64))
                if away.max(initial=0) > 1:
                    faults.append(f"{node.op_type} is {away.max()} steps away")
                count = moved.setdefault(node.op_type, [0, 0])
                count[0] += int(np.count_nonzero(away))
                count[1] += away.size
            elif two.dtype.kind == "f" and not np.allclose(
                one, two, rtol=0, atol=FLOATS * np.abs(two[np.isfinite(two)]).max(initial=1e-6),
                equal_nan=True,
            ):
                faults.append(f"{node.op_type} differs")
    for name, (count, size) in moved.items():
        if count > max(1, SHARE * size):
            faults.append(f"{name} moves {count} of {size} by a step")
    return ", ".join(sorted(set(faults)))


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _values(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All values of the graph in ONNX Runtime."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {item.name for item in shown.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                shown.graph.output.append(helper.make_empty_tensor_value_info(name))
    session = _session(shown)
    return dict(zip([item.name for item in session.get_outputs()], session.run(None, feed)))


def _alone(
    model: onnx.ModelProto, node: onnx.NodeProto, values: dict[str, np.ndarray],
    constants: dict[str, np.ndarray],
) -> list[np.ndarray]:
    """The outputs of a model of this node alone."""
    import stacklens

    names = [name for name in dict.fromkeys(node.input) if name]
    feed = {name: values[name] for name in names if name not in constants}
    graph = helper.make_graph(
        [node], "alone",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
         for name, v in feed.items()],
        [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        [numpy_helper.from_array(constants[name], name) for name in names if name in constants],
    )
    content = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=10)
    return stacklens.Session(content.SerializeToString(), threads=1).run(None, feed)
