"""The shipped incident log: made by the simulator, explained by truth.json."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INCIDENT = ROOT / "examples" / "incident"
MAIN_FAULT = "catalogue-pool-halved"


def _load_records_module() -> Any:
    path = ROOT / "bindings" / "python" / "stacklens" / "records.py"
    spec = importlib.util.spec_from_file_location("stacklens_records", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _simulate(out: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(INCIDENT / "simulate.py"), "--out", str(out), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return json.loads((out / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return json.loads((INCIDENT / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def records() -> list[Any]:
    return _load_records_module().read_records(INCIDENT / "shop.log")


def test_default_seed_reproduces_the_shipped_files(tmp_path: Path) -> None:
    _simulate(tmp_path)
    for name in ("shop.log", "truth.json"):
        assert (tmp_path / name).read_bytes() == (INCIDENT / name).read_bytes(), name


def test_another_seed_gives_another_log_with_the_same_faults(tmp_path, truth) -> None:
    other = _simulate(tmp_path, "--seed", "8")
    assert (tmp_path / "shop.log").read_bytes() != (INCIDENT / "shop.log").read_bytes()
    assert [fault["id"] for fault in other["faults"]] == [f["id"] for f in truth["faults"]]


def test_size_is_what_the_readme_promises(records) -> None:
    assert 1500 <= len(records) <= 2500
    assert (INCIDENT / "shop.log").stat().st_size < 600_000


def test_truth_matches_the_records(truth, records) -> None:
    assert len(truth["records"]) == len(records)
    for index, (item, record) in enumerate(zip(truth["records"], records)):
        assert item["index"] == index
        assert (item["first_line"], item["last_line"]) == (record.first_line, record.last_line)
        assert (item["service"], item["level"]) == (record.service, record.level)
        assert (item["fault"] is not None) == (item["kind"] == "fault")


def test_records_are_in_order_of_time(truth, records) -> None:
    times = [record.timestamp for record in records]
    assert times == sorted(times)
    assert truth["begin"] <= times[0] and times[-1] < truth["end"]


def test_every_fault_has_cause_and_evidence(truth, records) -> None:
    items = truth["records"]
    assert [fault["id"] for fault in truth["faults"] if fault["is_main"]] == [MAIN_FAULT]
    for fault in truth["faults"]:
        own = [item for item in items if item["fault"] == fault["id"]]
        assert fault["record_count"] == len(own) >= 5
        assert fault["services"] == sorted({item["service"] for item in own})
        roots = [item["index"] for item in own if item["is_root_cause"]]
        assert fault["root_cause_records"] == roots and roots
        assert fault["first_evidence"]
        assert all(items[i]["fault"] == fault["id"] for i in fault["first_evidence"])
        assert any(items[i]["level"] in ("WARN", "ERROR") for i in fault["first_evidence"])
        assert fault["begin"] == records[own[0]["index"]].timestamp


def test_every_cause_is_known(truth) -> None:
    """Each symptom names an event of its fault, or the one state the README explains."""
    events: dict[str, set[str]] = {}
    for item in truth["records"]:
        events.setdefault(item["fault"], set()).add(item["event"])
    for item in truth["records"]:
        if item["cause"]:
            known = events[item["fault"]] | {"catalogue.pool_exhausted"}
            assert item["cause"] in known, item
        elif item["fault"]:
            assert item["is_root_cause"], item


def test_main_incident_follows_its_cause(truth, records) -> None:
    steps = {step["event"]: step for step in truth["timeline"]}
    order = ["deployer.config_change", "catalogue.slow_acquire", "checkout.out_of_memory",
             "deployer.rollback", "checkout.parked_placed"]
    indices = [steps[event]["index"] for event in order]
    assert indices == sorted(indices)
    assert "20 -> 10" in records[steps["deployer.config_change"]["index"]].text
    for step in truth["timeline"]:
        assert records[step["index"]].timestamp == step["time"]


def test_without_the_cause_there_is_no_incident(tmp_path, truth) -> None:
    healthy = _simulate(tmp_path, "--without", MAIN_FAULT)
    events = {item["event"] for item in healthy["records"]}
    assert "catalogue.refresh_start" in events
    symptoms = {item["event"] for item in truth["records"] if item["fault"] == MAIN_FAULT}
    symptoms -= {item["event"] for item in truth["records"] if item["fault"] != MAIN_FAULT}
    assert {"catalogue.pool_timeout", "checkout.out_of_memory"} <= symptoms
    assert not events & symptoms
    text = (tmp_path / "shop.log").read_text(encoding="utf-8")
    assert not re.search(r"GET /products/\d+ 5\d\d", text)


def test_unknown_fault_is_refused(tmp_path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        _simulate(tmp_path, "--without", "gremlins")


@pytest.mark.parametrize(
    "exception",
    [
        "Caused by: java.sql.SQLTransientConnectionException",
        "java.net.SocketTimeoutException",
        "java.lang.OutOfMemoryError",
        "System.Threading.Tasks.TaskCanceledException",
        "requests.exceptions.ReadTimeout",
        "psycopg2.errors.DeadlockDetected",
        "context deadline exceeded",
        "goroutine 88214 [running]",
        "read ECONNRESET",
        "(NoMethodError)",
        "is not a char boundary",
    ],
)
def test_stack_traces_stay_with_their_record(records, exception) -> None:
    found = [record for record in records if exception in record.text]
    assert found
    for record in found:
        assert record.level in ("WARN", "ERROR")
        assert record.last_line > record.first_line
