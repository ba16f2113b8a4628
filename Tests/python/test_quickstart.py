"""The newcomer's first command: what the quick start shows, and its C program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
sys.path.insert(0, str(QUICKSTART))

from analysis import (  # noqa: E402
    Messages,
    group_by_similarity,
    normalized,
    problem_records,
    suspects,
    unusualness,
    worst_episode,
)
from stacklens.records import read_records  # noqa: E402


def understand(minilm: Path, *arguments: str, columns: int = 100) -> str:
    paths = [str(ROOT / "bindings" / "python"), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, str(QUICKSTART / "understand.py"), "--model", str(minilm), *arguments],
        text=True, capture_output=True, encoding="utf-8",
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": str(columns),
        },
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_numbers_and_identifiers_do_not_tell_messages_apart():
    one = normalized("order 4711 took 12.5ms trace=9f86d081884c7d65 at 0x7ffe")
    assert one == normalized("order 3 took 7ms trace=60303ae22b998861 at 0x1")
    assert normalized("deadbeat feedback") == "deadbeat feedback"


def test_groups_follow_the_threshold():
    records = read_records([f"2025-01-01 00:00:0{i} ERROR a [x] {w}" for i, w in enumerate("abab")])
    messages = Messages.of(records)
    vectors = np.array([[1, 0], [0.8, 0.6]], dtype=np.float32)
    selected = np.ones(4, dtype=bool)
    apart = group_by_similarity(messages, vectors, selected, 0.81)
    assert [group.records.tolist() for group in apart] == [[0, 2], [1, 3]]
    [together] = group_by_similarity(messages, vectors, selected, 0.79)
    assert together.records.tolist() == [0, 1, 2, 3]


def test_repeated_messages_are_less_unusual():
    vectors = np.eye(4, dtype=np.float32)
    scores = unusualness(vectors, np.array([1, 10, 1, 1]))
    assert scores[1] < scores[0] == scores[2] == scores[3] == 1
    assert unusualness(vectors[:1], np.array([5])).tolist() == [0]


def test_a_log_without_levels_is_judged_by_its_words():
    marks, rule = problem_records(read_records(["all is well", "connection refused", "bye"]))
    assert marks.tolist() == [False, True, False]
    assert "no levels" in rule
    marks, _ = problem_records(read_records(["all is well", "bye"]))
    assert marks.all()


@pytest.mark.parametrize("name", ["default", "minilm"])
def test_the_shipped_incident_leads_to_its_cause(name: str, request: pytest.FixtureRequest):
    import stacklens

    encoder = request.getfixturevalue(name) if name == "minilm" else stacklens.default_encoder()

    folder = ROOT / "examples" / "incident"
    records = read_records(folder / "shop.log")
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    main = next(fault for fault in truth["faults"] if fault["is_main"])
    messages = Messages.of(records)
    vectors = stacklens.Embedder(encoder).encode(messages.texts)
    problems, _ = problem_records(records)
    groups = group_by_similarity(messages, vectors, problems, 0.7)
    episode = worst_episode(problems, groups)
    assert episode is not None
    assert episode.begin == main["first_evidence"][0]
    found = suspects(messages, vectors, problems, episode, count=3)
    assert {suspect.record for suspect in found} == set(main["root_cause_records"])

    # Groups and the statements that wrote the records agree.
    events = [record["event"] for record in truth["records"]]
    pure = sum(len({events[i] for i in group.records}) == 1 for group in groups)
    assert pure >= 0.9 * len(groups)


@pytest.mark.parametrize("columns", [72, 100])
def test_output_is_plain_and_fits_the_width(minilm: Path, columns: int):
    output = understand(minilm, "--top", "5", columns=columns)
    assert "\x1b" not in output
    for heading in ("1. What goes wrong", "2. What is", "3. The most", "4. The worst", "5. Was"):
        assert f"\n{heading}" in output
    tables = output[output.index("1. What goes wrong") :]
    assert max(len(line) for line in tables.splitlines()) <= columns


def test_any_log_and_any_message(minilm: Path, tmp_path: Path):
    log = tmp_path / "small.log"
    log.write_bytes(b"service up\nconnection to db refused\n\xff\xfe \x1b[31mred\x1b[0m\nbye\n")
    output = understand(minilm, "--message", "cannot reach the database", "--", str(log))
    assert "\x1b" not in output
    similar = output[output.index("2. What is most") : output.index("3. The most")]
    assert "connection to db refused" in similar.splitlines()[3]


def test_an_empty_log_is_refused(minilm: Path, tmp_path: Path):
    (tmp_path / "empty.log").write_text("\n")
    result = subprocess.run(
        [sys.executable, QUICKSTART / "understand.py", "--model", minilm, tmp_path / "empty.log"],
        text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python")},
    )  # fmt: skip
    assert result.returncode != 0
    assert "holds no records" in result.stderr


def test_the_onnx_file_runs_from_c(minilm: Path, tmp_path: Path):
    import stacklens

    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = Path(stacklens.library_path()).parent
    program, encoder = tmp_path / "embed_onnx", tmp_path / "encoder.onnx"
    subprocess.run(
        [
            compiler, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
            f"-I{ROOT / 'include'}", f"-I{ROOT / 'bindings' / 'c'}", QUICKSTART / "embed_onnx.c",
            "-o", program, f"-L{library}", "-lstacklens", "-lm", f"-Wl,-rpath,{library}",
        ], check=True,
    )  # fmt: skip
    stacklens.Embedder(minilm).save_onnx(encoder)
    texts = ["disk full", "a much longer text, so that the short one is padded", ""]
    result = subprocess.run([program, minilm, encoder, *texts], text=True, capture_output=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "equal" in result.stdout


def test_wrong_arguments_are_refused_before_anything_is_built():
    for arguments in (["no-such.log"], ["--unknown"], ["--top"]):
        command = [ROOT / "scripts" / "quickstart", *arguments]
        result = subprocess.run(command, text=True, capture_output=True, timeout=20)
        assert result.returncode == 1
        assert arguments[0] in result.stderr
