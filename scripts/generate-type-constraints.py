#!/usr/bin/env python3
"""Writes Sources/Exchange/ONNX/TypeConstraintTable.swift from the schemas of the package onnx.

    scripts/generate-type-constraints.py

One line for each operator of the default domain and each version that changed what element types it
takes: name, version, a letter for each input and after `>` for each output, then the bit mask of the
types that a letter stands for: bit n for tensors of number n in TensorProto.DataType, then 29 for
sequences, 30 for optionals, 31 for maps. `*` follows what may be repeated, `+` what may be repeated
with each its own type.
"""

from __future__ import annotations

import collections
import pathlib

import onnx
from onnx.defs import OpSchema, get_all_schemas_with_history

TARGET = pathlib.Path(__file__).resolve().parent.parent.joinpath(
    "Sources", "Exchange", "ONNX", "TypeConstraintTable.swift"
)
OLDEST = 7
NAMES = {"float": "FLOAT", "double": "DOUBLE"}
KINDS = {"seq": 29, "optional": 30, "map": 31}


def mask(types):
    """The bits of the types."""
    bits = 0
    for text in types:
        kind, _, name = text.rstrip(")").partition("(")
        if kind in KINDS:
            bits |= 1 << KINDS[kind]
        else:
            bits |= 1 << onnx.TensorProto.DataType.Value(NAMES.get(name, name.upper()))
    return bits


def line(schema):
    constraints = {c.type_param_str: mask(c.allowed_type_strs) for c in schema.type_constraints}
    letters = {}

    def letter(parameter):
        bits = constraints.get(parameter.type_str)
        if bits is None:
            bits = mask(parameter.types)
        known = letters.setdefault(parameter.type_str, (chr(ord("a") + len(letters)), bits))
        return known[0]

    def side(parameters):
        text = ""
        for parameter in parameters:
            text += letter(parameter)
            if parameter.option == OpSchema.FormalParameterOption.Variadic:
                text += "*" if parameter.is_homogeneous else "+"
        return text

    ends = side(schema.inputs) + ">" + side(schema.outputs)
    masks = " ".join(f"{name}={bits:x}" for name, bits in letters.values())
    return f"{ends} {masks}".rstrip()


def main():
    history = collections.defaultdict(list)
    for schema in get_all_schemas_with_history():
        if schema.domain == "" and not schema.deprecated:
            history[schema.name].append(schema)
    lines = []
    for name, schemas in sorted(history.items()):
        schemas.sort(key=lambda schema: schema.since_version)
        while len(schemas) > 1 and schemas[1].since_version <= OLDEST:
            schemas.pop(0)
        previous = None
        for schema in schemas:
            found = line(schema)
            if found != previous:
                lines.append(f"{name} {schema.since_version} {found}")
            previous = found
    TARGET.write_text(
        "/// Element types that the operators of the default domain take, by version. Made by\n"
        f"/// `scripts/generate-type-constraints.py` from onnx {onnx.__version__}, which also says "
        "how to\n/// read a line.\n"
        'let typeConstraintTable = """\n' + "".join(f"  {text}\n" for text in lines) + '  """\n'
    )


if __name__ == "__main__":
    main()
