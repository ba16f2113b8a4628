"""The TrainTicket incidents: spans and log lines of a few minutes each."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ._incidents import SIGNALS, Incident

__all__ = ["incidents"]

#: The minutes after each fault that are there, by their names in the files.
_MINUTES = (("08_52", "08_53", "08_54"), ("09_25", "09_26", "09_27"), ("10_04", "10_05", "10_06"))
_ENTRY = "ts-gateway-service"
_SECONDS = 10
Operation = tuple[str, str]


@dataclass
class _Records:
    """What was recorded in some minutes."""

    #: log durations of each operation: whole, and without the operations that it calls.
    whole: dict[Operation, list[float]] = field(default_factory=lambda: defaultdict(list))
    alone: dict[Operation, list[float]] = field(default_factory=lambda: defaultdict(list))
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Spans, failed spans and error lines, and what a component does, of each component.
    spans: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    events: Counter[Operation] = field(default_factory=Counter)
    #: (component, seconds, duration) of each call from outside.
    times: list[tuple[str, float, float]] = field(default_factory=list)


def incidents(data: Path) -> list[Incident]:
    """One of each fault, all its minutes together."""
    folder = data / "nezha_trainticket"
    usual = _Records()
    _read(folder, "faultfree_08_50", usual)
    faults = json.loads((folder / "2023-01-29-fault_list.json").read_text())
    found = []
    for minutes in _MINUTES:
        hour, minute = minutes[0].split("_")
        # The first file of each is that of the minute in which the fault was put in.
        cause = next(
            _service(fault["inject_pod"])
            for fault in faults[hour]
            if fault["inject_time"].split(" ")[1].startswith(f"{hour}:{minute}:")
        )
        now = _Records()
        for name in minutes:
            _read(folder, f"fault_{name}", now)
        found.append(_incident(now, usual, cause, f"trainticket/{minutes[0]}"))
    return found


def _incident(now: _Records, usual: _Records, cause: str, name: str) -> Incident:
    nodes = sorted({*now.spans, *usual.spans})
    place = {node: index for index, node in enumerate(nodes)}
    edges = sorted((place[a], place[b]) for a, b in {*now.calls, *usual.calls})
    signals = np.zeros((len(nodes), len(SIGNALS)))
    signals[:, 0] = _slowness(now.whole, usual.whole, place)
    signals[:, 1] = _slowness(now.alone, usual.alone, place)
    total = sum(now.spans.values()) / sum(usual.spans.values())
    known = {component for component, _ in usual.events}
    for index, node in enumerate(nodes):
        # Counts of rare events: the difference of their roots has about the deviation 1.
        spans = usual.spans[node]
        share = now.spans[node] / spans if spans else total
        signals[index, 2] = _rise(now.errors[node], usual.errors[node] * share)
        signals[index, 3] = _rise(now.spans[node], spans * total)
        new = [n for event, n in now.events.items() if event[0] == node and event not in usual.events]
        signals[index, 4] = _rise(max(new, default=0), 0) if node in known else 0
    missing = np.array([float(now.spans[node] == 0) for node in nodes])
    return Incident(
        "trainticket", name, nodes, edges, place[_ENTRY], place[cause], signals, missing,
        _series(now, place),
    )


def _rise(now: float, expected: float) -> float:
    return float(2 * (np.sqrt(now + 0.375) - np.sqrt(expected + 0.375)))


def _slowness(
    now: dict[Operation, list[float]], usual: dict[Operation, list[float]], place: dict[str, int]
) -> np.ndarray:
    """The largest rise of an operation of each component (Welch's statistic of log durations)."""
    found = np.zeros(len(place))
    for operation, values in now.items():
        before = usual.get(operation, [])
        if len(before) < 3 or len(values) < 3:
            continue
        error = np.sqrt((np.var(values) + 0.1) / len(values) + (np.var(before) + 0.1) / len(before))
        index = place[operation[0]]
        found[index] = max(found[index], (np.mean(values) - np.mean(before)) / error)
    return found


def _series(records: _Records, place: dict[str, int]) -> np.ndarray:
    """Mean log duration of the calls to each component, every few seconds."""
    start = min(time for _, time, _ in records.times)
    steps = int((max(time for _, time, _ in records.times) - start) / _SECONDS) + 1
    sums, counts = np.zeros((len(place), steps)), np.zeros((len(place), steps))
    for node, time, duration in records.times:
        step = int((time - start) / _SECONDS)
        sums[place[node], step] += duration
        counts[place[node], step] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _read(folder: Path, name: str, into: _Records) -> None:
    spans = list(_rows(folder / f"{name}_trace.csv.gz"))
    owner = {row["SpanID"]: _service(row["PodName"]) for row in spans}
    below: Counter[str] = Counter()
    for row in spans:
        below[row["ParentID"]] += int(row["Duration"])
    for row in spans:
        node, duration = _service(row["PodName"]), int(row["Duration"])
        operation = (node, row["OperationName"])
        into.whole[operation].append(float(np.log(max(1, duration))))
        into.alone[operation].append(float(np.log(max(1, duration - below[row["SpanID"]]))))
        into.spans[node] += 1
        if row["OperationName"] == "BasicErrorController.error":
            into.errors[node] += 1
        caller = owner.get(row["ParentID"])
        if caller != node:
            seconds = int(row["StartTimeUnixNano"]) / 1e9
            into.times.append((node, seconds, float(np.log(max(1, duration)))))
            if caller is not None:
                into.calls[caller, node] += 1
    logs = folder / f"{name}_log.csv.gz"
    for row in _rows(logs) if logs.exists() else ():
        found = re.search(r"(INFO|WARN|ERROR)\s+(\S+#\d+)", row["Log"])
        if found:
            node = _service(row["PodName"])
            into.events[node, found[2]] += 1
            into.errors[node] += found[1] == "ERROR"


def _rows(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)


def _service(pod: str) -> str:
    return pod.rsplit("-", 2)[0]
