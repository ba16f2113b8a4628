"""docs/operators.md is what the operator table says."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_document_is_up_to_date() -> None:
    onnx = pytest.importorskip("onnx")
    text = (ROOT / "docs" / "operators.md").read_text()
    version = re.search(r"backend suite of onnx ([\d.]+\d)", text)
    assert version is not None
    if version[1] != onnx.__version__:
        pytest.skip(f"its tests are counted in onnx {version[1]}, {onnx.__version__} is installed")
    script = ROOT / "scripts" / "generate-operators-doc"
    result = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_guide_shows_the_code_as_it_is() -> None:
    guide = (ROOT / "docs" / "adding-an-operator.md").read_text()
    sources = (ROOT / "Sources/Operators/Shape/Trilu.swift").read_text() + (
        ROOT / "Tests/OperatorsTests/TriluTests.swift").read_text()
    lines = {line.strip() for line in sources.splitlines()}
    blocks = re.findall(r"```swift\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) == 5
    for line in "\n".join(blocks).splitlines():
        assert "…" in line or line.strip() in lines or not line.strip(), line
