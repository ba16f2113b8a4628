"""What a log holds, from its records and their vectors: groups, neighbours, unusual lines, causes.

Records that differ only in numbers and identifiers are one *message*; everything here works on the
unit vectors of the distinct messages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
from stacklens.records import Record

PROBLEM_LEVELS = {
    "WARN", "WARNING", "ERROR", "SEVERE", "CRITICAL", "CRIT", "ALERT", "EMERG", "FATAL", "FAILURE",
    "PANIC",
}  # fmt: skip
_PROBLEM_WORDS = re.compile(
    r"\b(?:error|err|warn(?:ing)?|fail(?:s|ed|ure|ing)?|fatal|critical|panic(?:ked)?|exception"
    r"|traceback|abort(?:ed)?|denied|refused|rejected|unreachable|time(?:d[ -]?)?out|killed"
    r"|invalid|corrupt(?:ed)?|lost)\b|(?:Error|Exception)\b",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(
    r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]+)*\b", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def normalized(text: str) -> str:
    """The text with every number and hexadecimal identifier replaced by ``#``."""
    return _NUMBER.sub("#", _IDENTIFIER.sub("#", text))


@dataclass(frozen=True)
class Messages:
    """The distinct messages of a log.

    Attributes
    ----------
    texts : list of str
        Normalised, in order of first appearance.
    ids : int array
        The message of each record.
    counts : int array
        How many records each message has.
    """

    texts: list[str]
    ids: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, records: Sequence[Record]) -> Messages:
        """Finds the distinct messages."""
        numbers: dict[str, int] = {}
        ids = [numbers.setdefault(normalized(record.text), len(numbers)) for record in records]
        array = np.array(ids, dtype=np.int64)
        return cls(list(numbers), array, np.bincount(array, minlength=len(numbers)))

    def records_of(self, message: int) -> np.ndarray:
        """Indices of the records with this message, ascending."""
        return np.flatnonzero(self.ids == message)


def problem_records(records: Sequence[Record]) -> tuple[np.ndarray, str]:
    """Which records report a problem, and the rule that said so, in words.

    The level decides; a record without one is judged by its first line. Where neither finds
    anything, every record is taken.
    """
    marks = np.array(
        [
            record.level in PROBLEM_LEVELS
            if record.level
            else bool(_PROBLEM_WORDS.search(record.text.split("\n", 1)[0]))
            for record in records
        ],
        dtype=bool,
    )
    if not marks.any():
        return np.ones(len(records), dtype=bool), "no record looks like an error, so all are shown"
    if any(record.level for record in records):
        return marks, "warnings and errors"
    return marks, "the log has no levels, so words such as 'failed' decide"


@dataclass(frozen=True)
class Group:
    """Problem records that say the same.

    Attributes
    ----------
    leader : int
        The most frequent of its messages.
    messages : list of int
    records : int array
        Ascending.
    """

    leader: int
    messages: list[int]
    records: np.ndarray


def group_by_similarity(
    messages: Messages, vectors: np.ndarray, selected: np.ndarray, threshold: float
) -> list[Group]:
    """Leader clustering of the selected records' messages, the most frequent messages first.

    A message joins the most similar leader whose cosine is at least ``threshold``, or leads a group
    of its own. Groups come with the largest first, ties in order of appearance.
    """
    counts = np.bincount(messages.ids[selected], minlength=len(messages.texts))
    order = sorted(np.flatnonzero(counts), key=lambda message: -counts[message])
    leader_vectors = np.empty((len(order), vectors.shape[1]), dtype=vectors.dtype)
    members: list[list[int]] = []
    for message in order:
        scores = leader_vectors[: len(members)] @ vectors[message]
        best = int(scores.argmax()) if members else -1
        if best >= 0 and scores[best] >= threshold:
            members[best].append(int(message))
        else:
            leader_vectors[len(members)] = vectors[message]
            members.append([int(message)])
    groups = [
        Group(names[0], names, np.flatnonzero(selected & np.isin(messages.ids, names)))
        for names in members
    ]
    return sorted(groups, key=lambda group: (-len(group.records), group.records[0]))


