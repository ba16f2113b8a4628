"""Every operator takes every element type that its ONNX schema allows.

The nodes of ONNX's own tests run with their inputs brought into each allowed type. Only what is said
about types counts: values that make no sense in a type may well be refused.
"""

from __future__ import annotations

import collections
import functools
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import stacklens

ml_dtypes = pytest.importorskip("ml_dtypes")
onnx = pytest.importorskip("onnx")

from onnx import defs, helper  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview")

NUMPY_NAMES = {
    "float": "float32",
    "double": "float64",
    "string": "object",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
    "float6e2m3": "float6_e2m3fn",
    "float6e3m2": "float6_e3m2fn",
    "float4e2m1": "float4_e2m1fn",
}

# Type variables whose type is tied to something beside the schema.
TIED = {
    ("BitCast", "T1"): "the attribute's type has the same width",
    ("LabelEncoder", "T1"): "the type is that of the keys",
    ("TfIdfVectorizer", "T"): "texts belong to a pool of texts",
}

# Types that a schema allows although the operator has no meaning for them.
MEANINGLESS = {("Col2Im", "string"): "texts have no sums"}


def numpy_type(name: str) -> np.dtype:
    name = NUMPY_NAMES.get(name, name)
    return np.dtype(getattr(ml_dtypes, name, None) or name)


@functools.cache
def newest() -> dict[tuple[str, str], defs.OpSchema]:
    schemas: dict[tuple[str, str], defs.OpSchema] = {}
    for schema in defs.get_all_schemas_with_history():
        key = (schema.domain, schema.name)
        if schema.domain in DOMAINS and not schema.deprecated:
            if key not in schemas or schemas[key].since_version < schema.since_version:
                schemas[key] = schema
    return schemas


class Case(NamedTuple):
    """A node with a value for each of its inputs."""

    node: onnx.NodeProto
    values: dict[str, np.ndarray]
    opset: int


@functools.cache
def cases() -> dict[tuple[str, str], list[Case]]:
    """Cases by operator: ONNX's tests of one node and tensors alone, and those below."""
    from onnx.backend.test.loader import load_model_tests

    found = collections.defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = load_model_tests(kind="node")
    for test in tests:
        graph = test.model.graph
        if len(graph.node) != 1 or graph.initializer or not test.data_sets:
            continue
        (node,) = graph.node
        if any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute):
            continue
        inputs = test.data_sets[0][0]
        if not all(isinstance(value, (np.ndarray, np.generic)) for value in inputs):
            continue
        values = dict(zip((info.name for info in graph.input), map(np.asarray, inputs)))
        opset = next((o.version for o in test.model.opset_import if o.domain == node.domain), 1)
        found[node.domain, node.op_type].append(Case(node, values, opset))
    for case in own_cases():
        found[case.node.domain, case.node.op_type].append(case)
    return found


def own_cases() -> list[Case]:
    """Cases of operators that ONNX tests in larger graphs or not at all."""

    def case(op: str, *values: Any, domain: str = "", **attributes: Any) -> Case:
        names = [f"x{index}" for index in range(len(values))]
        node = helper.make_node(op, names, ["y"], domain=domain, **attributes)
        return Case(node, dict(zip(names, map(np.asarray, values))), 1)

    floats = np.ones((2, 3), np.float32)
    scale = np.ones((), np.float32)
    return [
        case("Cast", floats, to=onnx.TensorProto.FLOAT),
        case("CastLike", floats, floats),
        case("BitCast", np.ones(2, np.uint8), to=onnx.TensorProto.INT8),
        case("DequantizeLinear", np.ones(2, np.int8), scale, output_dtype=1),
        case("GlobalLpPool", floats.reshape(1, 2, 3), p=2),
        case("MaxRoiPool", floats.reshape(1, 1, 2, 3), np.zeros((1, 5), np.float32),
             pooled_shape=[1, 1]),
        case("Multinomial", np.zeros((1, 3), np.float32)),
        case("RandomNormalLike", floats, dtype=1),
        case("RandomUniformLike", floats, dtype=1),
        case("FeatureVectorizer", floats, domain="ai.onnx.ml", inputdimensions=[3]),
        case("LinearRegressor", floats, domain="ai.onnx.ml", coefficients=[1.0, 2.0, 3.0]),
        case("Normalizer", floats, domain="ai.onnx.ml", norm="L1"),
        case("Scaler", floats, domain="ai.onnx.ml", offset=[1.0], scale=[2.0]),
    ]


def converted(value: np.ndarray, dtype: np.dtype) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype == dtype:
        return value
    if dtype.kind == "O":
        return np.array([str(item) for item in value.ravel()], object).reshape(value.shape)
    if value.dtype.kind in "OUS":
        return np.ones(value.shape).astype(dtype)
    if value.dtype.kind == "V" or dtype.kind == "V":
        value = value.astype(np.float32)
    return value.astype(dtype)


def type_number(value: np.ndarray) -> int:
    if value.dtype.kind in "OUS":
        return onnx.TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(value.dtype)


