"""The shared models: reference outputs, and the way through a file to ONNX Runtime."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import stacklens
from conftest import MODELS

TOLERANCE = 2e-5  # of max(1, largest reference): the models' own README says why

pytestmark = pytest.mark.skipif(not MODELS, reason="no shared models (STACKLENS_DATA)")
each_model = pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)


def cases(path: pathlib.Path) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Inputs and outputs of each reference case."""
    archive = np.load(path.with_suffix(".npz"))
    found: dict[int, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = {}
    for key in archive.files:
        case, role, name = key.split(".", 2)
        sides = found.setdefault(int(case[1:]), ({}, {}))
        sides[role == "out"][name] = archive[key]
    return [found[index] for index in sorted(found)]


def assert_close(name: str, found: Any, expected: np.ndarray) -> None:
    assert found.shape == expected.shape, name
    assert found.dtype == expected.dtype, name
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=name)
        return
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale, err_msg=name)


def flattened(name: str, value: Any) -> dict[str, np.ndarray]:
    """A value as arrays: a sequence of maps becomes a matrix and its keys."""
    if isinstance(value, np.ndarray):
        return {name: value}
    matrix = np.array([list(entry.values()) for entry in value], dtype=np.float32)
    return {name: matrix, f"{name}.keys": np.array(list(value[0]), dtype=np.int64)}


def outputs_of(session: Any, names: list[str], inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in zip(names, session.run(None, inputs)):
        found.update(flattened(name, value))
    return found


def compare(session: Any, names: list[str], path: pathlib.Path) -> None:
    for inputs, expected in cases(path):
        found = outputs_of(session, names, inputs)
        assert expected.keys() <= found.keys()
        for name, reference in expected.items():
            assert_close(name, found[name], reference)


@each_model
@pytest.mark.parametrize("level", [0, 1, 2])
def test_gives_the_reference_outputs(path: pathlib.Path, level: int) -> None:
    session = stacklens.Session(path, optimization_level=level)
    compare(session, [output.name for output in session.outputs], path)


@each_model
def test_survives_the_way_through_a_file_to_onnx_runtime(
    path: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = stacklens.Model.load(path)
    model.save(tmp_path / "written.onnx")
    assert model.to_bytes() == (tmp_path / "written.onnx").read_bytes()
    onnx.checker.check_model(str(tmp_path / "written.onnx"), full_check=False)
    model.check()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    peer = runtime.InferenceSession(
        str(tmp_path / "written.onnx"), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in peer.get_outputs()]
    compare(peer, names, path)
    again = stacklens.Session(tmp_path / "written.onnx")
    assert [output.name for output in again.outputs] == names
    compare(again, names, path)


@each_model
def test_threads_do_not_change_the_bits(path: pathlib.Path) -> None:
    inputs, _ = cases(path)[0]
    results = []
    for threads in (1, 2):
        session = stacklens.Session(path, threads=threads)
        results.append(outputs_of(session, [o.name for o in session.outputs], inputs))
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name], err_msg=name)


@each_model
def test_describes_itself(path: pathlib.Path) -> None:
    model = stacklens.Model.load(path)
    text = model.describe()
    for output in stacklens.Session(model).outputs:
        assert output.name in text
