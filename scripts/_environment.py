"""The Python environment that the project's scripts run in."""

import importlib.util
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def need(package, advice):
    """Goes on in the environment of the tests where this interpreter lacks a package."""
    if importlib.util.find_spec(package):
        return
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists() or pathlib.Path(sys.prefix) == ROOT / ".venv":
        raise SystemExit(f"the package {package} is missing: {advice}, or scripts/test")
    os.execv(python, [str(python), *sys.argv])


def need_onnx():
    need("onnx", "pip install onnx==1.23.2")
