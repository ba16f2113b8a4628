import Base
import CKernels
import Graphs
import Tensors

extension GradientRule {
  /// What was kept gets what arrives, scaled alike. In inference mode the operator is the identity.
  static let dropout = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let g = try scope.arriving()
    let others: [Edge?] = scope.inputs.dropFirst().map { _ in nil }
    guard scope.hasInput(2) else { return [g] + others }
    guard scope.outputs.count > 1, let mask = scope.outputs[1] else {
      throw .unsupported(
        "Dropout in training mode is differentiated by its mask: name it as output 1, or take the "
          + "training form of the nodes")
    }
    let one = try scope.scalar(1, like: g)
    let ratio =
      scope.hasInput(1)
      ? scope.apply("CastLike", try scope.input(1), g) : try scope.scalar(0.5, like: g)
    let kept = one - ratio
    let scale = scope.choose(try scope.input(2), scope.apply("Reciprocal", kept), one)
    return [scope.choose(mask, g * scale, try scope.scalar(0, like: g))] + others
  }
}

extension OperatorDefinition {
  /// Dropout whose mask follows from a seed that is an input: elements are dropped with probability
  /// `ratio`, the rest scaled by 1 / (1 - ratio). The same seed and `salt` drop the same places, so
  /// that the gradient is the same node of what arrives and no mask is kept.
  static let seededDropout = OperatorDefinition(
    "SeededDropout", domain: "ai.stacklens", versions: [1], inputs: 3...3,
    attributes: [.int("salt", default: 0)],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals)
      guard try context.input(1, oneOf: ElementType.reals).shape.count == 1,
        try context.input(2, oneOf: [.int64]).shape.count == 1
      else { throw .shapeMismatch("ratio and seed are one number each") }
      return [type]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try dropout(Float.self, preparation) { (start, limit, scale, range, x, y) in
          let first = range.lowerBound
          slk_seeded_dropout_f32(
            start, UInt64(first), limit, scale, x + first, y + first, range.count)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        try dropout(Double.self, preparation) { (start, limit, scale, range, x, y) in
          for i in range {
            let bits = scrambled(start &+ UInt64(i)) >> 32
            y[i] = bits < limit ? 0 : x[i] * scale
          }
        }
      },
    ]),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      [
        scope.graph.add(
          "SeededDropout", [try scope.arriving()] + scope.inputs.dropFirst(),
          scope.node.attributes, domain: "ai.stacklens"), nil, nil,
      ]
    },
    samples: [
      Sample([.floats(7, 40), .tensor(quarter), .tensor(seed)], ["salt": .int(3)]),
      Sample([.floats(0, 4), .tensor(quarter), .tensor(seed)]),
    ])

  @Sendable static func quarter() throws(StackLensError) -> Tensor {
    try Tensor(scalar: Float(0.25))
  }

  @Sendable static func seed() throws(StackLensError) -> Tensor {
    try Tensor(scalar: Int64(11))
  }

  private static func dropout<T: RealElement & BinaryFloatingPoint>(
    _: T.Type, _ preparation: Preparation,
    _ drop:
      @escaping @Sendable (
        _ start: UInt64, _ limit: UInt64, _ scale: T, Range<Int>, UnsafePointer<T>,
        UnsafeMutablePointer<T>
      ) -> Void
  ) throws(StackLensError) -> PreparedKernel {
    let count = preparation.outputs[0].shape.count
    let salt = UInt64(bitPattern: Int64(try preparation.int("salt")))
    return try wideKernel(T.self, preparation, inputs: 1) { (wide) throws(StackLensError) in
      let (x, y) = (try wide.input(0), wide.outputs[0])
      let seed = try wide.run.input(2).integers()[0]
      guard let ratio = try wide.run.input(1).real, ratio >= 0, ratio < 1 else {
        throw .invalidArgument("the ratio of a dropout must be in [0, 1)")
      }
      let start = scrambled(UInt64(bitPattern: Int64(seed)) ^ scrambled(salt))
      // Dropped where 32 random bits are below the ratio's share of 2^32.
      let limit = UInt64(ratio * 4_294_967_296)
      let scale = T(1 / (1 - ratio))
      wide.run.parallel.ranges(count, grain: cheapGrain) { range in
        drop(start, limit, scale, range, x, y)
      }
    }
  }

  /// The mixing step of SplitMix64 (Steele, Lea and Flood, 2014).
  static func scrambled(_ value: UInt64) -> UInt64 {
    var z = value &* 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

extension Differentiation {
  /// The same nodes with the outputs that gradients need: recurrent layers keep their steps, a
  /// Dropout names its mask. What is differentiated and run in this form computes nothing twice.
  /// - Parameter fresh: a name that is not taken.
  public static func trainingForm(of nodes: [Node], fresh: (String) -> String) -> [Node] {
    nodes.map { node in
      guard node.domain.isEmpty || node.domain == "ai.onnx" else { return node }
      var node = node
      func name(_ count: Int, _ hint: String) {
        while node.outputs.count < count { node.outputs.append("") }
        if node.outputs[count - 1].isEmpty { node.outputs[count - 1] = fresh(hint) }
      }
      switch node.opType {
      case "Dropout": if node.inputs.count > 2 { name(2, "mask") }
      case "TopK": name(2, "places")
      case "LSTM", "GRU", "RNN":
        name(node.opType == "LSTM" ? 4 : 3, "steps")
        node.opType += "Training"
        node.domain = "ai.stacklens"
      default: break
      }
      return node
    }
  }
}
