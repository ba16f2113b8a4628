"""Models in and out: old opsets, chosen opsets, external data, what a file says beside its graph."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import stacklens
from conftest import ROOT

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper, parser  # noqa: E402

RANDOM = np.random.default_rng(5)
IMAGE = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
ONES = np.ones(3, np.float32)

# Forms that ONNX Runtime still reads: operator, opset, inputs, attributes.
OLD = [
    ("Affine", 1, [IMAGE], {"alpha": 2.0, "beta": 3.0}),
    ("Crop", 1, [IMAGE], {"border": [1, 1, 2, 1]}),
    ("Crop", 1, [IMAGE], {"border": [1, 1, 0, 0], "scale": [2, 3]}),
    ("DynamicSlice", 1, [IMAGE, np.array([0, 1]), np.array([1, 3])], {}),
    ("ImageScaler", 1, [IMAGE], {"scale": 2.0, "bias": [1.0, 2.0, 3.0]}),
    ("MeanVarianceNormalization", 1, [IMAGE], {}),
    ("MeanVarianceNormalization", 1, [IMAGE], {"across_channels": 1}),
    ("MeanVarianceNormalization", 1, [IMAGE], {"normalize_variance": 0}),
    ("ParametricSoftplus", 1, [IMAGE], {"alpha": 2.0, "beta": 0.5}),
    ("Scale", 1, [IMAGE], {"scale": 2.0}),
    ("ScaledTanh", 1, [IMAGE], {"alpha": 2.0, "beta": 0.5}),
    ("ThresholdedRelu", 1, [IMAGE], {"alpha": 0.5}),
    ("Reshape", 1, [IMAGE], {"shape": [0, -1]}),
    ("Clip", 6, [IMAGE], {"min": 0.2}),
    ("Selu", 6, [IMAGE], {}),
    ("Softmax", 1, [IMAGE], {}),
    ("LogSoftmax", 7, [IMAGE], {"axis": 2}),
    ("Hardmax", 7, [IMAGE], {"axis": 2}),
    ("Split", 6, [IMAGE], {"axis": 1}),
    ("Sum", 6, [IMAGE, IMAGE], {}),
    ("Gemm", 7, [np.ones((2, 3), "f"), np.ones((3, 4), "f"), np.ones(4, "f")], {"beta": 0.5}),
    ("Upsample", 7, [IMAGE], {"scales": [1.0, 1.0, 2.0, 3.0]}),
    ("Slice", 7, [IMAGE], {"starts": [1, 0], "ends": [9, -1], "axes": [2, 3]}),
    ("TopK", 1, [IMAGE], {"k": 2}),
    ("Pad", 7, [IMAGE], {"pads": [0, 0, 1, 0, 0, 0, 0, 2], "value": 3.0}),
    ("BatchNormalization", 7, [IMAGE, 2 * ONES, ONES, ONES, 3 * ONES], {}),
    ("Dropout", 7, [IMAGE], {}),
    ("LpPool", 2, [IMAGE], {"kernel_shape": [2, 2], "p": 3}),
    ("ReduceMean", 1, [IMAGE], {"axes": [1, 2], "keepdims": 0}),
    ("Squeeze", 1, [IMAGE[:1]], {"axes": [0]}),
    ("Resize", 10, [IMAGE, np.float32([1, 1, 2, 0.5])], {"mode": "nearest"}),
]


def model_of(op: str, opset: int, inputs: list[np.ndarray], attributes: dict) -> onnx.ModelProto:
    names = [f"x{index}" for index in range(len(inputs))]
    outputs = ["y", "places"] if op == "TopK" else ["y"]
    node = helper.make_node(op, names, outputs, **attributes)
    kinds = [helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
    declared = [
        helper.make_tensor_value_info(name, kind, value.shape)
        for name, kind, value in zip(names, kinds, inputs)
    ]
    results = [
        helper.make_tensor_value_info(name, 7 if name == "places" else 1, None) for name in outputs
    ]
    graph = helper.make_graph([node], "old", declared, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)


@pytest.mark.parametrize("case", OLD, ids=[f"{op}-{opset}" for op, opset, _, _ in OLD])
def test_reads_old_forms_as_onnx_runtime_does(case) -> None:
    runtime = pytest.importorskip("onnxruntime")
    op, opset, inputs, attributes = case
    data = model_of(op, opset, inputs, attributes).SerializeToString()
    feed = {f"x{index}": value for index, value in enumerate(inputs)}
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    other = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    loaded = stacklens.Model.from_bytes(data)
    for source in (loaded, loaded.to_bytes(17)):
        for found, expected in zip(stacklens.Session(source).run(None, feed), other.run(None, feed)):
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_writes_for_the_opset_that_holds_the_model() -> None:
    text = """<ir_version: 8, opset_import: ["" : 19]>
    wrap (float[4] x) => (float[n] y) <int64[2] pads = {1, 2}> {
        y = Pad <mode = "wrap"> (x, pads)
    }"""
    model = stacklens.Model.from_bytes(parser.parse_model(text).SerializeToString())
    with pytest.raises(stacklens.UnsupportedError, match="opset 19 can hold the model"):
        model.to_bytes()
    written = onnx.load_from_string(model.to_bytes("auto"))
    assert written.opset_import[0].version == 19
    with pytest.raises(stacklens.InvalidArgumentError, match="'newest'"):
        model.to_bytes("newest")
    with pytest.raises(stacklens.UnsupportedError, match="opset 7 to 28"):
        model.to_bytes(6)


def test_axes_count_from_the_front_below_opset_11() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    axes (float[2, 3, 1] x) => (float[1, 2, 3, 1] y) <int64[1] last = {-1}, int64[2] ends = {-1, 0}> {
        h = Squeeze (x, last)
        y = Unsqueeze (h, ends)
    }"""
    model = stacklens.Model.from_bytes(parser.parse_model(text).SerializeToString())
    written = onnx.load_from_string(model.to_bytes(7))
    assert [list(node.attribute[0].ints) for node in written.graph.node] == [[2], [3, 0]]
    onnx.checker.check_model(written, full_check=True)
    unknown = text.replace("float[2, 3, 1]", "float[]").replace("float[1, 2, 3, 1]", "float[]")
    model = stacklens.Model.from_bytes(parser.parse_model(unknown).SerializeToString())
    with pytest.raises(stacklens.UnsupportedError, match="number of axes is not known"):
        model.to_bytes(7)
    kept = onnx.load_from_string(model.to_bytes(11)).graph.node
    assert list(kept[0].attribute[0].ints) == [-1]


