#!/usr/bin/env python3
"""Mutates model, weight and tokenizer files, makes up calls and graphs: no crash, no hang, no
runaway memory.

Every case follows from the seed, its kind and its number. Workers run in processes of their own with
limited memory and time; what kills one is written to build/fuzz and can be repeated with --repeat.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import pathlib
import random
import resource
import sys
import time
import xml.sax.saxutils
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import files  # noqa: E402
import graphs  # noqa: E402
import operators  # noqa: E402
import stacklens  # noqa: E402

MEMORY_LIMIT = 4 << 30  # address space of a worker
CALL_MEMORY_LIMIT = 2 << 30  # eager calls have no limit of their own
HANG_SECONDS = 10
FAILURE_LIMIT = 20  # of one kind; then it is not tried any more
PROGRESS_SECONDS = 15
TARGETS = {
    "model": files.ModelTarget, "weights": files.WeightsTarget, "tokenizer": files.TokenizerTarget,
    "operator": operators.OperatorTarget,
    "graph": lambda: graphs.GraphTarget(files.Watch, files.RUN_LIMIT),
}
SHARES = {"model": 6, "weights": 1, "tokenizer": 3, "operator": 14, "graph": 8}


@dataclasses.dataclass
class Result:
    """What came out of the cases of one kind."""

    kind: str
    answered: int = 0
    refused: int = 0
    failures: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    longest_seconds: float = 0
    longest_case: int | None = None
    peak_bytes: int = 0
    seconds: float = 0
    is_skipped: bool = False

    @property
    def count(self) -> int:
        return self.answered + self.refused + len(self.failures)

    def add(self, number: int, outcome: str, seconds: float, peak_bytes: int) -> None:
        if outcome == "answered":
            self.answered += 1
        elif outcome == "refused":
            self.refused += 1
        else:
            self.failures.append((number, outcome))
        if seconds > self.longest_seconds:
            self.longest_seconds, self.longest_case = seconds, number
        self.peak_bytes = max(self.peak_bytes, peak_bytes)

    def row(self) -> str:
        longest = f"{self.longest_seconds:.1f} s"
        if self.longest_case is not None:
            longest += f" (number {self.longest_case})"
        return (f"{self.kind:9} {self.count:7,} cases: {self.refused:7,} refused, "
                f"{self.answered:7,} answered, {len(self.failures)} failed; longest {longest}, "
                f"peak {self.peak_bytes >> 20:,} MiB; {self.seconds:.0f} s")


def content_of(target: Any, kind: str, seed: int, number: int) -> Any:
    """What is tried: made by the target itself, or one of its seeds with faults."""
    chance = random.Random(f"{seed} {kind} {number}")
    if hasattr(target, "make"):
        return target.make(chance)
    return files.mutated(chance.choice(target.seeds), chance)


def limit_of(kind: str) -> int:
    return CALL_MEMORY_LIMIT if kind == "operator" else MEMORY_LIMIT


def work(kind: str, seed: int, numbers: range, results: Any) -> None:
    """Tries cases in order and says which one is next, so that the parent knows the killer."""
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_AS, (limit_of(kind), limit_of(kind)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target = TARGETS[kind]()
    for number in numbers:
        content = content_of(target, kind, seed, number)
        results.send((number, None, 0.0, 0))
        start = time.monotonic()
        outcome = "answered"
        try:
            target.try_out(content)
        except stacklens.InternalError as error:
            outcome = f"internal error: {error}"
        except (stacklens.StackLensError, MemoryError):  # NumPy's own copies need memory, too
            outcome = "refused"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        results.send((number, outcome, time.monotonic() - start, peak))
    results.close()


def run(kind: str, seed: int, numbers: range) -> Result:
    """Tries the cases, in a new worker after each that kills one."""
    context = multiprocessing.get_context("fork")
    result, waiting = Result(kind), numbers
    begin = reported = time.monotonic()
    while waiting and len(result.failures) <= FAILURE_LIMIT:
        receive, send = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(kind, seed, waiting, send), daemon=True)
        worker.start()
        send.close()
        current, is_open = waiting[0], True
        while is_open:
            reason = None
            try:
                if receive.poll(HANG_SECONDS):
                    current, outcome, seconds, peak = receive.recv()
                    if outcome is not None:
                        result.add(current, outcome, seconds, peak)
                    if time.monotonic() - reported > PROGRESS_SECONDS:
                        reported = time.monotonic()
                        print(f"{kind}: {result.count:,} of {len(numbers):,} cases, "
                              f"{len(result.failures)} failed, {reported - begin:.0f} s",
                              file=sys.stderr, flush=True)
                    continue
                reason, is_open = f"hung for {HANG_SECONDS} s", False
                worker.kill()
                worker.join()
            except EOFError:
                worker.join()
                is_open = False
                if worker.exitcode:
                    reason = f"killed the process: {worker.exitcode}"
            if reason is not None:
                result.add(current, reason, HANG_SECONDS if "hung" in reason else 0, 0)
                print(f"{kind}: number {current}: {reason}", file=sys.stderr, flush=True)
        waiting = range(current + 1, numbers.stop)
    result.seconds = time.monotonic() - begin
    return result


def write_junit(path: pathlib.Path, results: list[Result]) -> None:
    lines = ["<testsuites><testsuite name='fuzz'>"]
    for result in results:
        lines.append(f"<testcase classname='fuzz' name='{result.kind}'>")
        for number, reason in result.failures[:1]:
            text = xml.sax.saxutils.quoteattr(f"case {number}: {reason}")
            lines.append(f"<failure message={text}/>")
        lines.append("<skipped/></testcase>" if result.is_skipped else "</testcase>")
    path.write_text("\n".join([*lines, "</testsuite></testsuites>"]) + "\n")


def counts_of(kinds: list[str], count: int) -> dict[str, int]:
    """The cases of each kind: `count` together."""
    total, share = sum(SHARES[kind] for kind in kinds), 0
    result: dict[str, int] = {}
    for kind in kinds:
        share += SHARES[kind]
        result[kind] = count * share // total - sum(result.values())
    return result


def repeat(kind: str, seed: int, number: int) -> int:
    """One case in this process, under the same limit of memory."""
    target = TARGETS[kind]()
    content = content_of(target, kind, seed, number)
    if not isinstance(content, bytes):
        print(target.shown(content).decode(), flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (limit_of(kind), limit_of(kind)))
    try:
        target.try_out(content)
    except stacklens.StackLensError as error:
        print(f"refused: {type(error).__name__}: {error}")
        return 1 if isinstance(error, stacklens.InternalError) else 0
    print("answered")
    return 0


def part_of(text: str) -> tuple[int, int]:
    part, count = (int(word) for word in text.split("/"))
    if not 1 <= part <= count:
        raise ValueError(f"part {part} of {count}")
    return part, count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20000, help="cases in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=sorted(TARGETS), help="only this kind of case")
    parser.add_argument("--part", type=part_of, default=(1, 1), metavar="K/N",
                        help="only the K-th of N equal parts of each kind's cases")
    parser.add_argument("--junit", type=pathlib.Path, help="write a JUnit report")
    parser.add_argument("--repeat", nargs=2, metavar=("KIND", "NUMBER"),
                        help="try one case in this process and say what comes of it")
    arguments = parser.parse_args()
    seed = arguments.seed

    if arguments.repeat:
        return repeat(arguments.repeat[0], seed, int(arguments.repeat[1]))

    results = []
    kinds = [arguments.kind] if arguments.kind else list(TARGETS)
    part, parts = arguments.part
    for kind, count in counts_of(kinds, arguments.count).items():
        target = TARGETS[kind]()
        if not target.seeds:
            print(f"{kind}: skipped, no file to start from")
            results.append(Result(kind, is_skipped=True))
            continue
        result = run(kind, seed, range(count * (part - 1) // parts, count * part // parts))
        results.append(result)
        print(result.row(), flush=True)
        folder = ROOT / "build" / "fuzz"
        for number, reason in result.failures:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{kind}-{seed}-{number}"
            content = content_of(target, kind, seed, number)
            path.write_bytes(content if isinstance(content, bytes) else target.shown(content))
            print(f"  number {number}: {reason}; see {path}, and run again with "
                  f"--seed {seed} --repeat {kind} {number}")
    failed = sum(len(result.failures) for result in results)
    print(f"{sum(result.count for result in results):,} cases of seed {seed}, {failed} failed; "
          f"a case may take {HANG_SECONDS} s, a worker {MEMORY_LIMIT >> 30} GiB "
          f"({CALL_MEMORY_LIMIT >> 30} GiB for operators)")
    if arguments.junit:
        write_junit(arguments.junit, results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
