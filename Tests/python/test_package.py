"""The package as users get it: a wheel, its documentation, its command."""

from __future__ import annotations

import doctest
import importlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest
import stacklens
from conftest import ROOT

MODULES = ("stacklens", "stacklens.ops", "stacklens.tensor", "stacklens.session",
           "stacklens.embedder", "stacklens.tokenizer", "stacklens.model", "stacklens.nn",
           "stacklens.nn._module")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_documentation_run(name: str) -> None:
    module = importlib.import_module(name)
    names = {"stacklens": stacklens, "numpy": numpy}
    assert doctest.testmod(module, extraglobs=names).failed == 0


def test_every_public_name_exists() -> None:
    pytest.importorskip("onnx")
    for name in stacklens.__all__:
        assert getattr(stacklens, name) is not None


def test_command_prints_the_installation() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "stacklens"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python")},
        check=True, capture_output=True, text=True,
    ).stdout
    assert stacklens.version() in found and stacklens.library_path() in found


def test_library_variable_is_obeyed(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
        "STACKLENS_LIBRARY": str(tmp_path / "nowhere.so"),
    }
    command = [sys.executable, "-m", "stacklens"]
    found = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert found.returncode == 1 and "nowhere.so" in found.stderr
    (tmp_path / "nowhere.so").write_text("not a library")
    found = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert found.returncode == 1 and "cannot be loaded" in found.stderr
    shutil.copy(stacklens.library_path(), tmp_path / "nowhere.so")
    found = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert found.returncode == 0 and "nowhere.so" in found.stdout


def test_wheel_carries_the_library(tmp_path: Path) -> None:
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 71:
        pytest.skip("setuptools is older than what pyproject.toml asks for")
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "bindings" / "python", source,
        ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"),
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--wheel-dir", str(tmp_path), str(source)],
        env={**os.environ, "STACKLENS_LIBRARY": stacklens.library_path()}, check=True,
    )
    (wheel,) = tmp_path.glob("stacklens-*.whl")
    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {"stacklens/libstacklens.so", "stacklens/py.typed"} <= names
        modules = {str(path.relative_to(source)) for path in source.glob("stacklens/**/*.py")}
        assert modules <= names and "stacklens/recipes/log_categories.json" in names
        archive.extractall(tmp_path / "site")
    environment = {key: value for key, value in os.environ.items() if key != "STACKLENS_LIBRARY"}
    found = subprocess.run(
        [sys.executable, "-m", "stacklens"], check=True, capture_output=True, text=True,
        env={**environment, "PYTHONPATH": str(tmp_path / "site")}, cwd=tmp_path,
    ).stdout
    assert str(tmp_path / "site") in found
    program = "import stacklens; print(stacklens.Embedder().encode('disk full').shape)"
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True,
        env={**environment, "PYTHONPATH": str(tmp_path / "site")}, cwd=tmp_path,
    ).stdout
    assert found == "(384,)\n"
