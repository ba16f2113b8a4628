"""Generated calls and graphs: every operator with attributes, shapes, types and counts it does not
expect.

What is made up follows from the operator table of the library (attribute kinds, counts of inputs,
samples): most of a call is right, so that the wrong part is reached.
"""

from __future__ import annotations

import ctypes
import json
import random
from typing import Any

import numpy as np
import stacklens
from stacklens import _native
from stacklens.tensor import TYPE_NAMES

INTS = (0, 1, -1, 2, 3, -2, 7, 64, 255, 256, 65536, 2**20, 2**28, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40,
        2**53 + 1, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-45, 3.4e38, -3.4e38, 1e9, -1e9, float("nan"),
          float("inf"), float("-inf"))
TEXTS = ("", "a", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "reflect", "edge",
         "wrap", "nearest", "linear", "cubic", "bilinear", "bicubic", "zeros", "border", "mean",
         "sum", "none", "max", "min", "mul", "add", "forward", "reverse", "bidirectional", "Relu",
         "Tanh", "Sigmoid", "DCR", "CRD", "MAX", "LEFT", "RIGHT", "BOTH", "NCHW", "default",
         "tanh", "asymmetric", "half_pixel", "tf_crop_and_resize", "ij,jk->ik", "...i->...",
         "i" * 300, "->", ",,,,", "\u00e9\u4e2d", "(" * 50, "[a-z]+")
DTYPES = ("float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16",
          "uint32", "uint64", "bool", "str")
LARGEST_INPUT = 1 << 14


def table() -> list[dict[str, Any]]:
    """The operator table as the library describes it."""
    entries = []
    for index in range(_native.lib.sl_op_count()):
        out = ctypes.c_void_p()
        _native.lib.sl_op_describe(index, ctypes.byref(out))
        entries.append(json.loads(_native.take_bytes(out)))
    return entries


def numbers(chance: random.Random, dtype: str, count: int) -> np.ndarray:
    """Elements of which some are extreme."""
    if dtype == "str":
        return np.array([chance.choice(TEXTS) for _ in range(count)], dtype=object)
    if dtype == "bool":
        return np.array([chance.random() < 0.5 for _ in range(count)], dtype=bool)
    if dtype.startswith(("int", "uint")):
        info = np.iinfo(dtype)
        wild = chance.random() < 0.3
        values = [chance.choice(INTS) if wild else chance.randrange(-3, 12) for _ in range(count)]
        return np.array([min(max(value, info.min), info.max) for value in values], dtype=dtype)
    values = [chance.choice(FLOATS) if chance.random() < 0.1 else chance.gauss(0, 1)
              for _ in range(min(count, 64))]
    with np.errstate(over="ignore"):
        return np.resize(np.array(values, dtype="float64"), count).astype(dtype)


def hostile_shape(chance: random.Random, shape: list[int]) -> list[int]:
    shape = list(shape)
    for _ in range(chance.choice((1, 1, 2))):
        kind = chance.randrange(8)
        at = chance.randrange(len(shape)) if shape else 0
        if kind == 0:
            shape = []
        elif kind == 1:
            shape.insert(at, chance.choice((0, 1, 1, 2, 3)))
        elif kind == 2 and shape:
            del shape[at]
        elif kind == 3 and shape:
            shape[at] = 0
        elif kind == 4 and shape:
            shape[at] = chance.choice((1, 2, 3, 5, 17, 64, 1000))
        elif kind == 5:
            shape = [chance.choice((1, 1, 1, 2, 3)) for _ in range(chance.randrange(10))]
        elif kind == 6 and shape:
            # Extents whose product only zero makes small.
            shape[at] = chance.choice((2**31, 2**40, 2**58))
            shape.insert(chance.randrange(len(shape) + 1), 0)
        elif shape:
            shape[at] = max(0, shape[at] + chance.choice((-1, 1)))
    shape = shape[:9]
    if 0 not in shape and np.prod(shape, dtype=float) > LARGEST_INPUT:
        return [min(side, 3) for side in shape][:8]
    if np.prod([max(side, 1) for side in shape], dtype=float) > 2**58:  # NumPy refuses them
        shape = [min(side, 3) for side in shape]
        shape[0] = 2**31 if 0 in shape[1:] else 0
    return shape


