"""``python -m stacklens.recipes NAME``: trains a model on public data and prints what it reaches."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

import stacklens

from . import Options, names, recipe
from ._recipe import keep, show


def main() -> int:
    """Runs one recipe; 1 where a figure falls short of what it must be."""
    parser = argparse.ArgumentParser(prog="python -m stacklens.recipes", description=__doc__)
    parser.add_argument("name", nargs="?", help="the recipe; without one, all are listed")
    parser.add_argument("--quick", action="store_true", help="a short form, which claims nothing")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("STACKLENS_DATA", ".")) / "data",
        help="the folder with the data sets (default: $STACKLENS_DATA/data)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="in place of the recipe's own")
    parser.add_argument(
        "--results", type=Path, help="a JSON file that takes the figures: docs/models/results.json"
    )
    arguments = parser.parse_args()
    if arguments.name is None:
        list_all()
        return 0
    try:
        return run(arguments)
    except (stacklens.StackLensError, OSError) as error:
        print(f"stacklens.recipes: {error}", file=sys.stderr)
        return 2


def list_all() -> None:
    """Prints a line for each recipe."""
    all_of_them = [recipe(name) for name in names()]
    width = max(len(one.name) for one in all_of_them)
    for one in all_of_them:
        needs = f"; needs {', '.join(one.needs)}" if one.needs else ""
        print(f"{one.name:{width}}  {one.summary} (about {one.minutes:g} minutes{needs})")


def run(arguments: argparse.Namespace) -> int:
    """Runs the recipe that the arguments name."""
    chosen = recipe(arguments.name)
    for package in chosen.needs:
        if importlib.util.find_spec(package) is None:
            print(
                f"stacklens.recipes: {chosen.name} needs the package {package}: "
                f"pip install {package}", file=sys.stderr,
            )
            return 2
    options = Options(arguments.data, arguments.quick, tuple(arguments.seeds or ()) or None)
    result = chosen.run(options)
    if arguments.quick:
        result.claims = []
    show(result)
    if arguments.results is not None:
        keep(arguments.results, chosen.name, result, options)
    return 0 if all(claim.is_met for claim in result.claims) else 1


if __name__ == "__main__":
    sys.exit(main())
