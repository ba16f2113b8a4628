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


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_training_programs(folder: Path):
    """README's section on training goes on where its first program ends; so do the guide's parts."""
    program, _ = block("python")
    start, end = README.index("## Training"), README.index("## Models")
    training = python_blocks(README[start:end])
    guide = python_blocks((ROOT / "docs" / "training.md").read_text(encoding="utf-8"))
    assert len(training) == 1 and len(guide) == 4
    shorter = guide[3].replace("epochs=20", "epochs=2")
    assert shorter != guide[3]
    # The guide's checkpoint is one of its first trainer.
    whole = "\n".join([program, training[0], guide[0], shorter, guide[1], guide[2]])
    paths = [str(ROOT / "bindings" / "python"), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-c", whole], cwd=folder, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert {"mine.onnx", "training.safetensors"} <= {path.name for path in folder.iterdir()}


def test_models_program(tmp_path: Path):
    (program,) = python_blocks(README[README.index("## Models") :])
    expected = re.findall(r"print\(.*\)  # (.*)", program)
    paths = [str(ROOT / "bindings" / "python"), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-c", "import numpy\n" + program], cwd=tmp_path, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == expected == ["[False  True]"]
    assert {path.name for path in tmp_path.iterdir()} == {"usual.stacklens", "usual.onnx"}


def test_guide_names_what_there_is():
    """Every loss, optimiser and schedule is in the guide, under the name that the library knows."""
    import stacklens
    from stacklens import nn

    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    model = nn.build(nn.Linear(2, 2), nn.Input((None, 2)))
    for option in ("loss", "optimizer", "schedule"):
        with pytest.raises(stacklens.InvalidArgumentError) as caught:
            stacklens.Trainer(model, **{"loss": "mse", option: "nonsense"})
        names = str(caught.value).split("known are ")[1].split(", ")
        missing = [name for name in names if f"`{name}`" not in guide]
        assert len(names) > 5 and missing == []