def tensor(chance: random.Random, entry: dict[str, Any] | None, rate: float) -> np.ndarray | None:
    """The tensor of a sample, or something like it."""
    if entry is None:
        return None
    dtype = TYPE_NAMES.get(entry["type"], "float32")
    dtype = dtype if dtype in DTYPES else "float32"
    shape = entry["shape"]
    is_changed = chance.random() < rate
    if is_changed and chance.random() < 0.25:
        dtype = chance.choice(DTYPES)
    if is_changed and chance.random() < 0.6:
        shape = hostile_shape(chance, shape)
    count = int(np.prod(shape, dtype=float)) if 0 not in shape else 0
    values = entry.get("values")
    if values is not None and len(values) == count and chance.random() < 0.8:
        if is_changed and count and dtype in ("int32", "int64") and chance.random() < 0.5:
            values = list(values)
            values[chance.randrange(count)] = int(numbers(chance, dtype, 1)[0])
        data = np.array(values, dtype=object if dtype == "str" else None)
        if dtype == "str":
            data = np.array([str(value) for value in values], dtype=object)
        else:
            with np.errstate(all="ignore"):
                data = np.array(
                    [0 if value is None or isinstance(value, str) else value for value in values],
                    dtype=object).astype("float64").astype(dtype)
    else:
        data = numbers(chance, dtype, count)
    return data.reshape(shape)


def attribute(chance: random.Random, kind: str, given: Any) -> Any:
    """A value of a kind that no author would write."""
    def ints() -> list[int]:
        if given and chance.random() < 0.6:
            changed = list(given)
            changed[chance.randrange(len(changed))] = chance.choice(INTS)
            if chance.random() < 0.3:
                changed.pop()
            return changed
        return [chance.choice(INTS) for _ in range(chance.choice((0, 1, 2, 3, 4, 8, 9, 100)))]

    if kind == "int":
        return chance.choice(INTS) if chance.random() < 0.8 else chance.randrange(-20, 30)
    if kind == "float":
        return chance.choice(FLOATS)
    if kind == "string":
        return chance.choice(TEXTS)
    if kind == "ints":
        return ints()
    if kind == "floats":
        if given and chance.random() < 0.6:
            changed = [float(value or 0) for value in given]
            changed[chance.randrange(len(changed))] = chance.choice(FLOATS)
            return changed
        return [chance.choice(FLOATS) for _ in range(chance.choice((0, 1, 2, 3, 9)))]
    if kind == "strings":
        return [chance.choice(TEXTS) for _ in range(chance.choice((0, 1, 2, 3, 9)))]
    if kind == "tensor":
        entry = {"type": 1, "shape": [2]} if given is None else given
        return tensor(chance, entry, 0.9)
    return None


