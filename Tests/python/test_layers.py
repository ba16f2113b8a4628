"""Every layer in ONNX Runtime: the cases of Tests/LayersTests/Golden, built here, written at opset 17."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from stacklens.nn._graph import Graph

runtime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

TYPES = {"F32": "<f4", "I64": "<i8", "I32": "<i4"}


def golden() -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """The cases and the tensors of the file that scripts/generate-layers-golden.py writes."""
    content = (ROOT / "Tests/LayersTests/Golden/layers.safetensors").read_bytes()
    start = 8 + struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8:start])
    cases = json.loads(header.pop("__metadata__")["cases"])
    tensors = {}
    for name, entry in header.items():
        first, last = (start + offset for offset in entry["data_offsets"])
        array = np.frombuffer(content[first:last], TYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"])
    return cases, tensors


CASES, TENSORS = golden()


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case["name"] for case in CASES])
def test_layers_are_the_same_in_onnx_runtime(index: int) -> None:
    case, prefix = CASES[index], f"{index}/"
    own = {name[len(prefix):]: array for name, array in TENSORS.items() if name.startswith(prefix)}
    graph = Graph(case["name"])
    inputs: list[Any] = [None] * len(case["dims"])
    given = {}
    for place, dims in enumerate(case["dims"]):
        name = f"x{place}"
        if dims is not None:
            inputs[place] = graph.input(name, own[name].dtype, dims)
            given[name] = own[name]
    values = graph.layer(case["layer"], "layer", case["options"], inputs)
    expected = []
    for number, place in enumerate(case["outputs"]):
        graph.output(values[place], f"y{number}")
        expected.append(own[f"y{number}"])
    parameters = {f"layer.{name[2:]}": array for name, array in own.items() if name[:2] == "p/"}
    content = graph.model().load_state_dict(parameters).to_bytes(opset=17)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for found, wanted in zip(session.run(None, given), expected):
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=4e-6 * scale)
