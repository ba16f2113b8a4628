"""Training steps beside PyTorch: forward pass, gradients and AdamW, both on two threads.

Each model is made by PyTorch, written to ONNX by its exporter and trained from that file here and as
it is there, on the same batch, the two taking turns. Peak memory is that of a process which makes ten
steps of MiniLM's shape and nothing else. Needs PyTorch, transformers and onnx.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import stacklens
from _common import THREADS, alternate, arguments, measuring, table, write

RATE = 1e-4
Batch = dict[str, np.ndarray]


def vae() -> tuple[Any, Batch, dict[str, Any], Batch]:
    """An autoencoder 512-256-128-64 whose loss is part of the model."""
    import torch
    from torch import nn

    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU())
            self.mean, self.spread = nn.Linear(128, 64), nn.Linear(128, 64)
            self.decoder = nn.Sequential(
                nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(),
                nn.Linear(256, 512))

        def forward(self, x: Any) -> Any:
            hidden = self.encoder(x)
            mean, spread = self.mean(hidden), self.spread(hidden)
            code = mean + torch.randn_like(mean) * torch.exp(0.5 * spread)
            y = self.decoder(code)
            error = (nn.functional.softplus(y) - x * y).sum()
            return (error - 0.5 * (1 + spread - mean * mean - spread.exp()).sum()) / x.shape[0]

    x = np.random.default_rng(1).random((32, 512), dtype=np.float32)
    return Autoencoder(), {"x": x}, {"loss": {"output": "y"}}, {}


def cnn() -> tuple[Any, Batch, dict[str, Any], Batch]:
    from torch import nn

    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))
    random = np.random.default_rng(2)
    x = random.random((64, 1, 28, 28), dtype=np.float32)
    return net, {"x": x}, {"loss": "cross_entropy"}, {"target": random.integers(0, 10, 64)}


def lstm() -> tuple[Any, Batch, dict[str, Any], Batch]:
    from torch import nn

    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.LSTM(512, 256, 3, bidirectional=True)

        def forward(self, x: Any) -> Any:
            return self.layers(x)[0]

    random = np.random.default_rng(3)
    x = random.standard_normal((10, 32, 512)).astype(np.float32)
    y = random.standard_normal((10, 32, 512)).astype(np.float32)
    return Layers(), {"x": x}, {"loss": "mse"}, {"target": y}


def encoder(texts: int, length: int) -> tuple[Any, Batch, dict[str, Any], Batch]:
    """MiniLM's shape with random weights and a linear head on the mean of its tokens."""
    from torch import nn
    from transformers import BertConfig, BertModel

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = BertConfig(
                hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                intermediate_size=1536, hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0, attn_implementation="eager")
            self.encoder = BertModel(config, add_pooling_layer=False)
            self.head = nn.Linear(384, 8)

        def forward(self, x: Any, mask: Any) -> Any:
            tokens = self.encoder(input_ids=x, attention_mask=mask).last_hidden_state
            return self.head(tokens.mean(1))

    random = np.random.default_rng(4)
    inputs = {
        "x": random.integers(0, 30522, (texts, length)),
        "mask": np.ones((texts, length), np.int64),
    }
    return (
        Classifier(), inputs, {"loss": "cross_entropy"},
        {"target": random.integers(0, 8, texts)},
    )


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "minilm_16x64": (partial(encoder, 16, 64), "fp32"),
    "lstm_3x256": (lstm, "fp32"),
    "vae_512": (vae, "fp32"),
    "cnn_28x28": (cnn, "fp32"),
    "minilm_32x128": (partial(encoder, 32, 128), "fp32"),
    "minilm_32x128_bf16": (partial(encoder, 32, 128), "bf16"),
}


def exported(net: Any, inputs: Batch) -> bytes:
    """The model as PyTorch's exporter writes it, in training mode."""
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, tuple(map(torch.from_numpy, inputs.values())), buffer, dynamo=False,
            input_names=list(inputs), output_names=["y"], opset_version=17,
            training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=True)
    return buffer.getvalue()


def our_step(name: str) -> Callable[[], Any]:
    make, precision = CASES[name]
    net, inputs, loss, targets = make()
    trainer = stacklens.Trainer(
        exported(net, inputs), optimizer="adamw", learning_rate=RATE, threads=THREADS,
        precision=precision, **loss)
    batch = {**inputs, **targets}
    return lambda: trainer.step(batch)


def their_step(name: str) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(THREADS)
    make, precision = CASES[name]
    net, inputs, loss, targets = make()
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE)
    arrays = [torch.from_numpy(array) for array in inputs.values()]
    target = [torch.from_numpy(array) for array in targets.values()]
    functions = {
        "cross_entropy": torch.nn.functional.cross_entropy,
        "mse": torch.nn.functional.mse_loss,
    }

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            y = net(*arrays)
            value = functions[loss["loss"]](y, *target) if target else y
        value.backward()
        optimizer.step()

    return step


def steps_alone(side: str, file: Path) -> None:
    """Ten steps, then the peak memory; ours from a file that another process wrote."""
    name = "minilm_32x128"
    if side == "export":
        net, inputs, *_ = CASES[name][0]()
        file.write_bytes(exported(net, inputs))
        return
    if side == "peer":
        step = their_step(name)
    else:
        trainer = stacklens.Trainer(
            file, loss="cross_entropy", optimizer="adamw", learning_rate=RATE, threads=THREADS)
        random = np.random.default_rng(4)
        batch = {
            "x": random.integers(0, 30522, (32, 128)), "mask": np.ones((32, 128), np.int64),
            "target": random.integers(0, 8, 32),
        }
        step = partial(trainer.step, batch)
    for _ in range(10):
        step()
    # What getrusage says counts the parent's memory before exec as well.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024)  # type: ignore[index]


def memory(rows: list[list[str]]) -> dict[str, int]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        found = {}
        for side in ("export", "peer", "stacklens"):
            measuring(f"peak memory, {side}")
            command = [sys.executable, __file__, "--memory-of", side, "--file", str(file)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            if side != "export":
                found[side] = int(done.stdout.split()[-1])
    share = found["stacklens"] / found["peer"]
    rows.append(["peak MB, minilm_32x128", *(f"{found[side] / 1e6:.0f}" for side in found),
                 f"{share:.0%}"])
    return found


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="rows whose name matches this expression")
    parser.add_argument("--memory-of", help="used by the script itself")
    parser.add_argument("--file", type=Path, help="used by the script itself")
    options = parser.parse_args()
    if options.memory_of:
        steps_alone(options.memory_of, options.file)
        return 0
    figures, rows = [], []
    for name in CASES:
        if not re.search(options.only, name):
            continue
        measuring(name)
        medians = alternate(
            {"peer": their_step(name), "stacklens": our_step(name)},
            *((2, 3) if options.quick else (5, 5)),
        )
        ratio = medians["peer"] / medians["stacklens"]
        figures.append({"model": name, "seconds": medians, "ratio": ratio})
        rows.append([name, f"{medians['peer'] * 1e3:.3f}", f"{medians['stacklens'] * 1e3:.3f}",
                     f"{ratio:.2f}x"])
    peaks = memory(rows) if re.search(options.only, "memory") else {}
    table(["model", "PyTorch", "StackLens", "ratio"], rows,
          f"{THREADS} threads, {stacklens.cpu_features()}; milliseconds a step")
    write(options.json, {"models": figures, "peak_bytes": peaks})
    return 0


if __name__ == "__main__":
    sys.exit(main())
