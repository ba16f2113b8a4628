"""Recurrent networks: layers of LSTM and GRU, and an encoder-decoder with attention on them."""

from __future__ import annotations

from functools import partial

import torch

from .recipe import Input, Recipe

VOCABULARY = 90


class Layers(torch.nn.Module):
    """Two layers of LSTM in front of a classifier."""

    def __init__(self, inputs: int, width: int, classes: int):
        super().__init__()
        self.lstm = torch.nn.LSTM(inputs, width, num_layers=2, batch_first=True)
        self.head = torch.nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0])


class Seq2Seq(torch.nn.Module):
    """A bidirectional encoder and a decoder that attends to it; the answer is fed in."""

    def __init__(self, kind: str, width: int = 32):
        super().__init__()
        layer = getattr(torch.nn, kind)
        self.source = torch.nn.Embedding(VOCABULARY, width)
        self.target = torch.nn.Embedding(VOCABULARY, width)
        self.encoder = layer(width, width, num_layers=2, bidirectional=True, batch_first=True)
        self.decoder = layer(width, width, batch_first=True)
        self.memory = torch.nn.Linear(2 * width, width)
        self.head = torch.nn.Linear(2 * width, VOCABULARY)

    def forward(self, ids: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        memory = torch.tanh(self.memory(self.encoder(self.source(ids))[0]))
        state = self.decoder(self.target(answer))[0]
        weights = torch.softmax(state @ memory.transpose(1, 2), dim=-1)
        return self.head(torch.cat([weights @ memory, state], dim=-1))


class Greedy(torch.nn.Module):
    """A decoder that feeds its own choice back, for as many steps as it is told: a Loop."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.classes = VOCABULARY
        self.embedding = torch.nn.Embedding(VOCABULARY, width)
        self.cell = torch.nn.Linear(2 * width, width)
        self.head = torch.nn.Linear(width, VOCABULARY)

    def forward(self, memory: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        state = torch.tanh(memory.mean(dim=1))
        token = torch.zeros(memory.size(0), dtype=torch.long)
        result = torch.zeros(memory.size(0), 0, self.classes)
        for _ in range(steps.size(0)):
            joined = torch.cat([self.embedding(token), state], dim=1)
            if bool(joined.sum() > 0):
                state = torch.tanh(self.cell(joined))
            else:
                state = torch.sigmoid(self.cell(joined))
            scores = self.head(state)
            token = torch.argmax(scores, dim=1)
            result = torch.cat([result, scores.unsqueeze(1)], dim=1)
        return result


def greedy() -> torch.nn.Module:
    return torch.jit.script(Greedy())


def ids(name: str, length: str) -> Input:
    return Input(name, ("batch", length), {0: "batch", 1: length}, below=VOCABULARY)


def sequence(width: int) -> Input:
    return Input("x", ("batch", "length", width), {0: "batch", 1: "length"})


TARGET = {"logits": {0: "batch", 1: "target"}}

RECIPES = [
    Recipe("lstm", partial(Layers, 24, 32, 5), [sequence(24)], ["scores"],
           output_axes={"scores": {0: "batch", 1: "length"}}),
    Recipe("lstm_seq2seq", partial(Seq2Seq, "LSTM"), [ids("ids", "length"), ids("answer", "target")],
           ["logits"], output_axes=TARGET),
    Recipe("gru_seq2seq", partial(Seq2Seq, "GRU"), [ids("ids", "length"), ids("answer", "target")],
           ["logits"], output_axes=TARGET),
    Recipe("greedy_loop", greedy,
           [Input("memory", ("batch", "length", 24), {0: "batch", 1: "length"}),
            Input("steps", ("target",), {0: "target"})],
           ["scores"], output_axes={"scores": {0: "batch", 1: "target"}}, exporter="torchscript"),
]

WHOLE = [
    Recipe("lstm_2x256", partial(Layers, 256, 256, 10), [sequence(256)], ["scores"]),
]
