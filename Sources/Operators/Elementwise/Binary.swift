import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Operators of two inputs that broadcast against each other and have one element type.
  static let binaries: [OperatorDefinition] = [
    .binary("Add", [1, 6, 7, 13, 14], gradient: .add) { (_) throws(StackLensError) in .add },
    .binary("Sub", [1, 6, 7, 13, 14], gradient: .sub) { (_) throws(StackLensError) in .sub },
    .binary("Mul", [1, 6, 7, 13, 14], gradient: .mul) { (_) throws(StackLensError) in .mul },
    .binary("Div", [1, 6, 7, 13, 14], divisors: 1...5, gradient: .div) {
      (_) throws(StackLensError) in .div
    },
    .binary(
      "Mod", [10, 13, 28], attributes: [.int("fmod", default: 0)], divisors: 1...5,
      sampleAttributes: ["fmod": .int(1)], gradient: .mod
    ) { (node) throws(StackLensError) in try node.flag("fmod") ? .fmod : .mod },
    .binary("BitwiseAnd", [18], on: ElementType.wholes) { (_) throws(StackLensError) in .bitAnd },
    .binary("BitwiseOr", [18], on: ElementType.wholes) { (_) throws(StackLensError) in .bitOr },
    .binary("BitwiseXor", [18], on: ElementType.wholes) { (_) throws(StackLensError) in .bitXor },
    .binary(
      "BitShift", [11, 28], on: ElementType.wholes, attributes: [.required("direction", .string)],
      divisors: 0...9, sampleAttributes: ["direction": .string("LEFT")]
    ) { (node) throws(StackLensError) in
      switch try node.string("direction") {
      case "LEFT": return .shiftLeft
      case "RIGHT": return .shiftRight
      case let name:
        throw .invalidArgument("attribute 'direction' is '\(name)', expected LEFT or RIGHT")
      }
    },
    .binary("And", [1, 7], on: [.bool], gradient: .zero) { (_) throws(StackLensError) in .bitAnd },
    .binary("Or", [1, 7], on: [.bool], gradient: .zero) { (_) throws(StackLensError) in .bitOr },
    .binary("Xor", [1, 7], on: [.bool], gradient: .zero) { (_) throws(StackLensError) in .bitXor },
    .prelu, .pow,
  ]
}

