"""What all models have in common."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_size_t, c_void_p
from typing import Any, ClassVar, Optional, TypeVar, Union

import numpy as np

from .. import _native
from .._closing import Closing
from .._native import lib
from .._options import json_bytes
from .._watch import Callback, Watch
from ..errors import InvalidArgumentError
from ..history import History
from ..model import Model
from ..tensor import Arguments, take_values

__all__ = ["Estimator", "load"]

Self = TypeVar("Self", bound="Estimator")
Path = Union[str, "os.PathLike[str]"]

_classes: dict[str, type[Estimator]] = {}


class Estimator(Closing):
    """A model with what it learned. Calls may come from many threads at once.

    Attributes
    ----------
    seed : int
        What initial values, the order of the data and dropout follow from.
    """

    _name = "model"
    #: What the library calls the kind.
    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        _classes[cls.kind] = cls

    def __init__(self, **options: Any) -> None:
        given = {key: value for key, value in options.items() if value is not None}
        out = c_void_p()
        lib.sl_estimator_create(self.kind.encode(), json_bytes(given, "options"), byref(out))
        self._adopt(out)

    def _adopt(self, handle: c_void_p) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(
            self, lib.sl_estimator_release, c_void_p(handle.value)
        )

    # ---- What it is -----------------------------------------------------------------------------

    def _description(self) -> dict[str, Any]:
        out = c_void_p()
        lib.sl_estimator_describe(self._live(), byref(out))
        description: dict[str, Any] = json.loads(_native.take_bytes(out))
        return description

    @property
    def parameter_count(self) -> int:
        """Numbers that training moves."""
        return int(self._description()["parameters"])

    @property
    def is_fitted(self) -> bool:
        """Whether it has learned anything."""
        return bool(self._description()["is_fitted"])

    @property
    def facts(self) -> dict[str, Any]:
        """What was found while fitting: thresholds, labels, figures."""
        facts: dict[str, Any] = self._description()["facts"]
        return facts

    def __repr__(self) -> str:
        about = self._description()
        options = ", ".join(f"{key}={value!r}" for key, value in about["configuration"].items())
        state = "" if about["is_fitted"] else ", not fitted"
        return f"<{type(self).__name__}({options}): {about['parameters']:,} parameters{state}>"

    # ---- Learning and asking --------------------------------------------------------------------

    def _fit(
        self,
        arrays: Mapping[str, Any],
        options: Mapping[str, Any],
        callback: Optional[Callback],
        progress: Optional[bool],
    ) -> History:
        given = {key: value for key, value in options.items() if value is not None}
        present = {name: array for name, array in arrays.items() if array is not None}
        watch = Watch(callback, int(given.get("epochs", 0)) or self._epochs(), progress)
        out = c_void_p()
        try:
            with watch.interruptible(), Arguments(list(present.values())) as arguments:
                lib.sl_estimator_fit(
                    self._live(), _native.names_of(present), arguments.array, len(present),
                    json_bytes(given, "options"), watch.function, None, byref(out),
                )
        finally:
            watch.close()
        return watch.history(out)

    def _epochs(self) -> int:
        for option in _kind(self.kind)["fit"]["options"]:
            if option["name"] == "epochs":
                return int(option["default"] or 1)
        return 1

    @classmethod
    def _default(cls, option: str) -> Any:
        """What an option of the kind is unless it is given."""
        return next(o["default"] for o in _kind(cls.kind)["options"] if o["name"] == option)

    def _call(
        self, method: str, arrays: Mapping[str, Any], count: int = 1, **options: Any
    ) -> list[Any]:
        given = {key: value for key, value in options.items() if value is not None}
        present = {name: array for name, array in arrays.items() if array is not None}
        outputs = (c_void_p * max(count, 1))()
        with Arguments(list(present.values())) as arguments:
            lib.sl_estimator_call(
                self._live(), method.encode(), _native.names_of(present), arguments.array, len(present),
                json_bytes(given, "options"), count, outputs,
            )
            return take_values(outputs, count, arguments.shared)

    # ---- Files ----------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Writes the model with everything that it learned, whole or not at all."""
        lib.sl_estimator_save(self._live(), _native.path_bytes(path))

    @classmethod
    def load(cls: type[Self], path: Path) -> Self:
        """Reads what `save` wrote.

        Raises
        ------
        FormatError
            For what is no such model, naming what does not fit.
        """
        model = load(path)
        if not isinstance(model, cls):
            raise InvalidArgumentError(
                f"'{os.fspath(path)}' holds a {type(model).__name__}, not a {cls.__name__}"
            )
        return model

    def model(self, network: str = "") -> Model:
        """One of its networks, to be run, looked at or trained on; "" is the main one."""
        out = c_void_p()
        lib.sl_estimator_model(
            self._live(), _native.name_bytes(network, "network"), byref(out)
        )
        return Model._owning(out)

    def export_onnx(
        self, path: Path, opset: Union[int, str, None] = None, network: str = ""
    ) -> None:
        """Writes a network as an ONNX file, opset 17 unless another is asked for."""
        self.model(network).save(path, opset)  # type: ignore[arg-type]


def load(path: Path) -> Estimator:
    """Reads a model of any kind."""
    out = c_void_p()
    lib.sl_estimator_load(_native.path_bytes(path), byref(out))
    model = Estimator.__new__(Estimator)
    model._adopt(out)
    model.__class__ = _classes.get(model._description()["model"], Estimator)
    return model


def _kind(name: str) -> dict[str, Any]:
    for index in range(lib.sl_estimator_kind_count()):
        out = c_void_p()
        lib.sl_estimator_kind_describe(c_size_t(index), byref(out))
        kind: dict[str, Any] = json.loads(_native.take_bytes(out))
        if kind["name"] == name:
            return kind
    raise InvalidArgumentError(f"the library has no model '{name}'")


def reals(values: Any) -> np.ndarray:
    """Numbers as the models take them: float32."""
    return np.ascontiguousarray(values, dtype=np.float32)


def integers(values: Any) -> np.ndarray:
    """Ids, labels and lengths as the models take them: int64."""
    return np.ascontiguousarray(values, dtype=np.int64)


def strings(texts: Sequence[str]) -> np.ndarray:
    """Texts as the models take them."""
    if isinstance(texts, str):
        raise TypeError("a single text is given, expected a list of texts")
    return np.array(list(texts), dtype=object)


def some(value: Any, convert: Callable[[Any], np.ndarray]) -> Optional[np.ndarray]:
    """A value as the models take it, None where it is left out."""
    return None if value is None else convert(value)
