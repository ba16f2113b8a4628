"""The table in short: counts by kind of model and by variant, and what disagrees."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable

from .comparing import BAD, GOOD, Row

PEERS = ("onnxruntime", "onnx", "torch", "torchvision", "transformers")


def counts(rows: Iterable[Row]) -> str:
    found: dict[str, int] = {}
    for row in rows:
        found[row.status] = found.get(row.status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in sorted(found.items()))


def table(title: str, rows: list[Row], name_of: Callable[[Row], str]) -> str:
    """A Markdown table with one line for each name, in the order in which the names appear."""
    lines = [
        f"| {title} | files | agree | disagree | no file to compare | worst, floats | worst, int8 |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(name_of(row), []).append(row)
    for name, group in [*groups.items(), ("all", rows)]:
        good = sum(row.status == GOOD for row in group)
        bad = sum(row.status in BAD for row in group)
        floats = _worst(row for row in group if not row.is_quantised)
        steps = _worst(row for row in group if row.is_quantised)
        lines.append(
            f"| {name} | {len(group)} | {good} | {bad} | {len(group) - good - bad} "
            f"| {'' if floats is None else f'{floats:.1e}'} "
            f"| {'' if steps is None else f'{steps:.2f} steps'} |"
        )
    return "\n".join(lines)


def _worst(rows: Iterable[Row]) -> float | None:
    return max((row.difference for row in rows if row.status in (GOOD, "differs")), default=None)


def show(rows: list[Row]) -> None:
    """Prints everything that a reader wants to know at the end."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS)
    print(f"\n{versions}\n")
    print(table("model", rows, lambda row: row.model), end="\n\n")
    print(table("variant", rows, lambda row: row.variant), end="\n\n")
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.status != GOOD and row.status not in BAD:
            reasons.setdefault((row.status, row.detail), []).append(row.key())
    for (status, detail), keys in reasons.items():
        print(f"{status}: {detail} ({len(keys)} files, such as {keys[0]})")
    bad = [row for row in rows if row.status in BAD]
    for row in bad:
        print(f"{row.key()} {row.status}: {row.detail} ({row.difference:.1e} {row.unit})")
    print(counts(rows))
    if bad:
        print(f"{len(bad)} of {len(rows)} files disagree with ONNX Runtime")
