"""Bad files and values: a clear exception, nothing half-written, the process alive."""

from __future__ import annotations

import os
import pathlib
import pickle

import numpy as np
import pytest
import stacklens

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, parser  # noqa: E402

AFFINE = parser.parse_model("""
<ir_version: 8, opset_import: ["" : 17]>
affine (float[batch, 3] x) => (float[batch, 2] y)
<float[3, 2] w = {1, 2, 3, 4, 5, 6}>
{ y = MatMul(x, w) }
""").SerializeToString()


@pytest.mark.parametrize("load", [stacklens.Model.load, stacklens.Session])
def test_missing_files_are_os_errors_that_name_the_path(load: object) -> None:
    with pytest.raises(OSError, match="/nonexistent/x.onnx") as caught:
        load("/nonexistent/x.onnx")
    assert isinstance(caught.value, stacklens.IoError)
    assert caught.value.status is stacklens.Status.IO_ERROR


def test_folders_and_odd_paths_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(stacklens.StackLensError):
        stacklens.Model.load(tmp_path)
    with pytest.raises(stacklens.InvalidArgumentError, match="zero byte"):
        stacklens.Model.load("a\0b")


@pytest.mark.parametrize("content", [b"", b"\0", b"hello, this is text", b"\xff" * 4096])
def test_garbage_is_a_format_error(content: bytes, tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(stacklens.FormatError):
        stacklens.Model.load(tmp_path / "x.onnx")
    with pytest.raises(stacklens.FormatError):
        stacklens.Session(content)


def test_every_truncation_is_refused_or_sound() -> None:
    for length in range(len(AFFINE)):
        try:
            session = stacklens.Session(AFFINE[:length])
        except stacklens.StackLensError as error:
            assert error.message
        else:
            # What follows the graph may be cut off without harm to the graph.
            assert len(session.outputs) <= 1


def test_all_unknown_operators_are_listed_with_their_nodes() -> None:
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"], name="first"),
        helper.make_node("Defrobnicate", ["a"], ["y"], name="second"),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy")
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]))
    with pytest.raises(NotImplementedError) as caught:
        stacklens.Session(model.SerializeToString())
    for word in ("Frobnicate", "Defrobnicate", "first", "second"):
        assert word in str(caught.value)


def test_cycles_are_refused() -> None:
    nodes = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    b = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [], [b]), opset_imports=[helper.make_opsetid("", 17)]
    )
    with pytest.raises(stacklens.StackLensError):
        stacklens.Session(model.SerializeToString())


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "link.bin", "missing.bin"])
def test_external_data_stays_in_its_folder(location: str, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 24)
    os.symlink(tmp_path / "secret.bin", folder / "link.bin")
    model = onnx.load_from_string(AFFINE)
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "24")):
        weight.external_data.add(key=key, value=value)
    (folder / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(stacklens.StackLensError):
        stacklens.Session(folder / "x.onnx")
    with pytest.raises(stacklens.StackLensError):
        stacklens.Session(model.SerializeToString())


def test_a_huge_declared_size_is_refused_at_once() -> None:
    model = onnx.load_from_string(AFFINE)
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 20]
    with pytest.raises(stacklens.StackLensError):
        stacklens.Session(model.SerializeToString())


def test_a_huge_requested_shape_is_refused() -> None:
    with pytest.raises(stacklens.StackLensError):
        stacklens.ops.expand(np.zeros(1, "f4"), [1 << 40, 1 << 20])
    with pytest.raises(stacklens.StackLensError):
        stacklens.ops.constant_of_shape([1 << 62])


def test_indices_out_of_range_are_refused() -> None:
    for index in (5, -6, 1 << 62, -(1 << 63)):
        with pytest.raises(stacklens.StackLensError, match=r"(?i)index|indices"):
            stacklens.ops.gather(np.arange(5), np.array(index))


def test_a_failed_save_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    model = stacklens.Model.from_bytes(AFFINE)
    target = tmp_path / "kept.onnx"
    target.write_bytes(b"before")
    with pytest.raises(stacklens.StackLensError):
        model.save(target, opset=1)
    assert target.read_bytes() == b"before"
    with pytest.raises(OSError):
        model.save(tmp_path / "no" / "folder.onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.onnx"]
    with pytest.raises(ValueError):
        model.save(target, opset=-3)


def test_errors_survive_pickling_and_derive_from_the_expected_builtins() -> None:
    expected = {
        stacklens.ShapeError: ValueError,
        stacklens.TypeMismatchError: TypeError,
        stacklens.IoError: OSError,
        stacklens.OutOfMemoryError: MemoryError,
        stacklens.UnsupportedError: NotImplementedError,
    }
    for error, builtin in expected.items():
        assert issubclass(error, builtin) and issubclass(error, stacklens.StackLensError)
        copy = pickle.loads(pickle.dumps(error("what and why")))
        assert (type(copy), copy.message, copy.status) == (error, "what and why", error.status)
