"""WordPiece over real log lines, beside Hugging Face tokenizers, one by one and in batches."""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("RAYON_NUM_THREADS", "2")

import stacklens
import tokenizers
from _common import alternate, arguments, log_lines, minilm, table, write

MAX_LENGTH = 256


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    lines = log_lines()[:: 4 if options.quick else 1]
    folder = minilm()
    ours = stacklens.Tokenizer(folder)
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer.enable_truncation(MAX_LENGTH)
    peer.no_padding()
    some = lines[::8]

    def ours_singly() -> None:
        for line in some:
            ours.encode(line, max_length=MAX_LENGTH)

    def peer_singly() -> None:
        for line in some:
            peer.encode(line)

    figures, rows = {}, []
    for kind, count, contestants in [
        ("one by one", len(some), {"peer": peer_singly, "ours": ours_singly}),
        (
            "batch", len(lines),
            {
                "peer": lambda: peer.encode_batch(lines),
                "ours": lambda: ours.encode_batch(lines, max_length=MAX_LENGTH),
            },
        ),
    ]:
        medians = alternate(contestants, 5, 1)
        rates = {name: count / seconds for name, seconds in medians.items()}
        figures[kind] = rates
        rows.append(
            [kind, f"{rates['peer']:,.0f}", f"{rates['ours']:,.0f}",
             f"{rates['ours'] / rates['peer']:.1f}x"]
        )
    table(["", f"tokenizers {tokenizers.__version__}", "stacklens", "ratio"], rows,
          f"{len(lines)} log lines, through Python on both sides; lines/s")
    write(options.json, figures)


if __name__ == "__main__":
    main()
