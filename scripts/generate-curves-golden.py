#!/usr/bin/env python3
"""Writes Tests/TrainingTests/Golden/curves.safetensors: losses of 20 training steps in PyTorch.

    scripts/generate-curves-golden.py [--double]

Weights and batches follow from their names by a formula (numbers), so that LossCurveTests can make the
same ones; only the losses are stored. Four batches come in turn. Everything runs in float32 on one
thread; --double writes nothing and shows how far float32 lies from float64, which is what rounding
alone may do.

Needs: torch 2.15, whose version goes into the file's metadata.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from _golden import write_safetensors
from torch import nn

OUT = Path(__file__).resolve().parent.parent / "Tests/TrainingTests/Golden/curves.safetensors"
STEPS, BATCHES = 20, 4
torch.set_num_threads(1)


def hash_of(name):
    """FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2 ** 64
    return value


def numbers(name, *shape):
    """Numbers of [-1, 1) by SplitMix64 from the name's hash on, 24 bits each."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(hash_of(name)) + np.arange(1, count + 1, dtype=np.uint64) * \
            np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / 2 ** 23 - 1).reshape(shape)


def floats(name, *shape):
    return torch.tensor(numbers(name, *shape)).float()


def labels(name, below, *shape, start=0):
    """Integers of start ..< below."""
    share = (numbers(name, *shape) + 1) / 2
    return torch.tensor(start + np.floor(share * (below - start))).long()


def parameter(name, shape):
    """What a parameter starts with: normalisations about 1, biases small, weights by fan_in."""
    values = numbers(name, *shape)
    part = name.split(".")[-1]
    if part.startswith("B_l") or (len(shape) == 1 and part != "weight"):
        values = 0.1 * values
    elif len(shape) == 1:
        values = 1 + 0.1 * values
    else:
        fan = shape[-1] if part[:3] in ("W_l", "R_l") else math.prod(shape[1:])
        values = values * math.sqrt(3 / fan)
    return torch.tensor(values).float()


def fill(module, prefix=""):
    """Gives every parameter its numbers; recurrent ones have ONNX's layout under ONNX's names."""
    for name, child in module.named_children():
        fill(child, f"{prefix}{name}.")
    if isinstance(module, nn.RNNBase):
        fill_recurrent(module, prefix)
        return
    for name, tensor in module.named_parameters(recurse=False):
        tensor.data = parameter(prefix + name, tuple(tensor.shape))
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            tensor.data[module.padding_idx] = 0


def fill_recurrent(module, prefix):
    order = {nn.GRU: [1, 0, 2], nn.LSTM: [0, 2, 3, 1]}[type(module)]  # from z r n, from i o f c
    directions, hidden = 1 + module.bidirectional, module.hidden_size

    def gates(rows):
        parts = rows.chunk(len(order))
        return torch.cat([parts[place] for place in order])
    for layer in range(module.num_layers):
        width = module.input_size if layer == 0 else directions * hidden
        rows = len(order) * hidden
        w = parameter(f"{prefix}W_l{layer}", (directions, rows, width))
        r = parameter(f"{prefix}R_l{layer}", (directions, rows, hidden))
        b = parameter(f"{prefix}B_l{layer}", (directions, 2 * rows))
        for direction in range(directions):
            end = f"l{layer}" + ("_reverse" if direction else "")
            getattr(module, f"weight_ih_{end}").data = gates(w[direction])
            getattr(module, f"weight_hh_{end}").data = gates(r[direction])
            getattr(module, f"bias_ih_{end}").data = gates(b[direction][:rows])
            getattr(module, f"bias_hh_{end}").data = gates(b[direction][rows:])


# Models ----------------------------------------------------------------------------------------


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(20, 32), nn.Linear(32, 32), nn.Linear(32, 5)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    def batch(self, key):
        return (floats(f"{key}.x", 16, 20),), labels(f"{key}.target", 5, 16)

    def optimizer(self):
        return torch.optim.SGD(self.parameters(), 0.05, 0.9, nesterov=True)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.fc = nn.Conv2d(8, 16, 3), nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        return self.fc(F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1))

    def batch(self, key):
        return (floats(f"{key}.x", 8, 1, 12, 12),), labels(f"{key}.target", 10, 8)

    def optimizer(self):
        return torch.optim.Adam(self.parameters(), 2e-3)


class BasicBlock(nn.Module):
    def __init__(self, channels, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or channels != planes:
            self.downsample = nn.Sequential(nn.Conv2d(channels, planes, 1, stride, bias=False),
                                            nn.BatchNorm2d(planes))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """Its learning rate is low: where a sum lies within rounding of 0, ReLU and max-pooling choose by
    chance: with larger steps weights that differ by 1e-7 give losses that differ by more than 1e-4."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for index in range(4):
            planes = 64 << index
            setattr(self, f"layer{index + 1}", nn.Sequential(
                BasicBlock(channels, planes, 1 if index == 0 else 2),
                BasicBlock(planes, planes, 1)))
            channels = planes
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))

    def batch(self, key):
        return (floats(f"{key}.x", 8, 3, 64, 64),), labels(f"{key}.target", 10, 8)

    def optimizer(self):
        return torch.optim.SGD(self.parameters(), 1e-5, 0.9, weight_decay=1e-4)


class BiLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(16, 24, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, 6)

    def forward(self, x, lengths):
        rows = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        _, (h, _) = self.lstm(rows)
        return self.fc(h[2:].transpose(0, 1).flatten(1))

    def batch(self, key):
        return (floats(f"{key}.x", 8, 12, 16), labels(f"{key}.lengths", 13, 8, start=1)), \
            labels(f"{key}.target", 6, 8)

    def optimizer(self):
        return torch.optim.RMSprop(self.parameters(), 2e-3)


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(40, 16, 0), nn.Embedding(40, 16, 0)
        self.encoder = nn.GRU(16, 12, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(24, 20)
        self.decoder = nn.GRU(16, 20, batch_first=True)
        self.attention = nn.ModuleDict({"query_proj": nn.Linear(20, 20, bias=False),
                                        "key_proj": nn.Linear(24, 20, bias=False),
                                        "score": nn.Linear(20, 1, bias=False)})
        self.output = nn.Linear(44, 40)

    def forward(self, source, lengths, target):
        rows = nn.utils.rnn.pack_padded_sequence(self.source(source), lengths, True,
                                                 enforce_sorted=False)
        memory, h = self.encoder(rows)
        memory, _ = nn.utils.rnn.pad_packed_sequence(memory, True, total_length=source.shape[1])
        start = torch.tanh(self.bridge(h.transpose(0, 1).flatten(1)))
        states, _ = self.decoder(self.target(target), start[None].contiguous())
        both = self.attention["query_proj"](states)[:, :, None] + \
            self.attention["key_proj"](memory)[:, None]
        scores = self.attention["score"](torch.tanh(both))[..., 0]
        scores = scores.masked_fill((source == 0)[:, None], -torch.inf)
        return self.output(torch.cat([states, scores.softmax(-1) @ memory], -1))

    def batch(self, key):
        source = labels(f"{key}.source", 40, 6, 9, start=1)
        lengths = labels(f"{key}.lengths", 10, 6, start=2)
        source[torch.arange(9)[None] >= lengths[:, None]] = 0
        tokens = labels(f"{key}.tokens", 40, 6, 8, start=0)
        return (source, lengths, tokens[:, :-1].contiguous()), tokens[:, 1:].contiguous()

    def loss(self, logits, target):
        return F.cross_entropy(logits.transpose(1, 2), target, ignore_index=0)

    def optimizer(self):
        return torch.optim.Adam(self.parameters(), 3e-3)


class Classifier(nn.Module):
    """An encoder in BERT's manner, of which the lower half is frozen."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleDict({"word": nn.Embedding(50, 32),
                                         "position": nn.Embedding(16, 32),
                                         "norm": nn.LayerNorm(32)})
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.classifier = nn.Linear(32, 4)
        for name, tensor in self.named_parameters():
            tensor.requires_grad_(not name.startswith(("embeddings.", "encoder.layers.0.")))

    def forward(self, ids, mask):
        x = self.embeddings["word"](ids) + self.embeddings["position"].weight[:ids.shape[1]]
        x = self.encoder(self.embeddings["norm"](x), src_key_padding_mask=mask == 0)
        m = mask[:, :, None].to(x.dtype)
        return self.classifier((x * m).sum(1) / m.sum(1).clamp(min=1))

    def batch(self, key):
        ids = labels(f"{key}.ids", 50, 8, 11)
        lengths = labels(f"{key}.lengths", 12, 8, start=1)
        mask = (torch.arange(11)[None] < lengths[:, None]).long()
        return (ids, mask), labels(f"{key}.target", 4, 8)

    clip = 1.0

    def optimizer(self):
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], 2e-3)


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(48, 32), nn.Embedding(24, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 96, 0.0, "gelu", batch_first=True,
                                           norm_first=True)
        self.decoder = nn.TransformerEncoder(layer, 3, nn.LayerNorm(32),
                                             enable_nested_tensor=False)
        self.head = nn.Linear(32, 48, bias=False)

    def forward(self, ids):
        count = ids.shape[1]
        mask = torch.triu(torch.ones(count, count, dtype=torch.bool), 1)
        x = self.tokens(ids) + self.positions.weight[:count]
        return self.head(self.decoder(x, mask=mask))

    def batch(self, key):
        ids = labels(f"{key}.ids", 48, 4, 18)
        return (ids[:, :-1].contiguous(),), ids[:, 1:].contiguous()

    def loss(self, logits, target):
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())

    def optimizer(self):
        return torch.optim.AdamW(self.parameters(), 1e-3, (0.9, 0.95), weight_decay=0.1)


MODELS = {"mlp": MLP, "cnn": CNN, "resnet18": ResNet18, "bilstm": BiLSTM, "seq2seq": Seq2Seq,
          "classifier": Classifier, "gpt": GPT}


def curve(name, dtype):
    torch.manual_seed(0)
    model = MODELS[name]()
    fill(model)
    model = model.to(dtype).train()
    optimizer = model.optimizer()
    loss_of = getattr(model, "loss", F.cross_entropy)
    losses = []
    for step in range(STEPS):
        inputs, target = model.batch(f"{name}.{step % BATCHES}")
        inputs = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
        optimizer.zero_grad()
        loss = loss_of(model(*inputs), target)
        loss.backward()
        if hasattr(model, "clip"):
            nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad],
                                     model.clip)
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def main():
    curves = {name: curve(name, torch.float32) for name in MODELS}
    for name, losses in curves.items():
        print(f"{name}: {losses[0]:.6f} … {losses[-1]:.6f}")
        if "--double" in sys.argv:
            exact = curve(name, torch.float64)
            print(f"  largest relative distance to float64: "
                  f"{np.abs(losses / exact - 1).max():.1e}")
    if "--double" in sys.argv:
        return
    write_safetensors(
        OUT, {name: losses.astype(np.float64) for name, losses in curves.items()},
        {"torch": torch.__version__.split("+")[0]})
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
