"""The PetShop incidents: metrics of components every five minutes."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np

from ._incidents import SIGNALS, Incident

__all__ = ["incidents"]

Table = dict[tuple[str, str], np.ndarray]


def incidents(data: Path) -> list[Incident]:
    """All of them."""
    folder = data / "petshop"
    usual = {
        path.parts[-3]: _metrics(path) for path in sorted(folder.glob("*/noissue/metrics.csv.gz"))
    }
    # Where no normal operation was recorded, that of the others together is the normal level.
    joined = {
        key: np.concatenate([table[key] for table in usual.values() if key in table])
        for key in set().union(*usual.values())
    }
    return [
        _incident(path, usual.get(path.parts[-3], joined))
        for path in sorted(folder.glob("*/train/issue_*"))
    ]


def _incident(path: Path, usual: Table) -> Incident:
    nodes, edges = _graph(path.parents[1] / "graph.csv")
    table = _metrics(path / "metrics.csv")
    target = json.loads((path / "target.json").read_text())
    symptom = target["target"]
    signals = np.zeros((len(nodes), len(SIGNALS)))
    missing = np.ones(len(nodes))
    steps = len(next(iter(table.values())))
    series = np.full((len(nodes), steps), np.nan)
    for place, node in enumerate(nodes):
        for metric, signal, sign in (
            ("latency", "latency", 1), ("availability", "errors", -1), ("requests", "requests", 1),
        ):
            values = table.get((node, metric), np.full(steps, np.nan))
            if metric == symptom["metric"]:
                series[place] = values
            deviation = _deviation(values, usual.get((node, metric)), metric, sign)
            if deviation is not None:
                signals[place, SIGNALS.index(signal)] = deviation
                missing[place] = 0
    return Incident(
        "petshop", f"{path.parts[-3]}/{path.name}", nodes, edges, nodes.index(symptom["node"]),
        nodes.index(target["root_cause"]["node"]), signals, missing, series,
    )


def _deviation(
    values: np.ndarray, usual: np.ndarray | None, metric: str, sign: int
) -> float | None:
    """The largest distance from the normal level during the incident, in robust deviations."""
    if usual is None or np.isnan(values).all() or np.isnan(usual).all():
        return None
    if metric == "availability":
        # Of percents; a component that never fails would deviate by nothing at all.
        spread, now, before = 0.5, values, usual[~np.isnan(usual)]
    else:
        now, before = (np.log(np.maximum(each, 1e-6)) for each in (values, usual[~np.isnan(usual)]))
        spread = 0.05
    level = np.median(before)
    spread += 1.4826 * np.median(np.abs(before - level))
    distance = sign * (now[~np.isnan(now)] - level) / spread + 0.0
    return float(distance[np.abs(distance).argmax()] if metric == "requests" else distance.max())


def _graph(path: Path) -> tuple[list[str], list[tuple[int, int]]]:
    with path.open() as file:
        rows = list(csv.reader(file))
    nodes = rows[0][1:]
    return nodes, [
        (source, target)
        for source, row in enumerate(rows[1:])
        for target, entry in enumerate(row[1:])
        if float(entry or 0) > 0
    ]


def _metrics(path: Path) -> Table:
    """Of each component and metric the values over time: means, and sums of requests."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        names, metrics, statistics, *rows = csv.reader(file)
    rows = sorted((row for row in rows if _number(row[0]) > 0), key=lambda row: float(row[0]))
    table = {}
    for place, (name, metric, statistic) in enumerate(zip(names, metrics, statistics)):
        if statistic == ("Sum" if metric == "requests" else "Average"):
            table[name, metric] = np.array([_number(row[place]) for row in rows])
    return table


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
