"""Reads a log by meaning: error groups, similar messages, unusual lines, what came before.

python understand.py [--model FOLDER] [LOG ...] [--message TEXT] [--threshold COSINE] [--top COUNT]

FOLDER holds all-MiniLM-L6-v2 or another encoder of sentence-transformers; without one the encoder
that comes with the library is taken. Without a LOG the log of
a simulated shop is read, whose cause is known: examples/incident/README.md.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Optional

import numpy as np
import stacklens
import terminal
from analysis import (
    Episode,
    Group,
    Messages,
    Suspect,
    group_by_similarity,
    normalized,
    problem_records,
    suspects,
    unusualness,
    worst_episode,
)
from stacklens.records import Record, read_records
from terminal import Table, heading, paragraph, styled

SHIPPED = pathlib.Path(__file__).resolve().parents[1] / "incident" / "shop.log"
_CAUSE = re.compile(
    r"^(?:Caused by: |\s*-{3,}> )?"
    r"((?:[\w$]+(?:\.|::))*[A-Z]\w*(?:Error|Exception|Timeout|Detected)\b.*)"
)
_CLOCK = re.compile(r"(\d\d)[:.](\d\d)[:.](\d\d)|(?<=^\d{6} )(\d\d)(\d\d)(\d\d)$")


@contextmanager
def step(what: str):
    """Says what is done and how long it took."""
    start = time.perf_counter()
    print(f"{styled('·', 'cyan')} {what}", flush=True)
    yield
    print(styled(f"  done in {time.perf_counter() - start:.2f} s", "dim"), flush=True)


class Clock:
    """Times of a log, to the second; with the date where the log has more than one."""

    def __init__(self, records: Sequence[Record]) -> None:
        dates = {self._parts(record.timestamp)[0] for record in records if record.timestamp}
        self._shows_date = len(dates) > 1

    def __call__(self, record: Record) -> str:
        date, time_of_day = self._parts(record.timestamp)
        return f"{date} {time_of_day}".strip() if self._shows_date else time_of_day

    @staticmethod
    def _parts(timestamp: str) -> tuple[str, str]:
        found = _CLOCK.search(timestamp)
        if not found:
            return "", timestamp
        return timestamp[: found.start()].rstrip("T -:"), ":".join(filter(None, found.groups()))


def first_line(text: str) -> str:
    """The message without its stack trace."""
    return text.split("\n", 1)[0]


def innermost_error(text: str) -> str:
    """The exception at the bottom of a stack trace; empty where there is none."""
    lines = text.split("\n")[1:]
    found = [match.group(1) for line in lines if (match := _CAUSE.match(line))]
    return found[-1] if found else (lines[0] if lines else "")


def joined(names: Sequence[str], most: int = 2) -> str:
    """The most frequent names, and how many there are beside them."""
    ranked = [name for name, _ in Counter(name for name in names if name).most_common()]
    more = f" +{len(ranked) - most}" if len(ranked) > most else ""
    return ", ".join(ranked[:most]) + more


def listed(numbers: Sequence[int]) -> str:
    """``1, 2 and 3``."""
    names = [str(number) for number in numbers]
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def plural(count: int, noun: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


class Report:
    """One log with its vectors."""

    def __init__(
        self, path: pathlib.Path, embedder: stacklens.Embedder, threshold: float, top: int
    ) -> None:
        self.path, self.embedder, self.top = path, embedder, top
        with step(f"reading {path}"):
            self.records = read_records(path)
            self.messages = Messages.of(self.records)
            self.clock = Clock(self.records)
            distinct = plural(len(self.messages.texts), "distinct message")
            print(f"  {plural(len(self.records), 'record')}, {distinct} (numbers aside)")
        if not self.records:
            raise SystemExit(f"{path} holds no records")
        with step(f"embedding {distinct}"):
            self.vectors = embedder.encode(self.messages.texts, batch_size=1024, progress=True)
        with step("comparing them"):
            self.problems, self.rule = problem_records(self.records)
            self.groups = group_by_similarity(
                self.messages, self.vectors, self.problems, threshold
            )
            self.unusual = unusualness(self.vectors, self.messages.counts)
            self.episode = worst_episode(self.problems, self.groups)

    def show(self, message: Optional[str]) -> None:
        """Prints all sections."""
        self.show_groups()
        self.show_similar(message)
        self.show_unusual()
        if self.episode:
            causes = suspects(
                self.messages, self.vectors, self.problems, self.episode, count=5
            )
            self.show_episode(self.episode, causes)
            truth = self.known_truth()
            if truth:
                self.compare_with_truth(truth, self.episode, causes)

    def leader_record(self, group: Group) -> Record:
        """A record with the group's most frequent message."""
        ids = self.messages.ids
        return self.records[next(i for i in group.records if ids[i] == group.leader)]

    def show_groups(self) -> None:
        total = int(self.problems.sum())
        size = f"{plural(total, 'record')} in {plural(len(self.groups), 'group')}"
        heading(f"1. What goes wrong: {size}")
        paragraph(f"({self.rule}; messages of equal meaning are one group)")
        table = Table(["count", "level", "service", "first", "last", "message"], frozenset([0]))
        for group in self.groups[: self.top]:
            records = [self.records[i] for i in group.records]
            sample = self.leader_record(group)
            table.add(
                f"{len(records):,}",
                joined([r.level for r in records], 1),
                joined([r.service for r in records], 1),
                self.clock(records[0]),
                self.clock(records[-1]),
                first_line(sample.text),
                below=innermost_error(sample.text),
            )
        table.show()
        rest = self.groups[self.top :]
        if rest:
            count = sum(len(group.records) for group in rest)
            more = f"and {plural(len(rest), 'smaller group')} ({plural(count, 'record')})"
            print(styled(more, "dim"))

    def show_similar(self, message: Optional[str]) -> None:
        if message is None:
            own = self.groups[0].leader
            shown, query = first_line(self.leader_record(self.groups[0]).text), self.vectors[own]
        else:
            shown, own = message, -1
            text = normalized(message)
            query = self.embedder.encode(text)
            if text in self.messages.texts:
                own = self.messages.texts.index(text)
        heading("2. What is most similar to one message")
        cut = terminal.fitted(terminal.clean(shown), terminal.width - 4).rstrip()
        print("   " + styled(cut, "cyan"))
        indices, scores = stacklens.nearest(query, self.vectors, top_k=6)
        table = Table(["similarity", "count", "level", "service", "message"], frozenset([0, 1]))
        for index, score in [(i, s) for i, s in zip(indices, scores) if i != own][:5]:
            record = self.records[self.messages.records_of(int(index))[0]]
            table.add(
                f"{score:.2f}",
                f"{self.messages.counts[index]:,}",
                record.level,
                record.service,
                first_line(record.text),
            )
        table.show()

    def show_unusual(self) -> None:
        heading("3. The most unusual lines")
        paragraph("(1 = like nothing else; 0 = one of many; repeated lines weigh less)")
        table = Table(["score", "line", "level", "service", "message"], frozenset([0, 1]))
        for index in np.argsort(-self.unusual, kind="stable")[: min(8, self.top)]:
            record = self.records[self.messages.records_of(int(index))[0]]
            table.add(
                f"{self.unusual[index]:.2f}",
                str(record.first_line),
                record.level,
                record.service,
                first_line(record.text),
            )
        table.show()

    def show_episode(self, episode: Episode, causes: Sequence[Suspect]) -> None:
        records, length = self.records, episode.end - episode.begin
        rest = max(1, len(records) - length)
        outside = (int(self.problems.sum()) - episode.problem_count) / rest
        begin, end = self.clock(records[episode.begin]), self.clock(records[episode.end - 1])
        heading(f"4. The worst stretch: {begin} to {end}")
        paragraph(
            f"{episode.problem_count / length:.0%} of its {length:,} records report a problem, "
            f"against {outside:.0%} elsewhere. Its groups in the order in which they began:"
        )
        table = Table(["began", "count", "level", "service", "message"], frozenset([1]))
        for group in episode.groups[: self.top]:
            start = records[group.records[0]]
            table.add(
                self.clock(start), str(len(group.records)), start.level, start.service,
                first_line(start.text),
            )  # fmt: skip
        table.show()
        if not causes:
            return
        print()
        paragraph(
            "What may have changed: rare lines before it that report no problem themselves, by "
            "their similarity to those groups (in brackets: the most similar one):"
        )
        table = Table(["similarity", "line", "time", "service", "message"], frozenset([0, 1]))
        for suspect in causes:
            record = records[suspect.record]
            near = first_line(self.leader_record(suspect.group).text)
            table.add(
                f"{suspect.score:.2f}", str(record.first_line), self.clock(record), record.service,
                first_line(record.text), below=f"({near})",
            )  # fmt: skip
        table.show()

    def known_truth(self) -> Optional[dict]:
        """The simulator's answer, where it lies next to the log and fits it."""
        file = self.path.with_name("truth.json")
        try:
            truth = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        fits = isinstance(truth, dict) and truth.get("log") == self.path.name
        return truth if fits and len(truth["records"]) == len(self.records) else None

    def compare_with_truth(
        self, truth: dict, episode: Episode, causes: Sequence[Suspect]
    ) -> None:
        """Holds the last two tables against what the simulator knows."""
        fault = next(fault for fault in truth["faults"] if fault["is_main"])
        roots = set(fault["root_cause_records"])
        lines = "lines " + listed([self.records[i].first_line for i in sorted(roots)])
        ranks = [rank for rank, cause in enumerate(causes, 1) if cause.record in roots]
        heading("5. Was that right?")
        paragraph(
            f"This log comes from a simulator that knows the answer: {fault['cause']}", "   "
        )
        if ranks:
            verdict = f"among the {len(causes)} suspects above they have rank {listed(ranks)}"
        else:
            verdict = "none of them is among the suspects above"
        paragraph(f"The cause stands in {lines}: {verdict}.", "   ")
        began = self.records[episode.groups[0].records[0]] if episode.groups else None
        symptom = self.records[fault["first_evidence"][0]]
        if began is not None:
            same = "the same line" if began == symptom else f"line {began.first_line}"
            paragraph(
                f"Its first symptom is line {symptom.first_line} at {self.clock(symptom)}; "
                f"the table above begins with {same}.",
                "   ",
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__.split("\n\n")[0]))
    parser.add_argument("logs", nargs="*", type=pathlib.Path, metavar="LOG")
    parser.add_argument(
        "--model", type=pathlib.Path, default=stacklens.default_encoder(),
        help="the encoder's folder; the one that comes with the library unless given",
    )  # fmt: skip
    parser.add_argument("--message", help="the message to find similar ones for")
    parser.add_argument("--threshold", type=float, default=0.7, help="cosine within a group (0.7)")
    parser.add_argument("--top", type=int, default=12, help="groups to show (12)")
    return parser.parse_args()


def main() -> None:
    """The program."""
    options = arguments()
    with step("loading the encoder"):
        embedder = stacklens.Embedder(options.model)
    for path in options.logs or [SHIPPED]:
        Report(path, embedder, options.threshold, options.top).show(options.message)
        print()


if __name__ == "__main__":
    try:
        main()
    except (OSError, stacklens.StackLensError) as error:
        sys.exit(f"understand.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
