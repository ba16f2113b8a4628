"""Contributed operators (com.microsoft) against ONNX Runtime on seeded inputs."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
import stacklens

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
backend = pytest.importorskip("stacklens.backend")
from onnx import TensorProto, helper  # noqa: E402

RANDOM = np.random.default_rng(20)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def whole(low: int, high: int, *shape: int, dtype: str = "int64") -> np.ndarray:
    return RANDOM.integers(low, high, shape).astype(dtype)


def ints(*values: int, dtype: str = "int64") -> np.ndarray:
    return np.array(values, dtype)


def model(
    op: str, inputs: list[Optional[np.ndarray]], outputs: int, attributes: dict[str, Any],
    fixed: tuple[int, ...] = (),
) -> Any:
    """A model of one node; inputs named in `fixed` are initialisers."""
    names = ["" if value is None else f"x{index}" for index, value in enumerate(inputs)]
    results = [f"y{index}" for index in range(outputs)]
    given, constants = [], []
    for index, (name, value) in enumerate(zip(names, inputs)):
        if value is None:
            continue
        if index in fixed:
            constants.append(onnx.numpy_helper.from_array(value, name))
            continue
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        given.append(helper.make_tensor_value_info(name, kind, value.shape))
    graph = helper.make_graph(
        [helper.make_node(op, names, results, domain="com.microsoft", **attributes)],
        op,
        given,
        [helper.make_empty_tensor_value_info(name) for name in results],
        constants,
    )
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


CONVOLUTION = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
COSTS = floats(7, 11)
CASES: list[tuple[str, list[Optional[np.ndarray]], int, dict[str, Any]]] = [
    ("Inverse", [floats(4, 4)], 1, {}),
    ("Inverse", [floats(2, 3, 5, 5).astype(np.float64)], 1, {}),
    ("Trilu", [floats(2, 4, 5)], 1, {}),
    ("Trilu", [floats(2, 4, 5), np.array(-1)], 1, {"upper": 0}),
    ("FusedMatMul", [floats(3, 4), floats(5, 4)], 1, {"transB": 1, "alpha": 0.5}),
    ("FusedMatMul", [floats(2, 4, 3), floats(2, 4, 5)], 1, {"transA": 1}),
    ("FusedMatMul", [floats(3, 2, 4), floats(2, 4, 5)], 1, {"transBatchA": 1}),
    ("FusedMatMul", [floats(2, 3, 4), floats(4, 2, 5)], 1, {"transBatchB": 1}),
    ("TransposeMatMul", [floats(4, 3), floats(5, 4)], 1, {"transA": 1, "transB": 1}),
    ("FusedGemm", [floats(3, 4), floats(4, 5), floats(5)], 1, {"activation": "Relu"}),
    (
        "FusedGemm",
        [floats(4, 3), floats(5, 4), floats(3, 1)],
        1,
        {
            "activation": "LeakyRelu", "activation_alpha": 0.3, "transA": 1, "transB": 1,
            "alpha": 0.5, "beta": 2.0,
        },
    ),
    (
        "FusedGemm",
        [floats(3, 4), floats(4, 5)],
        1,
        {"activation": "HardSigmoid", "activation_alpha": 0.4, "activation_beta": 0.3},
    ),
    (
        "FusedConv", [floats(1, 4, 9, 8), floats(6, 4, 3, 3), floats(6)], 1,
        {"activation": "Relu", **CONVOLUTION},
    ),
    (
        "FusedConv", [floats(1, 4, 9, 8), floats(6, 2, 3, 3), floats(6)], 1,
        {"activation": "LeakyRelu", "activation_params": [0.2], "group": 2, "strides": [2, 1]},
    ),
    (
        "FusedConv", [floats(1, 4, 6, 6), floats(4, 4, 3, 3), floats(4), floats(1, 4, 6, 6)], 1,
        {"activation": "Clip", "activation_params": [-0.2, 0.6], **CONVOLUTION},
    ),
    (
        "NhwcMaxPool", [whole(0, 255, 1, 9, 8, 3, dtype="uint8")], 1,
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]},
    ),
    (
        "NhwcMaxPool", [whole(-99, 99, 2, 9, 3, dtype="int8")], 1,
        {"kernel_shape": [3], "dilations": [2]},
    ),
    ("Unique", [whole(0, 5, 30).astype(np.float32)], 3, {}),
    ("ExpandDims", [floats(2, 3), np.array(1, np.int32)], 1, {}),
    ("ExpandDims", [floats(2, 3), np.array(-1, np.int32)], 1, {}),
    ("Pad", [floats(2, 3), ints(0, 2, 1, 0)], 1, {}),
    ("Pad", [floats(2, 3), ints(0, 2, 1, 0), floats(1)], 1, {}),
    ("Pad", [floats(4, 5), ints(1, 2, 1, 0)], 1, {"mode": "reflect"}),
    ("GatherND", [floats(3, 4), whole(0, 3, 5, 1)], 1, {}),
    ("GatherND", [floats(3, 4, 2), whole(0, 3, 2, 2, 2, dtype="int32")], 1, {}),
    ("Range", [np.array(2.0, np.float32), np.array(9.5, np.float32), None], 1, {}),
    ("Range", [ints(2), ints(-9), ints(-2)], 1, {}),
    ("CDist", [floats(7, 5), floats(9, 5)], 1, {}),
    ("CDist", [floats(7, 5), floats(1, 5)], 1, {"metric": "euclidean"}),
    ("CDist", [floats(3, 33).astype(np.float64), floats(4, 33).astype(np.float64)], 1, {}),
    ("MurmurHash3", [whole(-9999, 9999, 3, 4, dtype="int32")], 1, {}),
    ("MurmurHash3", [whole(-9999, 9999, 12)], 1, {"positive": 0, "seed": 5}),
    ("MurmurHash3", [floats(9)], 1, {"seed": 1}),
    ("MurmurHash3", [np.array(["", "a", "abcd", "smørrebrød", "x" * 37])], 1, {}),
    (
        "ConvTransposeWithDynamicPads",
        [floats(1, 3, 5, 5), floats(3, 2, 3, 3), ints(1, 0, 0, 2), floats(2)], 1,
        {"strides": [2, 2], "output_padding": [1, 1]},
    ),
    (
        "CropAndResize",
        [floats(2, 3, 7, 6), floats(4, 4), ints(0, 1, 1, 0, dtype="int32"),
         ints(3, 5, dtype="int32")], 1,
        {"extrapolation_value": 0.5},
    ),
    (
        "CropAndResize",
        [floats(2, 1, 7, 6), np.abs(floats(3, 4)), ints(0, 1, 1, dtype="int32"),
         ints(1, 4, dtype="int32")], 1,
        {"mode": "nearest"},
    ),
    ("GridSample", [floats(2, 3, 5, 4), floats(2, 3, 2, 2)], 1, {}),
    (
        "GridSample", [floats(1, 2, 5, 4), 1.5 * floats(1, 6, 6, 2)], 1,
        {"mode": "bicubic", "padding_mode": "reflection", "align_corners": 1},
    ),
    ("DynamicTimeWarping", [np.abs(COSTS)], 1, {}),
    ("DynamicTimeWarping", [np.abs(floats(1, 9, 4))], 1, {}),
    ("UnfoldTensor", [floats(2, 9, 3)], 1, {"dim": 1, "size": 4, "step": 3}),
    ("UnfoldTensor", [floats(5)], 1, {"size": 5}),
    ("NGramRepeatBlock", [whole(0, 4, 3, 20), floats(3, 4)], 1, {"ngram_size": 2}),
    ("NGramRepeatBlock", [whole(0, 4, 2, 2), floats(2, 4)], 1, {"ngram_size": 3}),
    ("MatMulInteger16", [whole(-99, 99, 3, 4, dtype="int16"), whole(-99, 99, 4, 5, dtype="int16")],
     1, {}),
    ("GatedAdd", [floats(2, 3, 4), floats(2, 3, 4), floats(2, 3, 1)], 1, {}),
    ("ScaledSiLU", [floats(2, 9)], 1, {"alpha": 1.7}),
    ("BifurcationDetector", [ints(1, 5, 3, 4, 2), ints(2), ints(0), ints(1, 5, 3, 4, 2, 9)], 2, {}),
    ("BifurcationDetector", [ints(1, 5, 3, 4, 2), ints(2), ints(0), ints(1, 5, 7, 4, 2, 9)], 2, {}),
    ("BifurcationDetector", [ints(1, 5, 1, 5, 2), ints(7, 1, 5), ints(0)], 2, {}),
    ("BifurcationDetector", [ints(1, 5, 1, 4, 2), ints(7, 1, 5), ints(0)], 2, {}),
    ("SampleOp", [floats(3)], 1, {}),
    ("GatedRMSNorm", [floats(2, 3, 8), floats(4), floats(2, 3, 8)], 1, {"epsilon": 1e-3}),
    ("GatedRMSNorm", [floats(2, 8), floats(8), floats(2, 8)], 1, {"activation": "sigmoid"}),
    ("MaxpoolWithMask", [floats(2, 3, 9), whole(0, 2, 1, 1, 9, dtype="int32")], 1,
     {"kernel_shape": [3], "pads": [1, 1]}),
    ("MaxpoolWithMask", [floats(2, 3, 7, 8), whole(0, 4, 1, 1, 7, 8, dtype="int32")], 1,
     {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    ("WordConvEmbedding", [
        np.array([[3, 1, 2, 0, 0], [8, 0, 0, 0, 0], [5, 6, 7, 8, 1]], np.int32),
        floats(6, 1, 2, 4), floats(6), floats(9, 4)], 1, {}),
    ("WordConvEmbedding", [
        np.array([[3, 1, 2, 0, 0], [8, 0, 0, 0, 0], [5, 6, 7, 8, 1]], np.int32),
        floats(6, 1, 4, 3), floats(6), floats(9, 3)], 1,
     {"embedding_size": 6, "conv_window_size": 4, "char_embedding_size": 3}),
    ("LinearAttentionGate", [floats(2, 3, 4), floats(4), floats(4), floats(2, 3, 4)], 2, {}),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_agrees_with_onnx_runtime(case: Any) -> None:
    op, inputs, outputs, attributes = case
    fixed = (3,) if op == "CropAndResize" else ()
    made = model(op, inputs, outputs, attributes, fixed)
    feed = {f"x{i}": v for i, v in enumerate(inputs) if v is not None and i not in fixed}
    session = runtime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, feed)
    found = backend.prepare(made).run(feed)
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        one = np.asarray(one)
        assert one.shape == other.shape and one.dtype == other.dtype
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
        else:
            np.testing.assert_array_equal(one, other)


def test_fourier_transforms_of_signals() -> None:
    # ONNX Runtime has these on other devices only; NumPy says what they mean.
    signal = floats(3, 12)
    spectrum = np.fft.rfft(signal)
    pairs = np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)
    (found,) = backend.prepare(model("Rfft", [signal], 1, {"signal_ndim": 1})).run([signal])
    np.testing.assert_allclose(found, pairs, atol=1e-5)
    (back,) = backend.prepare(model("Irfft", [pairs], 1, {"signal_ndim": 1})).run([pairs])
    np.testing.assert_allclose(back, signal, atol=1e-6)


@pytest.mark.parametrize("bad", [None, np.nan, np.inf])
def test_finds_what_is_not_finite(bad: Optional[float]) -> None:
    values = [floats(2, 3), floats(4)]
    if bad is not None:
        values[1][2] = bad
    (found,) = backend.prepare(model("IsAllFinite", list(values), 1, {})).run(values)
    assert bool(found) is (bad is None)
    (found,) = backend.prepare(model("IsAllFinite", list(values), 1, {"isnan_only": 1})).run(values)
    assert bool(found) is not (bad is not None and np.isnan(bad))


def test_convolutions_with_channels_last() -> None:
    image, filters = floats(1, 8, 7, 4), floats(6, 4, 3, 3)
    (found,) = backend.prepare(
        model("NhwcConv", [image, filters], 1, CONVOLUTION, fixed=(1,))).run([image])
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["a", "w"], ["b"], **CONVOLUTION),
            helper.make_node("Transpose", ["b"], ["y"], perm=[0, 2, 3, 1]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [onnx.numpy_helper.from_array(filters, "w")],
    )
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    expected = runtime.InferenceSession(plain.SerializeToString()).run(None, {"x": image})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sparse_matrices() -> None:
    """A matrix that is declared sparse is fed as a dense one here."""
    dense = np.where(RANDOM.random((4, 5)) < 0.4, floats(4, 5), 0).astype(np.float32)
    other = floats(5, 3)
    kind = onnx.TypeProto()
    kind.sparse_tensor_type.elem_type = TensorProto.FLOAT
    for extent in dense.shape:
        kind.sparse_tensor_type.shape.dim.add().dim_value = extent
    graph = helper.make_graph(
        [helper.make_node("SparseToDenseMatMul", ["a", "b"], ["y"], domain="com.microsoft",
                          alpha=0.5)],
        "sparse",
        [helper.make_value_info("a", kind),
         helper.make_tensor_value_info("b", TensorProto.FLOAT, other.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 3])],
    )
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    content = helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()
    places = np.argwhere(dense)
    sparse = runtime.SparseTensor.sparse_coo_from_numpy(
        np.array(dense.shape, np.int64), dense[dense != 0], places.ravel().astype(np.int64),
        runtime.OrtDevice.make("cpu", 0))
    feeds = {
        "a": runtime.OrtValue.ort_value_from_sparse_tensor(sparse),
        "b": runtime.OrtValue.ortvalue_from_numpy(other),
    }
    expected = runtime.InferenceSession(content).run_with_ort_values(["y"], feeds)[0].numpy()
    found = stacklens.Session(content).run(None, {"a": dense, "b": other})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
