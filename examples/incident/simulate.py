#!/usr/bin/env python3
"""Writes the log of the simulated shop, and the truth about it.

    python3 examples/incident/simulate.py                  # shop.log, truth.json: here
    python3 examples/incident/simulate.py --seed 8 --out /tmp/other
    python3 examples/incident/simulate.py --without catalogue-pool-halved --out /tmp/healthy
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from shopsim.faults import FAULTS  # noqa: E402
from shopsim.truth import simulate, truth_json  # noqa: E402

DEFAULT_SEED = 7


def main() -> None:
    """Parses the options and writes both files."""
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=HERE, help="folder, default: this file's")
    parser.add_argument(
        "--without", action="append", default=[], choices=names, metavar="FAULT",
        help="leave a fault out, may be repeated: " + ", ".join(names),
    )
    options = parser.parse_args()
    faults = [name for name in names if name not in options.without]
    journal = simulate(options.seed, faults)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "shop.log").write_bytes(journal.text().encode())
    (options.out / "truth.json").write_bytes(truth_json(journal, options.seed, "shop.log").encode())
    print(f"{len(journal.entries)} records in {options.out / 'shop.log'}")


if __name__ == "__main__":
    main()
