"""Options as the library takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import InvalidArgumentError, TypeMismatchError


def json_bytes(options: Mapping[str, Any], what: str) -> bytes:
    """Options as the library takes them."""

    def plain(value: Any) -> Any:
        if isinstance(value, (np.integer, np.floating, np.bool_)):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        raise TypeMismatchError(f"{what} cannot hold a {type(value).__name__}")

    try:
        return json.dumps(options, default=plain, allow_nan=False).encode()
    except ValueError as error:
        raise InvalidArgumentError(f"{what}: {error}") from None
