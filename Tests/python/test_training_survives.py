"""Training that is killed, or whose disk is full, loses nothing."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import stacklens

EPOCHS = 6
# Where this process found the package, the others do.
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": str(pathlib.Path(stacklens.__file__).resolve().parents[1])
}
PROGRAM = """
import pathlib, sys, time
import numpy as np
import stacklens
from stacklens import nn

checkpoint, weights, pause = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
net = nn.Sequential(
    nn.Linear(8, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.3), nn.Linear(24, 3))
model = nn.build(net, nn.Input(("batch", 8), name="x"), seed=3)
random = np.random.default_rng(5)
x = random.normal(size=(96, 8)).astype(np.float32)
y = x[:, :3].argmax(1)
trainer = stacklens.Trainer(
    model, learning_rate=0.01, accumulation=2, ema=0.9, seed=11, clip_norm=1.0,
    schedule={"name": "cosine", "total_steps": 36, "warmup_steps": 4})
if checkpoint.exists():
    trainer.load_checkpoint(checkpoint)

def watch(event):
    if event.kind == "step":
        print("step", flush=True)
        time.sleep(pause)

trainer.fit(
    x, y, epochs=EPOCHS, batch_size=8, checkpoint=checkpoint, checkpoint_interval=3, callback=watch)
trainer.model.save(weights)
""".replace("EPOCHS", str(EPOCHS))


def start(folder: pathlib.Path, name: str, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder / f"{name}.safetensors"),
         str(folder / f"{name}.onnx"), str(pause)],
        stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )


def weights(path: pathlib.Path) -> dict[str, np.ndarray]:
    return stacklens.Model.load(path).state_dict()


def test_killed_training_goes_on_to_the_same_bits(tmp_path: pathlib.Path) -> None:
    assert start(tmp_path, "whole", 0).communicate()[0].count("step") == EPOCHS * 12
    draw = random.Random(7)
    kills = 0
    while True:
        process = start(tmp_path, "killed", 0.004)
        assert process.stdout is not None
        if kills < 4:
            # Somewhere in the middle of what is left, also while a checkpoint is written.
            for _ in range(draw.randint(2, 14)):
                process.stdout.readline()
            time.sleep(draw.random() * 0.01)
            process.send_signal(signal.SIGKILL)
        process.stdout.read()
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills == 4
    whole, killed = weights(tmp_path / "whole.onnx"), weights(tmp_path / "killed.onnx")
    assert whole.keys() == killed.keys()
    for name, values in whole.items():
        assert values.tobytes() == killed[name].tobytes(), name


FULL_DISK = """
import resource, signal, sys
import numpy as np
import stacklens
from stacklens import nn

path = sys.argv[1]
model = nn.build(nn.Linear(64, 64), nn.Input(("batch", 64), name="x"))
x = np.random.default_rng(1).normal(size=(32, 64)).astype(np.float32)
trainer = stacklens.Trainer(model, loss="mse", learning_rate=0.01)
trainer.fit(x, x, batch_size=8)
trainer.save_checkpoint(path)
before = open(path, "rb").read()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for attempt in (
    lambda: trainer.fit(x, x, batch_size=8, checkpoint=path),
    lambda: trainer.save_checkpoint(path),
    lambda: trainer.model.save(path + ".onnx"),
):
    try:
        attempt()
    except stacklens.IoError as error:
        assert path in str(error), error
    else:
        raise SystemExit("nothing was said about a full disk")
assert open(path, "rb").read() == before
# The trainer is as it was: it goes on where there is room again.
assert trainer.step_count == 8
trainer.fit(x, x, batch_size=8)
other = stacklens.Trainer(model, loss="mse", learning_rate=0.01)
other.load_checkpoint(path)
assert other.step_count == 4
"""


def test_a_full_disk_loses_nothing(tmp_path: pathlib.Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "state.safetensors")],
        capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.safetensors"]