def unusualness(vectors: np.ndarray, counts: np.ndarray, neighbours: int = 3) -> np.ndarray:
    """How unlike the rest each message is, from 0 to about 1.

    1 minus the mean cosine to the nearest other messages, divided by 1 + ln(count): what happens
    once stands out, what is repeated does not.
    """
    wanted = min(neighbours, len(vectors) - 1)
    if wanted < 1:
        return np.zeros(len(vectors), dtype=np.float32)
    closeness = np.empty(len(vectors), dtype=np.float32)
    block = 1024
    for start in range(0, len(vectors), block):
        scores = vectors[start : start + block] @ vectors.T
        rows = np.arange(len(scores))
        scores[rows, rows + start] = -2
        closeness[start : start + block] = np.partition(scores, -wanted)[:, -wanted:].mean(axis=1)
    return (1 - closeness) / (1 + np.log(counts))


@dataclass(frozen=True)
class Episode:
    """The stretch of a log in which problems are much denser than elsewhere.

    Attributes
    ----------
    begin, end : int
        Records [begin, end).
    problem_count : int
        Problem records inside.
    groups : list of Group
        The groups that belong to it, by first appearance.
    """

    begin: int
    end: int
    problem_count: int
    groups: list[Group]


def worst_episode(problems: np.ndarray, groups: Sequence[Group]) -> Optional[Episode]:
    """Finds the stretch with the largest surplus of problems over 1.5 times the log's mean rate.

    Groups with most of their records inside belong to it; it then grows backwards over those
    records of theirs that lie before it without a wide gap.
    """
    rate = float(problems.mean())
    if problems.sum() < 20 or rate > 0.6:
        return None
    gain = np.concatenate([[0.0], np.cumsum(problems - 1.5 * rate)])
    end = int((gain - np.minimum.accumulate(gain)).argmax())
    begin = int(gain[: end + 1].argmin())
    if problems[begin:end].sum() < 20:
        return None

    def inside(group: Group) -> int:
        return int(((group.records >= begin) & (group.records < end)).sum())

    own = [group for group in groups if inside(group) >= 0.8 * len(group.records)]
    gap = max(10, (end - begin) // 20)
    earlier = [int(i) for group in own for i in group.records if i < begin]
    for index in sorted(earlier, reverse=True):
        if begin - index > gap:
            break
        begin = index
    own = [g for g in own if g.records[0] >= begin]
    own.sort(key=lambda group: group.records[0])
    if not own:
        return None
    return Episode(begin, end, int(problems[begin:end].sum()), own)


@dataclass(frozen=True)
class Suspect:
    """A rare line before an episode that speaks of the same things as one of its groups."""

    record: int
    group: Group
    score: float


def suspects(
    messages: Messages,
    vectors: np.ndarray,
    problems: np.ndarray,
    episode: Episode,
    count: int = 5,
) -> list[Suspect]:
    """Lines before an episode that report no problem themselves but may be what changed.

    Candidates are messages seen at most twice up to the begin of the episode; each is held against
    the groups of the episode, and the most similar come first.
    """
    before = np.flatnonzero(~problems[: episode.begin])
    seen = Counter(messages.ids[: episode.begin].tolist())
    rare = list(dict.fromkeys(int(i) for i in messages.ids[before] if seen[int(i)] <= 2))
    if not rare:
        return []
    scores = vectors[rare] @ vectors[[group.leader for group in episode.groups]].T
    found = [
        Suspect(int(messages.records_of(message)[0]), episode.groups[int(row.argmax())], row.max())
        for message, row in zip(rare, scores)
    ]
    return sorted(found, key=lambda suspect: -suspect.score)[:count]
