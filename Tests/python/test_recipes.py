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
    command = [sys.executable, "-m", "stacklens.recipes", name, "--quick", "--data", str(DATA)]
    found = subprocess.run(
        [*command, "--results", str(results)], capture_output=True, text=True, timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    kept = json.loads(results.read_text())
    assert kept["another"] == 1 and kept[name]["table"] and kept[name]["claims"] == []
    for row in kept[name]["table"]:
        assert all(value is not None for value in row.values())


def test_the_list_and_unknown_names() -> None:
    command = [sys.executable, "-m", "stacklens.recipes"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(f"{name} " in listed for name in recipes.names())
    wrong = subprocess.run([*command, "cartpol"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "cartpole" in wrong.stderr
