"""The README's programs run, and print what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> tuple[str, str]:
    """The one program in a language and the output that follows it."""
    found = re.findall(rf"```{language}\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} {language} programs with an output"
    return found[0]


@pytest.fixture
def folder(tmp_path: Path, minilm: Path) -> Path:
    """A folder in which the encoder lies under the name that the README uses."""
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(minilm)
    return tmp_path


def test_first_block_is_the_two_commands():
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert first is not None
    commands = [line.split("#")[0].strip() for line in first.group(1).splitlines()]
    assert commands == ["scripts/quickstart", "scripts/test"]
    for command in commands:
        assert os.access(ROOT / command, os.X_OK)


def test_paths_that_it_names_exist():
    links = re.findall(r"\]\(([^):]+)\)", README)
    commands = re.findall(r"`(scripts/\w+)`", README)
    assert links and commands
    missing = [path for path in links + commands if not (ROOT / path).exists()]
    assert missing == []


def test_python_program(folder: Path):
    program, output = block("python")
    paths = [str(ROOT / "bindings" / "python"), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout == output


def test_c_program(folder: Path):
    import stacklens

    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    program, output = block("c")
    library = Path(stacklens.library_path()).parent
    (folder / "program.c").write_text(program)
    subprocess.run(
        [
            compiler, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
            f"-I{ROOT / 'include'}", "program.c", "-o", "program",
            f"-L{library}", "-lstacklens", f"-Wl,-rpath,{library}",
        ], cwd=folder, check=True,
    )  # fmt: skip
    result = subprocess.run(["./program"], cwd=folder, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == output
