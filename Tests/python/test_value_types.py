"""Types of all values of a model, held against ONNX's own shape inference and against real outputs."""

from __future__ import annotations

import pathlib
import warnings
from typing import Any

import numpy as np
import pytest
import stacklens

onnx = pytest.importorskip("onnx")


def graph(text: str) -> stacklens.Model:
    return stacklens.Model.from_bytes(onnx.parser.parse_model(text).SerializeToString())


ENCODER = """
    <ir_version: 8, opset_import: ["" : 17]>
    encoder (float[batch, seq, 12] x) => (y)
    <int64[2] heads = {3, 4}, int64[1] start = {0}, int64[1] end = {2}>
    {
        all = Shape(x)
        lead = Slice(all, start, end)
        shape = Concat<axis = 0>(lead, heads)
        split = Reshape(x, shape)
        y = Transpose<perm = [0, 2, 1, 3]>(split)
    }
"""


def test_symbols_pass_through_shape_computations() -> None:
    model = graph(ENCODER)
    types = model.value_types()
    assert types["y"] == stacklens.ValueInfo("y", "float32", ("batch", 3, "seq", 4))
    assert types["shape"].shape == (4,)
    assert "split: float32[batch, seq, 3, 4] = Reshape" in model.describe()


def test_infer_writes_value_info() -> None:
    written = onnx.load_from_string(graph(ENCODER).infer().to_bytes())
    notes = {info.name: info.type.tensor_type for info in written.graph.value_info}
    dims = [d.dim_param or d.dim_value for d in notes["split"].shape.dim]
    assert dims == ["batch", "seq", 3, 4]
    onnx.checker.check_model(written, full_check=True)


def test_a_contradiction_names_node_declaration_and_inputs() -> None:
    model = graph("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 3] x) => (float[n, 4] y) <float[3, 5] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6}>
        { y = MatMul(x, w) }
    """)
    with pytest.raises(stacklens.ShapeError, match=r"'y' is declared as float32\[n, 4\], but "
                       r"float32\[n, 5\] follows from 'x' float32\[n, 3\], 'w' float32\[3, 5\]"):
        model.infer()
    with pytest.raises(stacklens.ShapeError):
        model.check()


def test_lowering_knows_element_types_that_nobody_declared() -> None:
    # Before opset 15 there is no CastLike: Cast needs the type that the second input turns out to have.
    model = graph("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[n] x) => (y)
        { whole = Cast<to = 6>(x)  sum = Add(whole, whole)  y = CastLike(x, sum) }
    """)
    old = stacklens.Model.from_bytes(model.to_bytes(opset=13))
    x = np.float32([-3.5, 2.5, 9.0])
    (expected,) = stacklens.Session(model).run(None, {"x": x})
    (found,) = stacklens.Session(old).run(None, {"x": x})
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


def dims_of(info: Any) -> list[Any] | None:
    kind = info.type.tensor_type
    if not info.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim]


def compare(model: Any, name: str) -> tuple[int, int]:
    """How many extents ONNX's inference finds, and how many of them are not found here; a
    contradiction fails."""
    try:
        ours = stacklens.Model.from_bytes(model.SerializeToString()).value_types()
    except stacklens.UnsupportedError:
        return 0, 0
    try:
        found = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)
    except onnx.shape_inference.InferenceError:
        return 0, 0
    known = missing = 0
    for info in [*found.graph.value_info, *found.graph.output]:
        theirs, own = dims_of(info), ours.get(info.name)
        if theirs is None or own is None:
            continue
        for axis, extent in enumerate(theirs):
            if isinstance(extent, int):
                known += 1
                mine = own.shape[axis] if own.shape is not None else None
                missing += not isinstance(mine, int)
                assert not isinstance(mine, int) or mine == extent, (name, info.name)
    return known, missing


def suite(step: int) -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sorted(load_model_tests(kind="node"), key=lambda case: case.name)[::step]


def load(case: Any) -> Any:
    model = case.model
    if model is None:
        model = onnx.load(pathlib.Path(case.model_dir) / "model.onnx")
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for output in bare.graph.output:  # what is to be found must not be declared
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    return bare


def test_finds_what_onnx_finds_and_nothing_else() -> None:
    known = missing = 0
    for case in suite(7):
        found = compare(load(case), case.name)
        known, missing = known + found[0], missing + found[1]
    assert known > 3000
    assert missing <= known // 1000


def test_real_outputs_have_the_types_that_were_found() -> None:
    checked = 0
    for case in suite(11):
        model = load(case)
        try:
            types = stacklens.Model.from_bytes(model.SerializeToString()).value_types()
        except stacklens.UnsupportedError:
            continue
        for output, value in zip(model.graph.output, case.data_sets[0][1] if case.data_sets else ()):
            own = types[output.name]
            if own.kind != "tensor" or own.shape is None or not isinstance(value, np.ndarray):
                continue
            assert len(own.shape) == value.ndim, case.name
            fixed = [(a, b) for a, b in zip(own.shape, value.shape) if isinstance(a, int)]
            assert all(a == b for a, b in fixed), case.name
            checked += 1
    assert checked > 60


def test_models_of_the_data_folder(data: pathlib.Path) -> None:
    paths = sorted((data / "models").glob("*.onnx"))
    assert paths
    for path in paths:
        known, missing = compare(onnx.load(path), path.name)
        assert missing == 0, path.name
