#!/usr/bin/env python3
"""A model of more than 2 GiB of zeros: read, written with its weights beside it, read and run again.

Takes about 3 GB on disk (none for the source, which is sparse) and in memory what the system lends.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python"))

import stacklens  # noqa: E402

ROWS, COLUMNS = 90_000, 8_192


def source(folder: Path) -> Path:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[ROWS, COLUMNS])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="zeros")
    with open(folder / "zeros", "wb") as file:
        file.truncate(4 * ROWS * COLUMNS)
    node = helper.make_node("Gather", ["w", "rows"], ["y"])
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [info("rows", TensorProto.INT64, ["n"])], [info("y", 1, ["n", COLUMNS])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "source.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = stacklens.Model.load(source(folder))
        try:
            model.to_bytes()
        except stacklens.LimitExceededError as error:
            print(f"one file: {error}")
        else:
            print("one file of more than 2 GiB was written")
            return 1
        model.save(folder / "written.onnx", external_data="written.data")
        size = (folder / "written.data").stat().st_size
        onnx.checker.check_model(str(folder / "written.onnx"))
        session = stacklens.Session(folder / "written.onnx")
        (rows,) = session.run(None, {"rows": np.array([0, ROWS - 1])})
        print(f"weights beside it: {size / 1e9:.2f} GB, rows {rows.shape}, sum {rows.sum()}")
        return 0 if size == 4 * ROWS * COLUMNS and not rows.any() else 1


if __name__ == "__main__":
    sys.exit(main())
