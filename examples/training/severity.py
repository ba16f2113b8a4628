"""A sentence encoder is fine-tuned to tell how severe a log line is, from its text alone.

    python examples/training/severity.py ENCODER.onnx TOKENIZER LOGHUB [--epochs 3] [--frozen]

ENCODER.onnx    a BERT-like encoder whose first output is [batch, tokens, width]
TOKENIZER       its tokenizer.json
LOGHUB          the folder loghub_2k: one folder a system, with NAME_2k.log_structured.csv

The levels of seven systems become three classes: fine, warning, error. Lines of one template stay
together: 70 % of the templates are learnt from, 15 % choose the best epoch, and 15 %, which are looked
at once, give the figure. At most 20 lines of a template are taken, so that chatty ones do not drown
the others. --frozen trains the head alone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import pathlib

import numpy as np
import stacklens
from stacklens import nn

CLASSES = {
    "info": 0, "notice": 0, "debug": 0, "warn": 1, "warning": 1, "error": 2, "fatal": 2,
    "severe": 2, "failure": 2,
}
NAMES = ("fine", "warning", "error")
LINES_OF_A_TEMPLATE = 20


class Severity(nn.Module):
    """The mean of the real tokens' vectors, then one linear layer."""

    def __init__(self, width: int) -> None:
        self.drop, self.linear = nn.Dropout(0.1), nn.Linear(width, len(NAMES))

    def forward(self, hidden, mask):
        weights = mask.float().unsqueeze(-1)
        return self.linear(self.drop((hidden * weights).sum(1) / weights.sum(1)))


def lines(folder: pathlib.Path):
    """(part, text, class) of every line with a level, parts by a hash of system and template."""
    for path in sorted(folder.glob("*/*_2k.log_structured.csv")):
        taken: dict[str, int] = {}
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                label = CLASSES.get(row.get("Level", "").strip().lower())
                template = row["EventId"]
                taken[template] = taken.get(template, 0) + 1
                if label is None or taken[template] > LINES_OF_A_TEMPLATE:
                    continue
                key = f"{path.parent.name} {template}".encode()
                share = int.from_bytes(hashlib.sha256(key).digest()[:4], "big") / 2**32
                part = "train" if share < 0.7 else "choose" if share < 0.85 else "test"
                yield part, row["Content"], label


def encoded(tokenizer: stacklens.Tokenizer, texts, inputs, length: int):
    """The encoder's inputs for texts, padded to one length."""
    arrays = {name: np.zeros((len(texts), length), np.int64) for name in inputs}
    for row, encoding in enumerate(tokenizer.encode_batch(texts, max_length=length)):
        for name, values in (("input_ids", encoding.ids), ("token_type_ids", encoding.type_ids),
                             ("attention_mask", encoding.attention_mask)):
            if name in arrays:
                arrays[name][row, : len(values)] = values
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("encoder", type=pathlib.Path)
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("loghub", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--frozen", action="store_true", help="train the head alone")
    parser.add_argument("--save", help="write the trained model to this file")
    arguments = parser.parse_args()

    parts: dict[str, list[tuple[str, int]]] = {"train": [], "choose": [], "test": []}
    for part, text, label in lines(arguments.loghub):
        parts[part].append((text, label))
    for part, members in parts.items():
        counts = np.bincount([label for _, label in members], minlength=len(NAMES))
        listed = ", ".join(f"{count} {name}" for count, name in zip(counts, NAMES))
        print(f"{part:>6}: {len(members)} lines ({listed})")

    encoder = stacklens.Model.load(arguments.encoder)
    if arguments.frozen:
        encoder = encoder.freeze("*")
    hidden = encoder.outputs[0]
    model = encoder.attach(
        Severity(hidden.shape[-1]), output=(hidden.name, "attention_mask"), name="logits")
    tokenizer = stacklens.Tokenizer(arguments.tokenizer)
    names = [value.name for value in encoder.inputs]
    data = {
        part: (encoded(tokenizer, [text for text, _ in members], names, 64),
               np.array([label for _, label in members], np.int64))
        for part, members in parts.items()
    }
    counts = np.bincount(data["train"][1], minlength=len(NAMES))
    batches = -(-len(data["train"][1]) // 16)
    trainer = stacklens.Trainer(
        model,
        loss={"name": "cross_entropy", "weight": (counts.mean() / counts).tolist()},
        optimizer={"name": "adamw", "weight_decay": 0.01},
        learning_rate=1e-3 if arguments.frozen else 5e-5,
        schedule={
            "name": "linear", "total_steps": arguments.epochs * batches,
            "warmup_steps": batches // 4,
        },
        metrics=("f1", "accuracy"), clip_norm=1.0,
    )
    trainer.fit(
        *data["train"], epochs=arguments.epochs, batch_size=16, length_mask="attention_mask",
        validation=data["choose"], monitor="f1")
    figures = trainer.evaluate(*data["test"])
    majority = np.bincount(data["test"][1]).max() / len(data["test"][1])
    print(
        f"{len(data['test'][1])} lines of templates never seen: macro F1 {figures['f1']:.3f}, "
        f"accuracy {figures['accuracy']:.3f} (always the most frequent class: {majority:.3f})")
    if arguments.save:
        trainer.model.save(arguments.save)


if __name__ == "__main__":
    main()
