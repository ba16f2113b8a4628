"""Reading logs of common formats as records."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("STACKLENS_DATA", ROOT.parent / "shared")) / "data" / "loghub_2k"
LOGHUB = ("Apache", "BGL", "HDFS", "Hadoop", "Linux", "OpenStack", "Spark", "Zookeeper")


def _load() -> Any:
    path = ROOT / "bindings" / "python" / "stacklens" / "records.py"
    spec = importlib.util.spec_from_file_location("stacklens_records", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_module = _load()
read_records, detect_format = _module.read_records, _module.detect_format

JAVA = [
    "java.lang.IllegalStateException: no cart",
    "\tat shop.Cart.open(Cart.java:9)",
    "Caused by: java.io.IOException: gone",
    "\t... 3 more",
]
PYTHON = [
    "Traceback (most recent call last):",
    '  File "shop.py", line 3, in pay',
    "    raise ValueError(amount)",
    "ValueError: -1",
]

# first line, format, timestamp, level, service, text
SAMPLES = [
    ("2025-11-14T12:00:00.5Z ERROR cart [9f3c21ab] no price", "iso",
     "2025-11-14T12:00:00.5Z", "ERROR", "cart", "no price"),
    ("2015-10-18 18:01:47,978 WARN [main] org.shop.Cart: no price", "iso",
     "2015-10-18 18:01:47,978", "WARN", "org.shop.Cart", "no price"),
    ("2015-07-29 17:41:44,747 - INFO  [peer[me=1]/0:0:2181:Elect@774] - no price", "iso",
     "2015-07-29 17:41:44,747", "INFO", "Elect", "no price"),
    ("api.log.1 2017-05-16 00:00:00.008 25746 INFO nova.api [req-38 a b - -] no price",
     "prefixed-iso", "2017-05-16 00:00:00.008", "INFO", "nova.api", "no price"),
    ("2024-01-02 15:04:05+01:00 [warning]: no price", "iso",
     "2024-01-02 15:04:05+01:00", "WARNING", "", "no price"),
    ("2024-01-02 15:04:05 error while opening", "iso",
     "2024-01-02 15:04:05", "", "", "error while opening"),
    ("[WARN] 2024-01-02 15:04:05 no price", "level-iso",
     "2024-01-02 15:04:05", "WARN", "", "no price"),
    ("Jun 14 15:16:01 host sshd(pam_unix)[19939]: no price", "syslog",
     "Jun 14 15:16:01", "", "sshd(pam_unix)", "no price"),
    ("<34>Jun  4 15:16:01 host cron: no price", "syslog", "Jun  4 15:16:01", "", "cron",
     "no price"),
    ("[Sun Dec 04 04:47:44 2005] [error] no price", "apache",
     "Sun Dec 04 04:47:44 2005", "ERROR", "", "no price"),
    ("[Sun Dec 04 04:47:44.123 2005] [core:warn] [pid 7:tid 9] no price", "apache",
     "Sun Dec 04 04:47:44.123 2005", "WARN", "core", "no price"),
    ('203.0.113.9 - - [04/Dec/2005:04:47:44 +0000] "GET / HTTP/1.1" 200 12', "access",
     "04/Dec/2005:04:47:44 +0000", "", "", '"GET / HTTP/1.1" 200 12'),
    ("081109 203615 148 INFO dfs.DataNode: no price", "compact",
     "081109 203615", "INFO", "dfs.DataNode", "no price"),
    ("17/06/09 20:10:40 INFO executor.Executor: no price", "slash",
     "17/06/09 20:10:40", "INFO", "executor.Executor", "no price"),
    ("- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.675872 R02 RAS KERNEL INFO no price",
     "epoch", "2005-06-03-15.42.50.675872", "INFO", "KERNEL", "no price"),
    ("1117838570.25 no price", "epoch", "1117838570.25", "", "", "no price"),
    ("E0614 15:16:01.123456    1234 cart.go:88] no price", "klog",
     "0614 15:16:01.123456", "ERROR", "cart.go", "no price"),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample[0][:28] for sample in SAMPLES])
@pytest.mark.parametrize("stack", [[], JAVA, PYTHON], ids=["alone", "java", "python"])
def test_formats(sample, stack) -> None:
    head, name, timestamp, level, service, text = sample
    lines = [head, *stack, head]
    assert detect_format(lines) == name
    first, second = read_records(line + "\n" for line in lines)
    assert (first.timestamp, first.level, first.service) == (timestamp, level, service)
    assert first.text == "\n".join([text, *stack])
    assert first.raw == "\n".join([head, *stack])
    assert (first.first_line, first.last_line) == (1, 1 + len(stack))
    assert (second.first_line, second.last_line, second.text) == (len(lines), len(lines), text)


def test_lines_without_a_format_are_records_of_their_own() -> None:
    records = read_records(["no price", "  indented", "", "no stock"])
    assert [record.text for record in records] == ["no price", "  indented", "no stock"]
    assert records[2].first_line == 4


def test_stack_traces_join_without_a_format() -> None:
    java = ["java.io.IOException: x", "\tat a.B(C)"]
    records = read_records(["no price", *PYTHON, "no stock", *java])
    assert [record.text.split("\n")[0] for record in records] == [
        "no price", "no stock", "java.io.IOException: x",
    ]
    assert records[0].text.endswith("ValueError: -1")


def test_a_log_that_begins_inside_a_trace() -> None:
    head = "2025-11-14 12:00:00 INFO up"
    records = read_records(["\tat a.B(C.java:1)", "\tat a.D(C.java:2)", head, head])
    assert [record.timestamp for record in records] == ["", *["2025-11-14 12:00:00"] * 2]
    assert (records[0].first_line, records[0].last_line) == (1, 2)


def test_one_timestamp_in_prose_is_no_format() -> None:
    lines = ["alpha", "beta", "2025-11-14 12:00:00 gamma", "delta", "epsilon"]
    assert detect_format(lines) is None
    assert len(read_records(lines)) == 5


def test_blank_lines_inside_a_record_stay() -> None:
    head = "2025-11-14 12:00:00 INFO panic"
    first, second = read_records([head, "", "goroutine 7 [running]:", "", head])
    assert first.raw == head + "\n\ngoroutine 7 [running]:"
    assert second.first_line == 5


@pytest.mark.parametrize("lines", [[], [""], ["", " \t"]])
def test_empty_logs(lines) -> None:
    assert read_records(lines) == []


def test_hostile_bytes(tmp_path: Path) -> None:
    path = tmp_path / "hostile.log"
    head = b"2025-11-14 12:00:00 WARN "
    path.write_bytes(
        b"\xef\xbb\xbf" + head + b"\xff\xfe bad\r\n" + head + b"a\x0bb\x0c\xc2\x85c\rd\x00\n"
        + head + b"x" * 1_000_000
    )
    first, second, third = read_records(path)
    assert first.text == "\ufffd\ufffd bad" and first.level == "WARN"
    assert second.text == "a\x0bb\x0c\x85c\rd\x00"
    assert len(third.text) == 1_000_000
    assert read_records([head + b"\xff"])[0].text == "\ufffd"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        read_records(tmp_path / "none.log")


@pytest.mark.parametrize("name", LOGHUB)
def test_loghub(name: str) -> None:
    path = DATA / name / f"{name}_2k.log"
    if not path.exists():
        pytest.skip(f"{path} is absent; STACKLENS_DATA names the folder above data/")
    records = read_records(path)
    assert len(records) == 2000
    assert all(record.timestamp and record.text for record in records)
    assert all(record.first_line == record.last_line for record in records)
