"""One test for each class of hostile model that hurt some runtime: refused with a message or run
within its limits, never a crash. Tests/fuzz/README.md lists the classes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from typing import Any

import numpy as np
import pytest
import stacklens
from stacklens.ops import run_all

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

LIMIT = 64 << 20


def model(nodes: list[Any], inputs: dict[str, tuple[int, list[Any]]], constants: dict[str, Any],
          outputs: list[str] | None = None, opset: int = 21, **more: Any) -> Any:
    domains = sorted({node.domain for node in nodes} - {""})
    return helper.make_model(
        helper.make_graph(
            nodes, "g",
            [helper.make_tensor_value_info(name, *type_) for name, type_ in inputs.items()],
            [helper.make_empty_tensor_value_info(name) for name in outputs or nodes[-1].output],
            [value if isinstance(value, TensorProto) else numpy_helper.from_array(value, name)
             for name, value in constants.items()]),
        opset_imports=[helper.make_opsetid("", opset),
                       *(helper.make_opsetid(domain, 1) for domain in domains)], **more)


def run(proto: Any, **feed: np.ndarray) -> list[Any]:
    loaded = stacklens.Model.from_bytes(proto.SerializeToString())
    loaded.value_types()
    return list(stacklens.Session(loaded, threads=1, memory_limit=LIMIT).run(None, feed))


def refused(proto: Any, **feed: np.ndarray) -> str:
    with pytest.raises(stacklens.StackLensError) as caught:
        run(proto, **feed)
    assert not isinstance(caught.value, stacklens.InternalError), caught.value
    return str(caught.value)


ONES = np.ones((2, 3), "float32")


@pytest.mark.parametrize("dims", [[2**31, 2**31, 4], [2**62, 2], [-1], [-(2**63)], [3, -2]])
def test_dims_that_overflow_or_are_negative(dims: list[int]) -> None:
    weight = TensorProto(name="w", data_type=1, raw_data=b"\0" * 8)
    weight.dims.extend(dims)
    refused(model([helper.make_node("Relu", ["w"], ["y"])], {}, {"w": weight}))


@pytest.mark.parametrize(("field", "kind", "values"), [
    ("float_data", 1, [1.0]), ("int32_data", 6, [1]), ("int32_data", 10, [1]),
    ("int32_data", 9, [1]), ("string_data", 8, [b"a"]), ("int64_data", 7, [1]),
    ("double_data", 11, [1.0]), ("uint64_data", 13, [1]), ("uint64_data", 12, [1]),
    ("raw_data", 1, b"\0" * 7), ("raw_data", 8, b"abc"), ("float_data", 1, [1.0] * 9),
    ("float_data", 7, [1.0] * 4),
])
def test_data_of_every_field_that_does_not_fit_the_dims(
    field: str, kind: int, values: Any
) -> None:
    weight = TensorProto(name="w", data_type=kind, dims=[4])
    if field == "raw_data":
        weight.raw_data = values
    else:
        getattr(weight, field).extend(values)
    refused(model([helper.make_node("Identity", ["w"], ["y"])], {}, {"w": weight}))


@pytest.mark.parametrize("node", [
    helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[9, 9]),
    helper.make_node("Conv", ["x", "w"], ["y"], group=2**62),
    helper.make_node("Conv", ["x", "w"], ["y"], group=0),
    helper.make_node("ConvTranspose", ["x", "w"], ["y"], output_padding=[2**62, 2**62]),
    helper.make_node("LSTM", ["s", "lw", "lw"], ["y"], hidden_size=2**40),
    helper.make_node("GRU", ["s", "lw", "lw"], ["y"], hidden_size=1),
    helper.make_node("Gemm", ["w2", "w3"], ["y"], transA=1, transB=1),
    helper.make_node("BatchNormalization", ["x", "v", "v", "v", "w3"], ["y"]),
])
def test_attributes_that_contradict_constant_weights(node: Any) -> None:
    constants = {
        "w": np.ones((2, 2, 3, 3), "float32"), "lw": np.ones((1, 8, 2), "float32"),
        "w2": np.ones((3, 4), "float32"), "w3": np.ones((5, 6), "float32"),
        "v": np.ones(2, "float32"),
    }
    refused(model([node], {"x": (1, [1, 2, 5, 5]), "s": (1, [3, 1, 2])}, constants),
            x=np.ones((1, 2, 5, 5), "float32"), s=np.ones((3, 1, 2), "float32"))


@pytest.mark.parametrize("axis", [2, -3, 2**31, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("operator", [
    "Softmax", "LogSoftmax", "Hardmax", "ArgMax", "Concat", "Gather", "Split", "Compress",
    "LayerNormalization", "CumSum", "GatherElements", "TopK", "Unique", "SplitToSequence",
    "DequantizeLinear", "ReduceSum", "Squeeze",
])
def test_axis_outside_the_rank(operator: str, axis: int) -> None:
    i, v = np.zeros((1, 1), "int64"), np.ones(3, "float32")
    inputs: dict[str, list[Any]] = {
        "Concat": [ONES, ONES], "Gather": [ONES, i], "GatherElements": [ONES, i],
        "Compress": [ONES, np.array([True])], "LayerNormalization": [ONES, v],
        "CumSum": [ONES, np.array(axis)], "TopK": [ONES, np.array([1])],
        "DequantizeLinear": [ONES.astype("int8"), v], "ReduceSum": [ONES, np.array([axis])],
        "Squeeze": [ONES, np.array([axis])],
    }
    named = {} if operator in ("CumSum", "ReduceSum", "Squeeze") else {"axis": axis}
    with pytest.raises(stacklens.StackLensError):
        stacklens.ops.run(operator, *inputs.get(operator, [ONES]), outputs=1, **named)


@pytest.mark.parametrize("node", [
    helper.make_node("Tile", ["x", "one"], ["y"]),
    helper.make_node("Tile", ["x", "minus"], ["y"]),
    helper.make_node("DepthToSpace", ["image"], ["y"], blocksize=0),
    helper.make_node("DepthToSpace", ["image"], ["y"], blocksize=-2),
    helper.make_node("DepthToSpace", ["image"], ["y"], blocksize=2**40),
    helper.make_node("SpaceToDepth", ["image"], ["y"], blocksize=2**62),
    helper.make_node("Resize", ["image", "", "scales2"], ["y"]),
    helper.make_node("Resize", ["image", "", "zeros"], ["y"]),
    helper.make_node("Resize", ["image", "", "negative"], ["y"]),
    helper.make_node("Resize", ["image", "", "huge"], ["y"]),
    helper.make_node("Pad", ["x", "one"], ["y"]),
    helper.make_node("Slice", ["x", "one", "minus"], ["y"]),
    helper.make_node("Transpose", ["x"], ["y"], perm=[0, 0]),
    helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2**62]),
])
def test_lists_of_the_wrong_length_and_sizes_out_of_range(node: Any) -> None:
    refused(model([node], {"x": (1, [2, 3]), "image": (1, [1, 4, 2, 2])}, {
        "one": np.array([1]), "minus": np.array([-1, 2]), "scales2": np.float32([1, 2]),
        "zeros": np.zeros(4, "float32"), "negative": np.full(4, -1, "float32"),
        "huge": np.full(4, 1e18, "float32"),
    }), x=ONES, image=np.ones((1, 4, 2, 2), "float32"))


@pytest.mark.parametrize(("location", "offset", "length"), [
    ("../secret", 0, 8), ("/etc/hostname", 0, 1), ("link", 0, 8), ("folder/../../secret", 0, 8),
    ("data", 0, 4096), ("data", 4096, 8), ("data", -8, 8), ("data", 0, -1), ("data", 2**63 - 1, 8),
    ("", 0, 8), ("data\0x", 0, 8), ("missing", 0, 8),
])
def test_external_data_outside_the_folder_or_the_file(
    location: str, offset: int, length: int, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "model"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"\1" * 8)
    (folder / "data").write_bytes(b"\1" * 8)
    (folder / "link").symlink_to(tmp_path / "secret")
    weight = TensorProto(name="w", data_type=1, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        weight.external_data.add(key=key, value=str(value))
    proto = model([helper.make_node("Relu", ["w"], ["y"])], {}, {"w": weight})
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(stacklens.StackLensError):
        stacklens.Model.load(folder / "model.onnx")


def test_functions_that_call_themselves_and_long_chains() -> None:
    def function(name: str, callee: str) -> Any:
        return helper.make_function(
            "f", name, ["a"], ["b"], [helper.make_node(callee, ["a"], ["b"], domain="f")],
            [helper.make_opsetid("f", 1)])

    node = helper.make_node("f0", ["x"], ["y"], domain="f")
    loop = [function("f0", "f1"), function("f1", "f0")]
    refused(model([node], {"x": (1, [2])}, {}, functions=loop), x=np.ones(2, "float32"))
    chain = [function(f"f{index}", f"f{index + 1}") for index in range(3000)]
    chain.append(helper.make_function(
        "f", "f3000", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])],
        [helper.make_opsetid("", 21)]))
    (y,) = run(model([node], {"x": (1, [2])}, {}, functions=chain), x=np.ones(2, "float32"))
    assert np.array_equal(y, [-1, -1])


def test_cycles_and_outputs_that_nothing_makes() -> None:
    cycle = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    assert "cycle" in refused(model(cycle, {"x": (1, [1])}, {}), x=np.ones(1, "float32"))
    nodes = [helper.make_node("Neg", ["x"], ["a"])]
    assert "'z'" in refused(model(nodes, {"x": (1, [1])}, {}, ["z"]), x=np.ones(1, "float32"))
    nodes = [helper.make_node("Neg", ["nothing"], ["a"])]
    assert "'nothing'" in refused(model(nodes, {}, {}))


@pytest.mark.parametrize("node", [
    helper.make_node("Expand", ["x", "huge"], ["y"]),
    helper.make_node("Tile", ["x", "huge"], ["y"]),
    helper.make_node("ConstantOfShape", ["huge"], ["y"]),
    helper.make_node("Range", ["zero", "far", "step"], ["y"]),
    helper.make_node("Pad", ["x", "pads"], ["y"]),
    helper.make_node("OneHot", ["i", "far", "values"], ["y"]),
    helper.make_node("Resize", ["image", "", "", "sizes"], ["y"]),
    helper.make_node("RandomNormal", [], ["y"], shape=[2**20, 2**20]),
    helper.make_node("Upsample", ["image", "scales"], ["y"]),
    helper.make_node("HannWindow", ["far"], ["y"]),
    helper.make_node("MaxUnpool", ["image", "places", "sizes"], ["y"], kernel_shape=[2, 2]),
])
def test_small_files_with_huge_outputs(node: Any) -> None:
    refused(model([node], {
        "x": (1, [2, 3]), "image": (1, [1, 1, 2, 2]),
    }, {
        "huge": np.array([2**20, 2**20]), "zero": np.array(0), "far": np.array(2**40),
        "step": np.array(1), "pads": np.array([2**40, 0, 0, 2**40]), "i": np.array([1]),
        "values": np.float32([0, 1]), "sizes": np.array([1, 1, 2**20, 2**20]),
        "scales": np.float32([1, 1, 1e6, 1e6]), "places": np.zeros((1, 1, 2, 2), "int64"),
    }, opset=9 if node.op_type == "Upsample" else 21),
        x=ONES, image=np.ones((1, 1, 2, 2), "float32"))


def test_loops_that_grow_stop_at_the_memory_limit() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]),
         helper.make_node("Concat", ["s", "s"], ["s2"], axis=0)],
        "body", [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("c", 9, []),
                 helper.make_tensor_value_info("s", 1, ["n"])],
        [helper.make_tensor_value_info("c2", 9, []), helper.make_tensor_value_info("s2", 1, ["m"])])
    node = helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)
    refused(model([node], {"x": (1, [4])}, {"count": np.array(1000)}), x=np.ones(4, "float32"))


def test_messages_nested_deeper_than_protobuf_allows() -> None:
    content = b""
    for _ in range(5000):  # field 6 of a graph's node's attribute … as raw bytes
        size = len(content)
        prefix = bytearray()
        while size > 127:
            prefix.append(size & 127 | 128)
            size >>= 7
        content = b"\x32" + bytes(prefix) + bytes([size]) + content
    with pytest.raises(stacklens.StackLensError):
        stacklens.Model.from_bytes(b"\x3a" + content)


def test_lengths_beyond_two_gigabytes() -> None:
    for length in (b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"):
        with pytest.raises(stacklens.StackLensError):
            stacklens.Model.from_bytes(b"\x08\x08\x3a" + length + b"\x0a\x00")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_shapes_that_are_not_numbers(value: float) -> None:
    wild = np.float32([value, value])
    cast = helper.make_node("Cast", ["w"], ["s"], to=7)
    refused(model([cast, helper.make_node("Expand", ["x", "s"], ["y"])],
                  {"x": (1, [2, 3])}, {"w": wild}), x=ONES)
    refused(model([helper.make_node("Resize", ["x", "", "w"], ["y"])],
                  {"x": (1, [2, 3])}, {"w": wild}), x=ONES)
    if not value < 0:  # downwards a range is empty
        refused(model([helper.make_node("Range", ["a", "b", "c"], ["y"])], {}, {
            "a": np.array(0, "float32"), "b": np.array(value, "float32"),
            "c": np.array(1e-30, "float32"),
        }))


def test_string_tensors() -> None:
    long = TensorProto(name="w", data_type=8, dims=[3])
    long.string_data.extend([b"", b"a\0b", b"x" * 100_000])
    (y,) = run(model([helper.make_node("Identity", ["w"], ["y"])], {}, {"w": long}))
    assert len(y) == 3
    refused(model([helper.make_node("Cast", ["w"], ["y"], to=7)], {}, {"w": long}))
    refused(model([helper.make_node("MatMul", ["w", "w"], ["y"])], {}, {"w": long}))
    long.string_data[0] = b"\xff\xfe"
    assert "UTF-8" in refused(model([helper.make_node("Identity", ["w"], ["y"])], {}, {"w": long}))


def test_names_used_twice() -> None:
    twice = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["x"], ["a"])]
    assert "'a'" in refused(model(twice, {"x": (1, [1])}, {}), x=np.ones(1, "float32"))
    proto = model([helper.make_node("Neg", ["x"], ["y"])], {"x": (1, [1])}, {"w": ONES})
    proto.graph.initializer.append(proto.graph.initializer[0])
    assert "'w'" in refused(proto, x=np.ones(1, "float32"))


@pytest.mark.parametrize("text", [
    "", "{", "null", "[" * 10_000, '{"model": {"type": "WordPiece", "vocab": {"a": -1}}}',
    '{"model": {"type": "WordPiece", "vocab": {"a": 1e99}}}', '{"model": []}',
    '{"model": {"type": "WordPiece", "vocab": {"a": 99999999999}}}',
])
def test_tokenizer_files(text: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(stacklens.StackLensError):
        stacklens.Tokenizer(path)


def test_index_files_of_weights_do_not_lead_outside(tmp_path: pathlib.Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "../secret.safetensors", "b": "/etc/passwd"}}')
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises((stacklens.StackLensError, OSError)):
        stacklens.Embedder(tmp_path)
    assert os.listdir(tmp_path)


def empty(*dims: int) -> np.ndarray:
    return np.zeros(dims, "float32")


@pytest.mark.parametrize(("name", "domain", "inputs", "attributes"), [
    ("Attention", "", [empty(1, 8, 0)] * 3, {"q_num_heads": 2**62, "kv_num_heads": 2**62}),
    ("RotaryEmbedding", "", [empty(4, 8, 0)] * 3, {"num_heads": 2**62}),
    ("LinearAttention", "", [empty(2**31, 1, 0)] * 3,
     {"q_num_heads": 1, "kv_num_heads": 1, "update_rule": "linear"}),
    ("AveragePool", "", [empty(2**20, 2**20, 0, 2)], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}),
    ("MaxPool", "", [empty(2**40, 5, 0, 0)], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}),
    ("Conv", "", [empty(2**40, 3, 0, 0), empty(4, 3, 1, 1)], {}),
    ("Softmax", "", [empty(4, 2**31, 0)], {"axis": 0}),
    ("RMSNormalization", "", [empty(0, 0, 2**31 - 1), empty(1)], {}),
    ("BatchNormalization", "", [empty(2**40, 5, 0, 3)] + [empty(5)] * 4, {}),
    ("BatchNormalization", "", [empty(2**40, 5, 0, 3)] + [empty(5)] * 4, {"training_mode": 1}),
    ("NonMaxSuppression", "", [empty(2**40, 0, 4), empty(2**40, 1, 0), np.array([5])], {}),
    ("SplitToSequence", "", [empty(2**40, 0)], {}),
    ("Inverse", "com.microsoft", [empty(2**40, 0, 0)], {}),
    ("CDist", "com.microsoft", [empty(2**40, 0), empty(0, 0)], {}),
    ("CropAndResize", "com.microsoft",
     [empty(1, 0, 2, 2), empty(1, 4), np.zeros(1, "int32"), np.array([2**24, 2**24], "int32")], {}),
    ("QLinearSoftmax", "com.microsoft",
     [np.zeros((2, 2**40, 0), "uint8"), np.float32(1), np.uint8(0), np.float32(1), np.uint8(0)],
     {"axis": 1, "opset": 13}),
])
def test_empty_tensors_with_extents_that_nobody_can_walk_along(
    name: str, domain: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    try:
        run_all(name, domain, inputs, attributes, 1)
    except stacklens.StackLensError as error:
        assert not isinstance(error, stacklens.InternalError), error


@pytest.mark.parametrize("node", [
    helper.make_node("Attention", ["q", "q", "q"], ["y", "", "", "s"], right_window_size=2**63 - 1),
    helper.make_node("Attention", ["q", "q", "q"], ["y"], left_window_size=2**63 - 1),
    helper.make_node("AveragePool", ["q"], ["y"], kernel_shape=[2, 2], ceil_mode=1,
                     dilations=[1, -(2**63)]),
    helper.make_node("TensorScatter", ["q", "q"], ["y"], axis=-(2**63)),
    helper.make_node("TensorScatter", ["q", "q"], ["y"], axis=2**63 - 1),
    helper.make_node("CumProd", ["q", "far"], ["y"]),
    helper.make_node("CumProd", ["q", "nan"], ["y"]),
])
def test_attributes_at_the_ends_of_their_range(node: Any) -> None:
    proto = model([node], {"q": (1, [1, 1, 2, 4])},
                  {"far": np.array(-(2**63)), "nan": np.array(np.nan)}, ["y"], opset=26)
    loaded = stacklens.Model.from_bytes(proto.SerializeToString())
    for opset in (9, 13, 17):
        with contextlib.suppress(stacklens.StackLensError):
            loaded.to_bytes(opset)
    with contextlib.suppress(stacklens.StackLensError):
        stacklens.Session(loaded, threads=1).run(None, {"q": empty(1, 1, 2, 4)})


@pytest.mark.parametrize("nodes", [
    [helper.make_node("SplitToSequence", ["z"], ["q"]),
     helper.make_node("SequenceLength", ["q"], ["y"])],
    [helper.make_node("SplitToSequence", ["z", "one"], ["q"]),
     helper.make_node("SequenceLength", ["q"], ["y"])],
    [helper.make_node("NonZero", ["z"], ["y"])],
    [helper.make_node("Not", ["z"], ["n"]), helper.make_node("NonZero", ["n"], ["y"])],
])
def test_operators_that_make_their_outputs_stay_below_the_memory_limit(nodes: list[Any]) -> None:
    flags = helper.make_tensor("v", TensorProto.BOOL, [1], [nodes[0].op_type != "Not"])
    made = helper.make_node("ConstantOfShape", ["n_z"], ["z"], value=flags)
    message = refused(
        model([made, *nodes], {"n_z": (7, [1])}, {"one": np.array(1)}, outputs=["y"]),
        n_z=np.array([LIMIT // 4]))
    assert f"limit of {LIMIT} bytes" in message


def test_regions_with_more_samples_than_any_model_has() -> None:
    refused(model(
        [helper.make_node("RoiAlign", ["x", "r", "i"], ["y"], output_height=65536, output_width=3,
                          sampling_ratio=256)],
        {"x": (1, [2, 3, 6, 5]), "r": (1, [2, 4])}, {"i": np.array([0, 1])}),
        x=np.ones((2, 3, 6, 5), "float32"), r=np.ones((2, 4), "float32"))


@pytest.mark.parametrize("pattern", [
    "(?i)" + "\\pL" * 40000, "(?i)" + "[\\pL]" * 40000, "[" + "[:" * 100000 + "]",
    "".join(f"(?i)[\\pL\\x{{{0x4E00 + n:X}}}]" for n in range(8000)),
])
def test_patterns_of_many_classes(pattern: str) -> None:
    start = time.monotonic()
    with contextlib.suppress(stacklens.StackLensError):
        run_all("RegexFullMatch", "", [np.array(["a"], dtype=object)], {"pattern": pattern}, 1)
    assert time.monotonic() - start < 5
