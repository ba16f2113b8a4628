import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The same values in another element type: fractions are cut, integers keep their low bits,
  /// numbers are written to and read from strings. ONNX Cast-28.
  static let cast = OperatorDefinition(
    "Cast", versions: [1, 6, 9, 13, 19, 21, 23, 24, 25, 28], inputs: 1...1,
    attributes: [
      .required("to", .int), .int("saturate", default: 1), .string("round_mode", default: "up"),
    ],
    infer: { (context) throws(StackLensError) in
      let code = try context.int("to")
      guard let narrow = Int32(exactly: code), let type = ElementType(rawValue: narrow),
        !type.isComplex
      else {
        throw .unsupported("Cast to the element type with number \(code)")
      }
      return [TensorType(type, try context.input(0, oneOf: castTypes).shape)]
    },
    execution: .kernels([.reference(prepareCast)]),
    lift: { (node, opset, _) throws(StackLensError) in
      // The target was written out.
      guard opset < 6, case .string(let name)? = node.attributes["to"] else { return [node] }
      guard let type = ElementType.allCases.first(where: { $0.writtenName == name }) else {
        throw .unsupported("Cast to the element type '\(name)'")
      }
      var node = node
      node.attributes["to"] = .int(Int64(type.rawValue))
      return [node]
    },
    lower: lowerCast,
    gradient: .cast,
    samples: [
      Sample([.random(.float32, [2, 3], low: -9, high: 9)], ["to": .int(7)]),
      Sample([.random(.int64, [600], low: -900, high: 900)], ["to": .int(1)]),
      Sample([.floats(0, 3)], ["to": .int(11)]), Sample([.floats()], ["to": .int(10)]),
      Sample([.random(.int32, [4], low: -9, high: 9)], ["to": .int(8)]),
      Sample([.floats(2, 2)], ["to": .int(9)]), Sample([.floats(3, 5)], ["to": .int(17)]),
      Sample([.random(.int4, [7], low: -8, high: 8)], ["to": .int(1)]),
    ])

  /// Cast to the element type of the second input. ONNX CastLike-25.
  static let castLike = OperatorDefinition(
    "CastLike", versions: [15, 19, 21, 23, 24, 25], inputs: 2...2,
    attributes: [.int("saturate", default: 1), .string("round_mode", default: "up")],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(1, oneOf: castTypes).elementType
      return [TensorType(type, try context.input(0, oneOf: castTypes).shape)]
    },
    execution: .kernels([.reference(prepareCast)]), typeInputs: [1],
    lower: { (node, opset, rewriter) throws(StackLensError) in
      if opset < 15 {
        guard let type = rewriter.elementType(of: node.inputs[1]) else {
          throw .unsupported("CastLike needs opset 15, not \(opset)")
        }
        return [
          Node(
            "Cast", inputs: [node.inputs[0]], outputs: node.outputs,
            attributes: ["to": .int(Int64(type.rawValue))], name: node.name)
        ]
      }
      return try lowerCast(node, opset, &rewriter)
    },
    gradient: .cast,
    samples: [
      Sample([.floats(2, 3), .random(.int32, [1], low: 0, high: 9)]),
      Sample([.random(.bool, [4], low: 0, high: 2), .floats(0)]),
    ])

  private static let castTypes = ElementType.allCases.filter { !$0.isComplex }

  /// How a cast brings values into 8-bit floats.
  private static func rounding(
    _ preparation: Preparation
  ) throws(StackLensError) -> SmallFloatRounding {
    let name = try preparation.string("round_mode")
    guard let mode = SmallFloatRounding.Mode(rawValue: name) else {
      throw .invalidArgument(
        "attribute 'round_mode' is '\(name)', expected 'up', 'down' or 'nearest'")
    }
    return SmallFloatRounding(saturates: try preparation.flag("saturate"), mode: mode)
  }

  private static let prepareCast: Kernel.Prepare = { (preparation) throws(StackLensError) in
    let from = try preparation.input(0).elementType
    let to = preparation.outputs[0].elementType
    let rounding = try rounding(preparation)
    return PreparedKernel { (run) throws(StackLensError) in
      let input = try run.input(0)
      let (x, y) = (input.base, run.outputs[0].base)
      if to == .string {
        try writeNumbers(input, y.assumingMemoryBound(to: String.self))
      } else if from == .string {
        try readNumbers(input, run.outputs[0], rounding)
      } else {
        run.parallel.ranges(input.count, grain: cheapGrain) { range in
          convertElements(
            x + range.lowerBound * from.byteSize, from, y + range.lowerBound * to.byteSize, to,
            range.count, rounding)
        }
      }
    }
  }

  /// `saturate` and `round_mode` only speak of 8-bit floats.
  private static let lowerCast: Convert = { (node, opset, _) throws(StackLensError) in
    var node = node
    if case .int(let code)? = node.attributes["to"] {
      try Int32(exactly: code).flatMap(ElementType.init(rawValue:))?.check(isIn: opset)
    }
    if opset < 24 { node.attributes["round_mode"] = nil }
    if opset < 19 { node.attributes["saturate"] = nil }
    return [node]
  }
}

extension ElementType {
  /// The name in `TensorProto.DataType`.
  fileprivate var writtenName: String {
    switch self {
    case .float32: "FLOAT"
    case .float64: "DOUBLE"
    default: name.uppercased()
    }
  }
}
