"""The recipes in their short forms: that they run, and that their tables and figures are whole."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest
from stacklens import recipes

DATA = pathlib.Path(os.environ.get("STACKLENS_DATA", "../shared")) / "data"
BINDINGS = str(pathlib.Path(__file__).resolve().parents[2] / "bindings" / "python")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as users type it."""
    paths = os.pathsep.join(filter(None, [BINDINGS, os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-m", "stacklens.recipes", *arguments], capture_output=True, text=True,
        timeout=300, check=False, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip


@pytest.mark.parametrize("name", recipes.names())
def test_short_form(name: str, tmp_path: pathlib.Path) -> None:
    recipe = recipes.recipe(name)
    assert recipe.name == name and recipe.minutes > 0
    for package in recipe.needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    if not DATA.is_dir():
        pytest.skip("no data sets")
    results = tmp_path / "results.json"
    results.write_text('{"another": 1}')
    found = run(name, "--quick", "--data", str(DATA), "--results", str(results))
    assert found.returncode == 0, found.stderr
    kept = json.loads(results.read_text())
    assert kept["another"] == 1 and kept[name]["table"] and kept[name]["claims"] == []
    for row in kept[name]["table"]:
        assert all(value is not None for value in row.values())


def test_the_list_and_unknown_names() -> None:
    listed = run()
    assert listed.returncode == 0
    assert all(f"{name} " in listed.stdout for name in recipes.names())
    wrong = run("cartpol")
    assert wrong.returncode == 2 and "cartpole" in wrong.stderr
