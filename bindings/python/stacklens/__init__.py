"""StackLens: run and train ONNX models, embed texts and understand errors and logs.

>>> import stacklens
>>> stacklens.ops.softmax([1.0, 1.0])
array([0.5, 0.5], dtype=float32)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import errors, ops, records
from ._native import lib as _lib
from .embedder import Embedder, Match, default_encoder, nearest, similarity
from .errors import *  # noqa: F403
from .history import History
from .model import Model, ParameterInfo
from .quantization import quantize
from .session import Cancellation, InferenceSession, NodeArg, Session, ValueInfo
from .tensor import Tensor, from_dlpack
from .tokenizer import Encoding, Tokenizer
from .trainer import Event, Trainer

if TYPE_CHECKING:
    from . import backend, models, nn

__all__ = [
    "Cancellation",
    "Embedder",
    "Encoding",
    "Event",
    "History",
    "InferenceSession",
    "Match",
    "Model",
    "NodeArg",
    "ParameterInfo",
    "Session",
    "Tensor",
    "Tokenizer",
    "Trainer",
    "ValueInfo",
    "backend",
    "cpu_features",
    "default_encoder",
    "from_dlpack",
    "library_path",
    "models",
    "nearest",
    "nn",
    "ops",
    "quantize",
    "records",
    "similarity",
    "usable_processors",
    "version",
    *errors.__all__,
]

__version__ = "0.1.0"


def version() -> str:
    """The library's version."""
    return str(_lib.sl_version().decode())


def cpu_features() -> str:
    """The processor features in use: ``"avx512 vnni bf16"``."""
    return str(_lib.sl_cpu_features().decode())


def usable_processors() -> int:
    """Processors this process may use (affinity mask and cgroup quota)."""
    return int(_lib.sl_usable_processors())


def library_path() -> str:
    """The file of the library in use."""
    return str(_lib.path)


def __getattr__(name: str) -> Any:
    if name in ("backend", "models", "nn"):  # on demand: the first needs the package onnx
        import importlib

        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'stacklens' has no attribute '{name}'")
