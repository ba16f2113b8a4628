"""The contract of ONNX backends."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import stacklens
from conftest import ROOT

onnx = pytest.importorskip("onnx")
from onnx import helper, parser  # noqa: E402
from stacklens import backend  # noqa: E402

MODEL = parser.parse_model("""
<ir_version: 8, opset_import: ["" : 17]>
two (float[n] x, float[n] y) => (float[n] s, float[n] d) { s = Add(x, y)  d = Sub(x, y) }
""")
X, Y = np.float32([5, 7]), np.float32([1, 2])


def test_prepares_and_runs_models() -> None:
    ready = backend.prepare(MODEL)
    for inputs in ([X, Y], {"y": Y, "x": X}):
        outputs = ready.run(inputs)
        assert outputs.s.tolist() == outputs[0].tolist() == outputs["s"].tolist() == [6, 9]
        assert outputs.d.tolist() == [4, 5]
    assert backend.run_model(MODEL.SerializeToString(), [X, Y]).s.tolist() == [6, 9]
    with pytest.raises(stacklens.InvalidArgumentError, match="3 inputs"):
        ready.run([X, Y, X])


def test_runs_a_node_with_left_out_inputs() -> None:
    node = helper.make_node("Clip", ["x", "", "high"], ["y"])
    (y,) = backend.run_node(node, [X, np.float32(6)])
    assert y.tolist() == [5, 6]
    info = [(np.dtype("float32"), (2,))]
    (y,) = backend.run_node(node, {"x": X, "high": np.float32(6)}, outputs_info=info)
    assert y.tolist() == [5, 6]
    with pytest.raises(stacklens.InvalidArgumentError, match="the node has 2"):
        backend.run_node(node, [X])


def test_runs_on_the_cpu_alone() -> None:
    assert backend.supports_device("CPU") and backend.is_compatible(MODEL)
    assert not backend.supports_device("CUDA") and not backend.supports_device("abacus")
    with pytest.raises(stacklens.InvalidArgumentError, match="CUDA"):
        backend.prepare(MODEL, "CUDA")


def test_runner_reports_passes_and_failures() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "onnx-backend"), "--failures"]
    good = subprocess.run([*command, "--op", "Relu"], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "0 failed" in good.stdout and "Relu" in good.stdout
    none = subprocess.run([*command, "--op", "Nothing"], capture_output=True, check=False)
    assert none.returncode == 2