def settings(chance: random.Random, entry: dict[str, Any], sample: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a sample with some that are hostile, added or of another kind."""
    result = {}
    rate = chance.choice((0.0, 0.1, 0.3, 0.6))
    for spec in entry["attributes"]:
        name, kind = spec["name"], spec["kind"]
        given = sample["attributes"].get(name, {}).get("value")
        if chance.random() < rate:
            if chance.random() < 0.05:
                kind, given = chance.choice(
                    ("int", "float", "string", "ints", "floats", "strings")), None
            value = attribute(chance, kind, given)
        elif given is None:
            continue
        elif kind == "tensor":
            value = tensor(chance, given, 0.0)
        else:
            value = given
            if kind == "floats":
                value = [float("nan") if part is None else float(part) for part in given]
            elif kind == "float":
                value = float(given)
        if value is not None and not (isinstance(value, list) and not value
                                      and chance.random() < 0.7):
            result[name] = value
    return result


def extents_changed(chance: random.Random, sample: dict[str, Any]) -> dict[str, Any]:
    """The sample with an extent changed wherever it occurs, in shapes, values and attributes: what
    fits together still does, and sizes that nobody thought of get past the checks of shapes."""
    shapes = [given["shape"] for given in sample["inputs"] if given]
    extents = sorted({side for shape in shapes for side in shape})
    if not extents:
        return sample
    new = {side: chance.choice((0, 0, 0, 1, 2, 3, 5, 17, 64, 2**20, 2**31, 2**40, 2**58))
           for side in chance.sample(extents, min(len(extents), chance.choice((1, 1, 2, 3))))}
    changes_values, changes_attributes = chance.random() < 0.4, chance.random() < 0.4

    def fits(shape: list[int]) -> bool:
        bound = LARGEST_INPUT if 0 not in shape else 2**58  # NumPy refuses more
        return np.prod([max(side, 1) for side in shape], dtype=float) <= bound

    def changed(given: dict[str, Any] | None) -> dict[str, Any] | None:
        shape = [new.get(side, side) for side in given["shape"]] if given else []
        if given is None or not fits(shape):
            return given
        result = {**given, "shape": shape}
        values = given.get("values")
        if values is not None and changes_values and given["type"] in (6, 7):
            result["values"] = [new.get(value, value) for value in values]
        return result

    def setting(given: dict[str, Any]) -> dict[str, Any]:
        value = given.get("value")
        if given.get("kind") == "int":
            return {**given, "value": new.get(value, value)}
        if given.get("kind") == "ints" and value:
            return {**given, "value": [new.get(part, part) for part in value]}
        return given

    attributes = sample["attributes"]
    if changes_attributes:
        attributes = {name: setting(given) for name, given in attributes.items()}
    return {**sample, "inputs": [changed(given) for given in sample["inputs"]],
            "attributes": attributes}


def call(chance: random.Random, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """One call: operator, inputs, attributes, count of outputs."""
    entry = chance.choice(entries)
    sample = {"inputs": [{"type": 1, "shape": [2, 3]}], "attributes": {}, "outputs": 1}
    if entry["samples"]:
        sample = chance.choice(entry["samples"])
    if chance.random() < 0.4:
        sample = extents_changed(chance, sample)
    rate = chance.choice((0.0, 0.2, 0.5))
    inputs = [tensor(chance, given, rate) for given in sample["inputs"]]
    if chance.random() < 0.1:
        kind = chance.randrange(4)
        at = chance.randrange(len(inputs)) if inputs else 0
        if kind == 0 and inputs:
            inputs[at] = None
        elif kind == 1 and inputs:
            del inputs[at]
        elif kind == 2:
            inputs.insert(at, tensor(chance, {"type": chance.choice((1, 7)), "shape": [2]}, 0.5))
        elif inputs:
            chance.shuffle(inputs)
    outputs = sample["outputs"]
    if chance.random() < 0.05:
        outputs = chance.choice((1, 2, 3, 9))
    return {
        "name": entry["name"], "domain": entry["domain"], "versions": entry["versions"],
        "inputs": inputs, "attributes": settings(chance, entry, sample), "outputs": outputs,
    }


def refusable(make: Any) -> Any:
    """What the wrapper itself refuses counts as refused."""
    try:
        return make()
    except (TypeError, ValueError, OverflowError) as error:
        raise stacklens.InvalidArgumentError(str(error)) from error


class OperatorTarget:
    """Eager calls through the C interface."""

    def __init__(self) -> None:
        self.seeds = [b"calls"]
        # Subgraphs cannot be given to an eager call.
        self._entries = [entry for entry in table()
                         if not any(spec["kind"] == "graph" for spec in entry["attributes"])]

    def make(self, chance: random.Random) -> dict[str, Any]:
        return call(chance, self._entries)

    def try_out(self, content: dict[str, Any]) -> None:
        from stacklens.ops import run_all

        refusable(lambda: run_all(
            content["name"], content["domain"], content["inputs"], content["attributes"],
            content["outputs"]))

    @staticmethod
    def shown(content: dict[str, Any]) -> bytes:
        def word(array: np.ndarray | None) -> str:
            if array is None:
                return "absent"
            with np.printoptions(threshold=16, edgeitems=4, linewidth=200):
                elements = " ".join(str(array.ravel()).split())
            return f"{array.dtype}{list(array.shape)} {elements}"

        lines = [f"{content['domain'] or 'ai.onnx'} {content['name']}, "
                 f"{content['outputs']} outputs"]
        lines += [f"  input {index}: {word(array)}"
                  for index, array in enumerate(content["inputs"])]
        lines += [f"  {name} = {word(value) if isinstance(value, np.ndarray) else repr(value)}"
                  for name, value in content["attributes"].items()]
        return "\n".join(lines).encode()
