"""Reading log files as records: one message with its stack trace is one record.

The rule
--------
1. The first 400 lines that are not blank vote for the format of the file: the format whose start
   patterns match most of them wins, provided that the matches are at least one third of the lines
   that do not look like a part of a stack trace.
2. With a format, a line that matches one of its start patterns opens a record; every other line
   belongs to the record above it.
3. Without one, each line is a record, except that the lines of a stack trace join the line above.

Blank lines open no record; they stay in ``raw`` when they lie inside one. This module needs the
standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Union

__all__ = ["Record", "detect_format", "read_records"]

_SAMPLE_LINES = 400
_LEVELS = (
    r"TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|CRIT|ALERT|EMERG|FATAL|FAILURE"
    r"|PANIC"
)
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"


def _start(pattern: str) -> re.Pattern[str]:
    pattern = pattern.replace("ISO", _ISO).replace("MONTH", _MONTH).replace("CLOCK", _CLOCK)
    return re.compile(pattern.replace("LEVELS", _LEVELS))


_OPENSTACK = r"(?P<time>ISO) +\d+ +(?P<level>LEVELS) +(?P<service>[\w.]+)(?: \[.*?\])? "

# The patterns of a format run from special to general: any of them opens a record, and the first
# that matches gives the fields.
_FORMATS: dict[str, tuple[re.Pattern[str], ...]] = {
    "iso": (
        # 2025-11-14T11:36:00.123Z ERROR catalogue [3fc1a2] message
        _start(
            r"(?P<time>ISO) +(?P<level>LEVELS) +(?P<service>[A-Za-z][\w.-]*) +"
            r"\[(?:-|[\da-f-]{6,})\] "
        ),
        # 2015-10-18 18:01:47,978 INFO [main] org.apache.Main: message
        _start(r"(?P<time>ISO) +(?P<level>LEVELS) +\[.*?\] +(?P<service>[\w.$]+): ?"),
        # 2015-07-29 17:41:44,747 - INFO  [thread:Class@774] - message
        _start(r"(?P<time>ISO) +- +(?P<level>LEVELS) +\[.*?(?P<service>[\w$]+)@-?\d+\] +- "),
        # 2017-05-16 00:00:00.008 25746 INFO nova.wsgi [req] message
        _start(_OPENSTACK),
        # 2024-01-02 15:04:05 INFO anything, ... [warning] anything, ... error: anything
        _start(r"\[?(?P<time>ISO)\]?:? +(?:[-|] +)?[\[(]?(?P<level>LEVELS)[\])]?(?:[:|]| -)? +"),
        _start(r"\[?(?P<time>ISO)\]?:? +(?:[-|] +)?[\[(](?P<level>(?i:LEVELS))[\])]:? +"),
        _start(r"\[?(?P<time>ISO)\]?:? +(?:[-|] +)?(?P<level>(?i:LEVELS)): +"),
        _start(r"\[?(?P<time>ISO)\]?(?:$|:? +(?:[-|] +)?)"),
    ),
    # WARN 2024-01-02 15:04:05 message, [WARN] [2024-01-02T15:04:05Z] message
    "level-iso": (_start(r"\[?(?P<level>LEVELS)\]?:? +\[?(?P<time>ISO)\]?:? *"),),
    # nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.wsgi [req] message
    "prefixed-iso": (_start(r"\S+ " + _OPENSTACK), _start(r"\S+ (?P<time>ISO) +")),
    # 081109 203615 148 INFO dfs.DataNode$PacketResponder: message
    "compact": (
        _start(r"(?P<time>\d{6} \d{6}) \d+ +(?P<level>LEVELS) +(?P<service>[\w.$]+): ?"),
        _start(r"(?P<time>\d{6} \d{6}) "),
    ),
    # 17/06/09 20:10:40 INFO executor.Executor: message
    "slash": (
        _start(
            r"(?P<time>\d\d(?:\d\d)?/\d\d/\d\d CLOCK) +(?P<level>LEVELS) +(?P<service>[\w.$]+): ?"
        ),
        _start(r"\[?(?P<time>\d\d(?:\d\d)?/\d\d/\d\d CLOCK)\]? +"),
    ),
    "epoch": (
        # - 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS KERNEL INFO message
        _start(
            r"\S+ \d{9,10} \d{4}\.\d\d\.\d\d \S+ (?P<time>\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.\d+)"
            r" \S+ \S+ (?P<service>\S+) (?P<level>LEVELS) ?"
        ),
        # - 1117838570 anything, 1117838570.25 anything
        _start(r"(?:\S+ )?(?P<time>1\d{9}(?:\d{3})?(?:\.\d+)?) +"),
    ),
    # [Sun Dec 04 04:47:44 2005] [error] message
    "apache": (
        _start(
            r"\[(?P<time>[A-Z][a-z]{2} MONTH [ \d]\d CLOCK \d{4})\] \[(?:(?P<service>\w*):)?"
            r"(?P<level>\w+)\](?: \[pid [^\]]*\])? ?"
        ),
        _start(r"\[(?P<time>[A-Z][a-z]{2} MONTH [ \d]\d CLOCK \d{4})\] *"),
    ),
    # 203.0.113.9 - - [04/Dec/2005:04:47:44 +0000] "GET / HTTP/1.1" 200 12
    "access": (_start(r"\S+ \S+ \S+ \[(?P<time>\d\d/MONTH/\d{4}:CLOCK [+-]\d{4})\] "),),
    # Jun 14 15:16:01 host sshd(pam_unix)[19939]: message
    "syslog": (
        _start(
            r"(?:<\d{1,3}>)?(?P<time>MONTH [ \d]\d CLOCK) \S+ "
            r"(?:(?P<service>[^\s:\[]+)(?:\[\d+\])?: )?"
        ),
    ),
    # E0614 15:16:01.123456    1234 file.go:88] message
    "klog": (_start(r"(?P<level>[IWEF])(?P<time>\d{4} CLOCK) +\d+ (?P<service>[\w./-]+):\d+\] "),),
}

_TRACE_LINE = re.compile(
    r"\s+at \S|\s+File \"|\s+\.{3} \d+ (?:more|common)|\s+from \S+:\d+|\.{3} \d+ more|"
    r"Caused by: |Suppressed: |Traceback \(most recent call last\)|goroutine \d+ \[|"
    r"\s*-{3,}> |\s*-{3} End of |stack backtrace:|created by \S+|\s+\^+\s*$|"
    r"The above exception was|During handling of the above"
)
_EXCEPTION_LINE = re.compile(
    r"(?:[A-Za-z_][\w$]*(?:\.|::))*[A-Z]\w*(?:Error|Exception|Timeout|Detected|Interrupt)"
    r"\b(?::|$| \()"
)
_LEVEL_WORD = re.compile(rf"\b({_LEVELS})\b")
_KLOG_LEVELS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "FATAL"}


@dataclass(frozen=True)
class Record:
    """One log message with the lines that belong to it.

    Attributes
    ----------
    timestamp : str
        The time as the log writes it; empty when the format has none.
    level : str
        The severity in capital letters; empty when none is found.
    service : str
        Service, component, class or process that wrote the message; empty when none is found.
    text : str
        The message without the leading fields, and its continuation lines, joined by newlines.
    first_line, last_line : int
        Line numbers in the file, from 1, both inclusive.
    raw : str
        The lines as they stand in the file, joined by newlines.
    """

    timestamp: str
    level: str
    service: str
    text: str
    first_line: int
    last_line: int
    raw: str


def read_records(source: Union[str, os.PathLike[str], Iterable[Union[str, bytes]]]) -> list[Record]:
    """Reads a log as records, each with its stack trace.

    Parameters
    ----------
    source : str, path or iterable of str or bytes
        The path of a file, or the lines themselves, with or without line ends. Bytes that are not
        UTF-8 are replaced by U+FFFD.

    Returns
    -------
    list of Record
        In file order; empty for an empty log.

    Raises
    ------
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> lines = ["2025-11-14T11:36:00Z ERROR cart [-] no price", "  at Cart.total (cart.js:8)"]
    >>> [record] = read_records(lines)
    >>> record.level, record.service, record.last_line
    ('ERROR', 'cart', 2)
    """
    lines = _lines(source)
    name = detect_format(lines)
    starts = _FORMATS[name] if name else ()
    return [_record(lines, first, last, starts) for first, last in _spans(lines, starts)]


def detect_format(lines: Sequence[str]) -> str | None:
    """Names the format whose start patterns fit the first lines of a log best.

    Parameters
    ----------
    lines : sequence of str
        The lines of the log, without line ends.

    Returns
    -------
    str or None
        The name of the format, None when no pattern fits.
    """
    sample = list(islice((line for line in lines if line.strip()), _SAMPLE_LINES))
    best, votes = None, 0
    for name, starts in _FORMATS.items():
        count = sum(1 for line in sample if _match(line, starts))
        if count > votes:
            best, votes = name, count
    candidates = sum(1 for line in sample if not _looks_like_trace(line))
    return best if votes > 0 and votes * 3 >= candidates else None


def _lines(source: Union[str, os.PathLike[str], Iterable[Union[str, bytes]]]) -> list[str]:
    if isinstance(source, (str, os.PathLike)):
        with open(source, encoding="utf-8-sig", errors="replace", newline="\n") as file:
            return [line.rstrip("\r\n") for line in file]
    texts = (
        line.decode("utf-8", errors="replace") if isinstance(line, bytes) else line
        for line in source
    )
    return [line.rstrip("\r\n") for line in texts]


def _match(line: str, starts: tuple[re.Pattern[str], ...]) -> re.Match[str] | None:
    return next((match for start in starts if (match := start.match(line))), None)


def _looks_like_trace(line: str) -> bool:
    if line[:1] in (" ", "\t"):
        return True
    return bool(_TRACE_LINE.match(line) or _EXCEPTION_LINE.match(line))


def _spans(lines: Sequence[str], starts: tuple[re.Pattern[str], ...]) -> Iterator[tuple[int, int]]:
    """Yields the first and last index of each record."""
    first: int | None = None
    last = 0
    started = False
    in_traceback = False
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        if _match(line, starts):
            joins, started = False, True
        elif started:
            joins = True
        else:
            joins = _joins_without_format(line, in_traceback)
            if joins:
                in_traceback = _stays_in_traceback(line, in_traceback)
            else:
                in_traceback = False
        if first is not None and not joins:
            yield first, last
            first = None
        if first is None:
            first = index
            in_traceback = not started and line.startswith("Traceback ")
        last = index
    if first is not None:
        yield first, last


def _joins_without_format(line: str, in_traceback: bool) -> bool:
    return in_traceback or bool(_TRACE_LINE.match(line))


def _stays_in_traceback(line: str, in_traceback: bool) -> bool:
    """A Python traceback ends with its first line that is not indented, the exception itself."""
    if line.startswith("Traceback "):
        return True
    return in_traceback and line[:1] in (" ", "\t")


def _record(
    lines: Sequence[str], first: int, last: int, starts: tuple[re.Pattern[str], ...]
) -> Record:
    head = lines[first]
    match = _match(head, starts)
    fields = {key: value or "" for key, value in match.groupdict().items()} if match else {}
    message = head[match.end() :] if match else head
    level = fields.get("level", "")
    if not level:
        word = _LEVEL_WORD.search(message, 0, 64)
        level = word.group(1) if word else ""
    rest = lines[first + 1 : last + 1]
    return Record(
        timestamp=fields.get("time", ""),
        level=_KLOG_LEVELS.get(level, level.upper()),
        service=fields.get("service", ""),
        text="\n".join([message, *rest]).rstrip(),
        first_line=first + 1,
        last_line=last + 1,
        raw="\n".join([head, *rest]),
    )
