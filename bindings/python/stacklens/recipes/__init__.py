"""Recipes: what the models of docs/models reach on public data, each one command.

``python -m stacklens.recipes`` lists them, ``python -m stacklens.recipes NAME`` runs one.
"""

from __future__ import annotations

from ._recipe import Claim, Options, Recipe, Result, names, recipe

__all__ = ["Claim", "Options", "Recipe", "Result", "names", "recipe"]
