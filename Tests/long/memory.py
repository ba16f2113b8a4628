#!/usr/bin/env python3
"""Memory over 10,000 calls of random batch and length, against that after the largest single call."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python"))
sys.path.insert(0, str(ROOT / "benchmarks"))

from _common import minilm  # noqa: E402

import stacklens  # noqa: E402

LARGEST = (32, 256)


def resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> int:
    calls = 500 if "--quick" in sys.argv else 10000
    random = np.random.default_rng(7)
    embedder = stacklens.Embedder(minilm(), precision="int8", threads=2)
    embedder.encode_ids(list(random.integers(1000, 30000, LARGEST)))
    base = resident()
    for call in range(calls):
        # Mostly small, now and then large, so that 10,000 calls take a few minutes.
        batch = int(np.ceil(LARGEST[0] * random.random() ** 8))
        lengths = np.ceil(LARGEST[1] * random.random(batch) ** 2).astype(int)
        embedder.encode_ids([random.integers(1000, 30000, n) for n in lengths])
        if (call + 1) % (calls // 5) == 0:
            print(f"{call + 1:6} calls: {resident() / 1e6:.1f} MB", flush=True)
    grown = resident() / base
    good = grown <= 1.1
    print(
        f"{'ok  ' if good else 'FAIL'}  after the largest call {base / 1e6:.1f} MB, after {calls} "
        f"calls {resident() / 1e6:.1f} MB: {grown:.3f} (<= 1.1)"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
