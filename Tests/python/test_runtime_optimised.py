"""Files that ONNX Runtime's optimiser wrote, with the operators that it contributes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import stacklens
from onnx import TensorProto, helper, numpy_helper

LEVELS = ("ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


def peer_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return options


def image_net(channels: int) -> bytes:
    """Convolutions of all kinds, pooling, a sum and a concatenation; channels that fill no block."""
    random = np.random.default_rng(11)
    weights, nodes = [], []

    def constant(name: str, *shape: int) -> str:
        array = random.standard_normal(shape).astype(np.float32) / np.prod(shape[1:]) ** 0.5
        weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def convolution(x: str, output: str, outputs: int, inputs: int, side: int, **attributes) -> str:
        w = constant(output + "_w", outputs, inputs, side, side)
        b = constant(output + "_b", outputs)
        return node("Conv", [x, w, b], output, **attributes)

    x = node("Relu", [convolution("x", "c0", channels, 3, 3, pads=[1] * 4, strides=[2, 2])], "r0")
    y = convolution(x, "c1", channels, 1, 3, group=channels, pads=[1] * 4)
    y = node("HardSigmoid", [y], "h1", alpha=0.25)
    y = convolution(y, "c2", channels, channels, 1)
    x = node("Relu", [node("Add", [x, y], "a2")], "r2")
    x = node("MaxPool", [x], "p3", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    y = node("AveragePool", [x], "p4", kernel_shape=[3, 3], pads=[1] * 4)
    x = node("Concat", [convolution(x, "c5", 32, channels, 3, pads=[1] * 4),
                        convolution(y, "c6", 32, channels, 1)], "j6", axis=1)
    x = node("LeakyRelu", [convolution(x, "c7", 24, 64, 1)], "l7", alpha=0.2)
    node("Flatten", [node("GlobalAveragePool", [x], "g8")], "y")
    shape = ["n", 3, "h", "w"]
    graph = helper.make_graph(
        nodes, "images", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 24])], weights,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("channels", [16, 24, 40])
def test_image_nets(level, channels, tmp_path):
    model = image_net(channels)
    path = tmp_path / "optimised.onnx"
    options = peer_options()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(path)
    peer = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session = stacklens.Session(path, threads=1)
    random = np.random.default_rng(3)
    for shape in ((2, 3, 21, 18), (1, 3, 32, 40)):
        feed = {"x": random.standard_normal(shape).astype(np.float32)}
        np.testing.assert_allclose(
            session.run(None, feed)[0], peer.run(None, feed)[0], rtol=1e-4, atol=1e-5)