extension OperatorDefinition {
  /// An operator of two inputs with NumPy broadcasting.
  static func binary(
    _ name: String, _ versions: [Int], on types: [ElementType] = ElementType.numbers,
    attributes: [AttributeSpec] = [], divisors: ClosedRange<Double> = -4...4,
    sampleAttributes: [String: Attribute] = [:], gradient: GradientRule? = nil,
    _ function: @escaping @Sendable (any NodeView) throws(StackLensError) -> BinaryFunction
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: versions, inputs: 2...2, attributes: attributes,
      infer: { (context) throws(StackLensError) in
        _ = try function(context)
        let type = try context.input(0, oneOf: types)
        _ = try context.sameElementType(0, 1)
        return [
          TensorType(type.elementType, try type.shape.broadcast(with: context.input(1).shape))
        ]
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          let type = try preparation.input(0).elementType
          let function = try function(preparation)
          guard let code = function.code, type == .float32 || type.isHalf else { return nil }
          return try binaryKernel(preparation, isCheap: function.isCheap) {
            function.vectorRow(code, type, $0)
          }
        },
        .reference { (preparation) throws(StackLensError) in
          let type = try preparation.input(0).elementType
          let function = try function(preparation)
          return try binaryKernel(preparation, isCheap: function.isCheap) {
            function.referenceRow(type, $0)
          }
        },
      ]),
      lift: liftBroadcast, gradient: gradient,
      samples: binarySamples(types, divisors: divisors, sampleAttributes))
  }

  /// Runs `body` on every row of two inputs that broadcast to output 0.
  @inline(__always)
  static func binaryKernel(
    _ preparation: Preparation, isCheap: Bool = true,
    _ body: @escaping @Sendable (BinaryRow) -> Void
  ) throws(StackLensError) -> PreparedKernel {
    let (left, right) = (try preparation.input(0), try preparation.input(1))
    let output = preparation.outputs[0]
    let loop = BroadcastLoop([left.shape, right.shape], to: output.shape)
    let (aSize, bSize) = (left.elementType.byteSize, right.elementType.byteSize)
    let ySize = output.elementType.byteSize
    let grain = isCheap ? cheapGrain : costlyGrain
    return PreparedKernel { (run) throws(StackLensError) in
      let (a, b, y) = (try run.input(0).base, try run.input(1).base, run.outputs[0].base)
      loop.run(run.parallel, grain: grain) { (starts, output, count) in
        body(
          BinaryRow(
            a: a + starts[0] * aSize, aStep: loop.rowStrides[0], b: b + starts[1] * bSize,
            bStep: loop.rowStrides[1], y: y + output * ySize, count: count))
      }
    }
  }

  static func binarySamples(
    _ types: [ElementType], divisors: ClosedRange<Double> = -4...4,
    _ attributes: [String: Attribute] = [:]
  ) -> [Sample] {
    func pair(_ type: ElementType, _ left: [Int], _ right: [Int]) -> [Sample.Input] {
      let low = type == .bool || type.isUnsignedInteger ? 0.0 : -9
      return [
        .random(type, left, low: low, high: type == .bool ? 2 : 9),
        .random(
          type, right, low: max(low, divisors.lowerBound),
          high: type == .bool ? 2 : divisors.upperBound),
      ]
    }
    let (first, last) = (types[0], types[types.count - 1])
    var samples = [
      Sample(pair(first, [2, 3, 37], [2, 3, 37]), attributes),
      Sample(pair(first, [4, 33], [33]), attributes),
      Sample(pair(first, [2, 3, 5], [2, 3, 1]), attributes),
      Sample(pair(first, [], [2, 3]), attributes),
      Sample(pair(first, [3, 1], [1, 4]), attributes),
      Sample(pair(first, [0, 3], [3]), attributes),
      Sample(pair(last, [2, 3, 1, 4], [3, 5, 1]), attributes),
    ]
    if types.contains(.float16) {
      samples.append(Sample(pair(.float16, [2, 600], [600]), attributes))
      samples.append(Sample(pair(.float64, [2, 3], [1]), attributes))
      samples.append(Sample(pair(.int64, [2, 3], [3]), attributes))
    }
    return samples
  }

  /// x where x >= 0, x slope elsewhere; the slope broadcasts to x. ONNX PRelu-16.
  static let prelu = OperatorDefinition(
    "PRelu", versions: [1, 6, 7, 9, 16], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let type = try context.input(
        0, oneOf: ElementType.reals + [.uint32, .uint64, .int32, .int64])
      _ = try context.sameElementType(0, 1)
      let slope = try context.input(1).shape
      guard try type.shape.broadcast(with: slope) == type.shape else {
        throw .shapeMismatch("slope \(slope) does not broadcast to \(type.shape)")
      }
      return [type]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        let type = try preparation.input(0).elementType
        guard let code = BinaryFunction.prelu.code, type == .float32 || type.isHalf else {
          return nil
        }
        return try binaryKernel(preparation) { BinaryFunction.prelu.vectorRow(code, type, $0) }
      },
      .reference { (preparation) throws(StackLensError) in
        let type = try preparation.input(0).elementType
        return try binaryKernel(preparation) { BinaryFunction.prelu.referenceRow(type, $0) }
      },
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      // The slope was one number a channel.
      opset < 7 && node.inputs.count == 2
        ? try alignSecondInput(node, axis: 1, &rewriter) : [node]
    },
    gradient: .prelu,
    samples: [
      Sample([.floats(2, 3, 4), .floats(3, 1)]), Sample([.floats(2, 3), .floats(2, 3)]),
      Sample([.floats(0, 3), .floats()]),
      Sample([
        .random(.int32, [2, 5], low: -9, high: 9), .random(.int32, [5], low: -9, high: 9),
      ]),
    ])
}