def run(schema: defs.OpSchema, case: Case, variable: str, dtype: np.dtype) -> None:
    node = case.node
    formals = list(schema.inputs)
    values, infos = {}, []
    for place, name in enumerate(node.input):
        if not name or name in values:
            continue
        value = case.values[name]
        if formals[min(place, len(formals) - 1)].type_str == variable:
            value = converted(value, dtype)
        values[name] = value
        infos.append(helper.make_tensor_value_info(name, type_number(value), value.shape))
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    opset = helper.make_opsetid(schema.domain, max(case.opset, schema.since_version))
    model = helper.make_model(
        helper.make_graph([node], "g", infos, outputs), opset_imports=[opset]
    )
    stacklens.Session(model.SerializeToString()).run(None, values)


def allowed(schema: defs.OpSchema, variable: str) -> list[str]:
    for constraint in schema.type_constraints:
        if constraint.type_param_str == variable:
            names = (
                re.fullmatch(r"tensor\((\w+)\)", name) for name in constraint.allowed_type_strs
            )
            return sorted(match.group(1) for match in names if match)
    return []


@pytest.mark.parametrize("key", sorted(newest()), ids=lambda key: ".".join(filter(None, key)))
def test_takes_every_type_of_its_schema(key: tuple[str, str]) -> None:
    schema = newest()[key]
    tests = cases().get(key)
    if not tests:
        pytest.skip("ONNX has no test of this node alone")
    refused = []
    for variable in dict.fromkeys(formal.type_str for formal in schema.inputs):
        if (schema.name, variable) in TIED:
            continue
        for name in allowed(schema, variable):
            reasons = set()
            for case in tests:
                try:
                    run(schema, case, variable, numpy_type(name))
                    reasons.clear()
                    break
                except (stacklens.TypeMismatchError, stacklens.UnsupportedError) as error:
                    if "operator is not supported" in str(error):
                        pytest.skip(str(error))
                    reasons.add(str(error))
                except (stacklens.StackLensError, ValueError, TypeError):
                    # About values, and another case may have better ones.
                    continue
            if reasons and (schema.name, name) not in MEANINGLESS:
                refused.append(f"{variable} = {name}: {min(reasons)}")
    assert not refused, "\n".join(refused)


EVERY_TYPE = sorted(allowed(newest()["", "Identity"], "V"))


def ones(name: str, *shape: int) -> np.ndarray:
    return converted(np.ones(shape, np.float32), numpy_type(name))


def parsed(text: str, name: str) -> stacklens.Session:
    header = '<ir_version: 14, opset_import: ["" : 28]>\n'
    model = onnx.parser.parse_model(header + text.replace("T[", f"{name}["))
    return stacklens.Session(model.SerializeToString())


def assert_ones(found: list[Any], name: str, *shapes: tuple[int, ...]) -> None:
    for array, shape in zip(found, shapes):
        expected = ones(name, *shape)
        assert array.dtype == expected.dtype and array.shape == shape
        assert array.tolist() == expected.tolist()


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_subgraphs_carry_every_type(name: str) -> None:
    session = parsed(
        """
        g (T[2] x, bool c, int64 n) => (T[2] a, T[2] b, T[2, 1] s)
        {
          a = If (c) <
            then_branch = t () => (T[2] t0) { t0 = Identity (x) },
            else_branch = e () => (T[2] e0) { e0 = Identity (x) }>
          b = Loop (n, c, x) <
            body = l (int64 i, bool on, T[2] v) => (bool go, T[2] w) {
              go = Identity (on)
              w = Identity (v)
            }>
          s = Scan <num_scan_inputs = 1,
            body = r (T[] v) => (T[1] w) { w = Reshape <allowzero = 0> (v, one) }> (x)
        }
        """.replace("w = Reshape", "one = Constant <value_ints = [1]> ()\n w = Reshape"),
        name,
    )
    feed = {"x": ones(name, 2), "c": np.array(True), "n": np.array(2)}
    assert_ones(session.run(None, feed), name, (2,), (2,), (2, 1))


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_optionals_hold_every_type(name: str) -> None:
    session = parsed(
        """
        g (T[2] x) => (T[2] y, bool has)
        {
          o = Optional (x)
          y = OptionalGetElement (o)
          has = OptionalHasElement (o)
        }
        """,
        name,
    )
    found, has = session.run(None, {"x": ones(name, 2)})
    assert_ones([found], name, (2,))
    assert has


@pytest.mark.parametrize("name", sorted(allowed(newest()["", "SequenceConstruct"], "T")))
def test_sequences_hold_every_type(name: str) -> None:
    session = parsed(
        """
        g (T[2] x, int64 zero) => (T[2] a, T[4] c, T[2, 2] st, int64 n)
        {
          s = SequenceConstruct (x, x)
          longer = SequenceInsert (s, x, zero)
          n = SequenceLength (longer)
          shorter = SequenceErase (longer, zero)
          a = SequenceAt (shorter, zero)
          c = ConcatFromSequence <axis = 0> (shorter)
          st = ConcatFromSequence <axis = 0, new_axis = 1> (shorter)
        }
        """,
        name,
    )
    *found, count = session.run(None, {"x": ones(name, 2), "zero": np.array(0)})
    assert_ones(found, name, (2,), (4,), (2, 2))
    assert count == 3


@pytest.mark.parametrize("name", allowed(newest()["", "Cast"], "T2"))
def test_casts_to_every_type(name: str) -> None:
    number = type_number(ones(name, 1))
    found = stacklens.ops.cast(np.ones((2, 3), np.float32), to=number)
    assert found.dtype == numpy_type(name)
    if name == "string":
        assert found.tolist() == [["1.0"] * 3] * 2
    else:
        assert_ones([found], name, (2, 3))
