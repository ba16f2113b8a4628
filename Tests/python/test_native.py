"""Header, exported symbols and prototype table agree, all three ways."""

from __future__ import annotations

import ctypes
import re
import subprocess

import pytest
from conftest import ROOT
from stacklens import _native, errors

HEADER = re.sub(
    r"/\*.*?\*/", "", (ROOT / "include" / "stacklens.h").read_text(), flags=re.DOTALL
)
DECLARED = {
    name: (result.strip(), arguments)
    for result, name, arguments in re.findall(
        r"^((?:const )?\w+ \*?)(sl_\w+)\(([^)]*)\);", HEADER, flags=re.MULTILINE
    )
}
POINTER_WORDS = {
    "sl_release_callback": _native.release_callback,
    "sl_batch_callback": _native.batch_callback,
    "sl_training_callback": _native.training_callback,
    "sl_text": _native.Text,
}
STRUCTS = {
    "sl_session_options": _native.SessionOptions,
    "sl_quantize_options": _native.QuantizeOptions,
    "sl_value_info": _native.ValueInfo,
    "sl_array": _native.Array,
    "sl_description": _native.Description,
    "sl_text": _native.Text,
    "sl_tokenizer_options": _native.TokenizerOptions,
    "sl_tokens": _native.Tokens,
    "sl_embedder_options": _native.EmbedderOptions,
    "sl_encode_options": _native.EncodeOptions,
    "sl_figure": _native.Figure,
    "sl_training_event": _native.TrainingEvent,
}


def arguments_of(name: str) -> list[str]:
    text = " ".join(DECLARED[name][1].split())
    return [] if text == "void" else text.split(",")


def test_table_has_the_functions_of_the_header() -> None:
    assert len(DECLARED) > 50
    assert set(_native.PROTOTYPES) == set(DECLARED)


def test_library_exports_the_functions_of_the_header_and_nothing_else() -> None:
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", "--extern-only", str(_native.lib.path)],
        check=True, capture_output=True, text=True,
    ).stdout
    assert {line.split()[-1] for line in listing.splitlines()} == set(DECLARED)


def fits(declared: str, used: object) -> bool:
    """Whether a ctypes type can stand for a declared argument."""
    words = declared.replace("const", " ").split()
    if "*" not in declared:
        plain = {
            "size_t": ctypes.c_size_t, "int64_t": ctypes.c_int64, "int32_t": ctypes.c_int32,
            "uint64_t": ctypes.c_uint64, "float": ctypes.c_float, **POINTER_WORDS,
        }
        return used is plain.get(words[0], _native.enum)
    pointee = getattr(used, "_type_", None)
    base = declared.replace("*", " ").replace("const", " ").split()[0]
    expected = {
        "int64_t": ctypes.c_int64, "float": ctypes.c_float, "size_t": ctypes.c_size_t,
        **STRUCTS,
    }
    if declared.count("*") == 2:
        return pointee is (ctypes.c_char_p if base == "char" else ctypes.c_void_p)
    if base in expected:
        return pointee is expected[base]
    if base in ("sl_type", "sl_kind", "sl_precision"):
        return pointee is _native.enum
    return used is ctypes.c_void_p or (base == "char" and used is ctypes.c_char_p)


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_prototype_fits_the_declaration(name: str) -> None:
    result, arguments, check = _native.PROTOTYPES[name]
    declared = arguments_of(name)
    assert len(arguments) == len(declared)
    for text, used in zip(declared, arguments):
        assert fits(text.strip(), used), (text, used)
    returned = DECLARED[name][0]
    expected = {
        "sl_status": _native.enum, "void": None, "const char *": ctypes.c_char_p,
        "size_t": ctypes.c_size_t, "int32_t": ctypes.c_int32,
    }
    assert result is expected[returned]
    assert (check is not None) == (returned == "sl_status")


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_structure_has_the_fields_of_the_header(name: str) -> None:
    body = re.search(rf"typedef struct {name} {{(.*?)}} {name};", HEADER, re.DOTALL)
    assert body is not None
    fields = re.findall(r"(\w+)(?:\[\d+\])?\s*;", body.group(1))
    assert [field[0] for field in STRUCTS[name]._fields_] == fields


def test_statuses_are_those_of_the_header() -> None:
    declared = {
        name: int(number)
        for name, number in re.findall(r"^  SL_(\w+) = (\d+)", HEADER, re.MULTILINE)
    }
    for status in errors.Status:
        assert declared[status.name] == status
        assert _native.lib.sl_status_name(status) == f"SL_{status.name}".encode()
        if status:
            assert type(errors.error_for(status, "x")).status is status


def test_api_version_is_that_of_the_header() -> None:
    version = re.search(r"#define SL_API_VERSION (\d+)", HEADER)
    assert version is not None
    assert int(version.group(1)) == _native.API_VERSION == _native.lib.sl_api_version()