def weights_model(values: np.ndarray) -> stacklens.Model:
    weight = numpy_helper.from_array(values, "w")
    bias = numpy_helper.from_array(np.float32([1]), "b")
    nodes = [helper.make_node("Mul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", 1, [1])], [info("y", 1, list(values.shape))], [weight, bias]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return stacklens.Model.from_bytes(model.SerializeToString())


def test_writes_weights_beside_the_model(tmp_path: pathlib.Path) -> None:
    values = RANDOM.normal(size=(3, 200)).astype(np.float32)
    model = weights_model(values)
    path = tmp_path / "m.onnx"
    model.save(path, external_data="m.weights")
    proto = onnx.load(path, load_external_data=False)
    places = {t.name: t.data_location for t in proto.graph.initializer}
    assert places == {"w": onnx.TensorProto.EXTERNAL, "b": onnx.TensorProto.DEFAULT}
    assert (tmp_path / "m.weights").read_bytes() == values.tobytes()
    onnx.checker.check_model(str(path), full_check=True)
    (y,) = stacklens.Session(path).run(None, {"x": np.float32([2])})
    np.testing.assert_array_equal(y, values * 2 + 1)
    first = path.read_bytes()
    stacklens.Model.load(path).save(path, external_data="m.weights")
    assert path.read_bytes() == first and sorted(p.name for p in tmp_path.iterdir()) == [
        "m.onnx",
        "m.weights",
    ]
    model.save(path, external_data="m.weights", threshold=1)
    assert (tmp_path / "m.weights").stat().st_size > values.nbytes
    model.save(path, external_data="m.weights", threshold=1 << 40)
    assert (tmp_path / "m.weights").read_bytes() == b""
    for name in ("", "a/b", "..", "m.onnx"):
        with pytest.raises(stacklens.InvalidArgumentError):
            model.save(path, external_data=name)
    with pytest.raises(stacklens.InvalidArgumentError, match="threshold"):
        model.save(path, external_data="w", threshold=-1)
    with pytest.raises(stacklens.IoError):
        model.save(tmp_path / "none" / "m.onnx", external_data="w")


def test_keeps_what_a_file_says_beside_its_graph() -> None:
    proto = onnx.load_from_string(weights_model(np.float32([[1, 2]])).to_bytes())
    proto.metadata_props.add(key="author", value="nobody")
    proto.configuration.add(name="two", num_devices=2)
    proto.graph.node[0].device_configurations.add(configuration_id="two")
    proto.graph.node[0].metadata_props.add(key="layer", value="1")
    proto.graph.input[0].type.denotation = "TENSOR"
    proto.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    proto.graph.quantization_annotation.add(tensor_name="w")
    step = proto.training_info.add()
    step.update_binding.add(key="w", value="w2")
    step.algorithm.name = "step"
    step.algorithm.node.append(helper.make_node("Neg", ["w"], ["w2"]))
    step.algorithm.output.add(name="w2")
    written = onnx.load_from_string(
        stacklens.Model.from_bytes(proto.SerializeToString()).to_bytes(17)
    )
    assert written.metadata_props == proto.metadata_props
    assert written.configuration == proto.configuration
    assert written.training_info == proto.training_info
    assert written.graph.input == proto.graph.input
    assert written.graph.quantization_annotation == proto.graph.quantization_annotation
    assert written.graph.node[0] == proto.graph.node[0]


@pytest.mark.parametrize("opset", ["auto", "13"])
def test_models_of_the_backend_suite_survive_the_round_trip(opset: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "onnx-roundtrip"), "--opset", opset]
    chosen = "test_(add|reduce_mean|split|layer_norm|softmax|operator|squeezenet|if|loop)"
    done = subprocess.run([*command, "--name", chosen], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
