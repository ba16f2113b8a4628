"""``python -m stacklens``: what this installation is."""

from __future__ import annotations

import sys

import stacklens


def main() -> int:
    """Prints the version, the library's place and the processor features in use."""
    try:
        rows = {
            "stacklens": stacklens.__version__,
            "library": f"{stacklens.version()} ({stacklens.library_path()})",
            "processor": stacklens.cpu_features() or "baseline",
            "threads": str(stacklens.usable_processors()),
            "operators": str(len(stacklens.ops.names())),
        }
    except stacklens.StackLensError as error:
        print(f"stacklens: {error}", file=sys.stderr)
        return 1
    for name, value in rows.items():
        print(f"{name:10} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
