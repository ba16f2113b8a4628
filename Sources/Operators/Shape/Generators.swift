import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// A tensor kept in the node, in any of the forms that the standard has. ONNX Constant-25.
  static let constant = OperatorDefinition(
    "Constant", versions: [1, 9, 11, 12, 13, 19, 21, 23, 24, 25], inputs: 0...0,
    attributes: [
      .optional("value", .tensor), .optional("value_float", .float),
      .optional("value_floats", .floats), .optional("value_int", .int),
      .optional("value_ints", .ints), .optional("value_string", .string),
      .optional("value_strings", .strings),
    ],
    infer: { (context) throws(StackLensError) in [TensorType(try context.node.constantValue())] },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let value = try preparation.node.constantValue()
        return PreparedKernel { (run) throws(StackLensError) in
          run.outputs[0].fillElements(from: value, run.parallel)
        }
      }
    ]),
    lower: { (node, opset, _) throws(StackLensError) in
      guard opset < 12, node.attributes["value"] == nil else { return [node] }
      var node = node
      node.attributes = ["value": .tensor(try node.constantValue())]
      return [node]
    },
    samples: [
      Sample([], ["value_floats": .floats([1, 2, 3])]), Sample([], ["value_int": .int(7)]),
      Sample([], ["value_strings": .strings(["a", ""])]), Sample([], ["value_ints": .ints([])]),
    ])

  /// A tensor of the given shape filled with one value, float32 0 by default.
  /// ONNX ConstantOfShape-25.
  static let constantOfShape = OperatorDefinition(
    "ConstantOfShape", versions: [9, 20, 21, 23, 24, 25], inputs: 1...1,
    attributes: [.optional("value", .tensor)],
    infer: { (context) throws(StackLensError) in
      let shape = try Shape(try context.value(0).integers())
      return [TensorType(try fillValue(context).elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let value = try fillValue(preparation)
        return PreparedKernel { (run) throws(StackLensError) in
          value.elementType.byWidth(
            FillElements(target: run.outputs[0], element: value.base, parallel: run.parallel))
        }
      }
    ]),
    samples: [
      Sample([.ints([2, 3])]), Sample([.ints([])]), Sample([.ints([4, 0])]),
      Sample([.ints([3])], sevenAsInt64),
    ])

  /// start, start + delta … up to but without limit. ONNX Range-27.
  static let range = OperatorDefinition(
    "Range", versions: [11, 27], inputs: 3...3, attributes: [.int("stash_type", default: 1)],
    infer: { (context) throws(StackLensError) in
      let type = try context.sameElementType(0, 1, 2)
      let steps = try RangeSteps(
        start: context.value(0), limit: context.value(1), delta: context.value(2))
      return [TensorType(type, try Shape([steps.count]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let isStashed = try preparation.int("stash_type") == 1
        return PreparedKernel { (run) throws(StackLensError) in
          let steps = try RangeSteps(
            start: run.input(0), limit: run.input(1), delta: run.input(2))
          guard steps.count == run.outputs[0].count else {
            throw .shapeMismatch("Range gives \(steps.count), planned \(run.outputs[0].count)")
          }
          steps.write(to: run.outputs[0], isStashed: isStashed)
        }
      }
    ]),
    lower: dropAttribute("stash_type", before: 27) { $0.isInt(1) },
    gradient: .range,
    samples: [
      Sample([.number(3), .number(10.5), .number(2)]),
      Sample([.number(10), .number(-4), .number(-3)]),
      Sample([.number(5), .number(5), .number(1)]),
    ])

  /// Ones on diagonal `k` of a matrix of the input's shape, zeros elsewhere. ONNX EyeLike-22.
  static let eyeLike = OperatorDefinition(
    "EyeLike", versions: [9, 22], inputs: 1...1,
    attributes: [.optional("dtype", .int), .int("k", default: 0)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      guard input.rank == 2 else {
        throw .shapeMismatch("input 0 has shape \(input.shape), expected a matrix")
      }
      var type = input.elementType
      if context.has("dtype") {
        let number = try context.int("dtype")
        guard let found = Int32(exactly: number).flatMap(ElementType.init(rawValue:)) else {
          throw .unsupported("attribute 'dtype' \(number) is no element type known here")
        }
        type = found
      }
      guard type.isNumeric || type == .bool else {
        throw .typeMismatch("EyeLike cannot make \(type.name)")
      }
      return [TensorType(type, input.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let output = preparation.outputs[0]
        let diagonal = try preparation.int("k")
        let one = try one(output.elementType)
        return PreparedKernel { (run) throws(StackLensError) in
          let (rows, columns) = (output.shape[0], output.shape[1])
          let width = output.elementType.byteSize
          let base = run.outputs[0].base
          base.initializeMemory(as: UInt8.self, repeating: 0, count: output.shape.count * width)
          let start = max(0, -min(max(diagonal, -rows), columns))
          for row in start..<max(start, rows) {
            let (column, overflow) = row.addingReportingOverflow(diagonal)
            guard !overflow, column < columns else { break }
            (base + (row * columns + column) * width).copyMemory(from: one.base, byteCount: width)
          }
        }
      }
    ]),
    gradient: .zero,
    samples: [
      Sample([.floats(3, 4)]), Sample([.floats(3, 4)], ["k": .int(-1), "dtype": .int(7)]),
      Sample([.floats(2, 2)], ["k": .int(.max)]), Sample([.floats(0, 3)]),
    ])
}

private let sevenAsInt64: [String: Attribute] =
  (try? Tensor([Int64(7)])).map { ["value": .tensor($0)] } ?? [:]

extension Sample.Input {
  /// A float32 scalar.
  static func number(_ value: Float) -> Self {
    .tensor { () throws(StackLensError) in try Tensor(scalar: value) }
  }
}

extension Node {
  /// The tensor that a Constant node holds.
  /// - Throws: `.invalidArgument` unless exactly one of its attributes is there.
  package func constantValue() throws(StackLensError) -> Tensor {
    guard attributes.count == 1, let (name, attribute) = attributes.first else {
      throw .invalidArgument(
        "expected one attribute, found \(attributes.keys.sorted().joined(separator: ", "))")
    }
    switch (name, attribute) {
    case ("value", .tensor(let tensor)): return tensor
    case ("value_float", .float(let value)): return try Tensor(scalar: value)
    case ("value_floats", .floats(let values)): return try Tensor(values)
    case ("value_int", .int(let value)): return try Tensor(scalar: value)
    case ("value_ints", .ints(let values)): return try Tensor(values)
    case ("value_string", .string(let value)): return try Tensor(scalar: value)
    case ("value_strings", .strings(let values)): return try Tensor(values)
    default:
      throw .unsupported("attribute '\(name)' (\(attribute.kindName)) holds no constant")
    }
  }
}

private func fillValue(_ view: some NodeView) throws(StackLensError) -> Tensor {
  guard let value = try view.tensor("value") else { return try Tensor(scalar: Float(0)) }
  guard value.count == 1 else {
    throw .shapeMismatch("attribute 'value' has shape \(value.shape), expected one element")
  }
  return value
}

/// The number one of an element type that is no string.
private func one(_ type: ElementType) throws(StackLensError) -> Tensor {
  let (source, result) = (try Tensor(scalar: UInt8(1)), try Tensor(zeros: type, .scalar))
  convertElements(source.base, .uint8, result.base, type, 1)
  return result
}
