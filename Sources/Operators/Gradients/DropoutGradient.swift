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
      try requireDropping(context, 1)
      return [type]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        let salt = try preparation.int("salt")
        return PreparedKernel { (run) throws(StackLensError) in
          let dropping = try Dropping(ratio: run.input(1), seed: run.input(2), salt: salt).native()
          let (x, y) = (try run.input(0).floats, run.outputs[0].floats)
          run.parallel.ranges(run.outputs[0].count, grain: cheapGrain) { range in
            let first = range.lowerBound
            withUnsafePointer(to: dropping) {
              slk_drop(x + first, y + first, range.count, $0, UInt64(first))
            }
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let (count, salt) = (preparation.outputs[0].shape.count, try preparation.int("salt"))
        return try wideKernel(Double.self, preparation, inputs: 1) {
          (wide) throws(StackLensError) in
          let (x, y) = (try wide.input(0), wide.outputs[0])
          let dropping = try Dropping(
            ratio: wide.run.input(1), seed: wide.run.input(2), salt: salt)
          for i in 0..<count { y[i] = x[i] * dropping.factor(i) }
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

  /// Ratio and seed of a dropout, from input `first` on, if there is one.
  static func requireDropping(
    _ context: Inference, _ first: Int
  ) throws(StackLensError) {
    guard context.hasInput(first) || context.hasInput(first + 1) else { return }
    guard try context.input(first, oneOf: ElementType.reals).shape.count == 1,
      try context.input(first + 1, oneOf: [.int64]).shape.count == 1
    else { throw .shapeMismatch("ratio and seed of a dropout are one number each") }
  }

  /// The mixing step of SplitMix64 (Steele, Lea and Flood, 2014).
  static func scrambled(_ value: UInt64) -> UInt64 {
    var z = value &* 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// Which elements a dropout drops: it follows from seed and salt, and the element's number.
struct Dropping: Sendable {
  private let start: UInt64
  /// Dropped where 32 random bits are below the ratio's share of 2^32.
  private let limit: UInt64
  private let scale: Double

  /// - Throws: `.invalidArgument` for a ratio outside of [0, 1).
  init(ratio: Tensor, seed: Tensor, salt: Int) throws(StackLensError) {
    guard let ratio = ratio.real, ratio >= 0, ratio < 1 else {
      throw .invalidArgument("the ratio of a dropout must be in [0, 1)")
    }
    let seed = UInt64(bitPattern: Int64(try seed.integers()[0]))
    let salt = UInt64(bitPattern: Int64(salt))
    start = OperatorDefinition.scrambled(seed ^ OperatorDefinition.scrambled(salt))
    limit = UInt64(ratio * 4_294_967_296)
    scale = 1 / (1 - ratio)
  }

  /// Of the inputs of a run from `first` on; nil where they are left out.
  init?(of run: Invocation, _ first: Int, _ salt: Int) throws(StackLensError) {
    guard run.inputs.count > first, let ratio = run.inputs[first] else { return nil }
    try self.init(ratio: ratio, seed: run.input(first + 1), salt: salt)
  }

  /// 0 for an element that is dropped.
  func factor(_ index: Int) -> Double {
    OperatorDefinition.scrambled(start &+ UInt64(index)) >> 32 < limit ? 0 : scale
  }

  /// The kernels' form, for elements that begin at number `first`.
  func native(from first: Int = 0) -> slk_dropping {
    slk_dropping(
      start: start &+ UInt64(bitPattern: Int64(first)), limit: UInt32(limit), scale: Float(scale))
  }
}

extension Differentiation {
  /// The same nodes with the outputs that gradients need: recurrent layers keep their steps, a
  /// Dropout names its mask. What is differentiated and run in this form computes nothing twice.
  /// - Parameters:
  ///   - reach: last steps that gradients flow back through in recurrent layers; 0: all.
  ///   - fresh: a name that is not taken.
  public static func trainingForm(
    of nodes: [Node], reach: Int = 0, fresh: (String) -> String
  ) -> [Node] {
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
        if reach > 0 { node.attributes["gradient_steps"] = .int(Int64(reach)) }
      default: break
      }
      return node
    }
  }
}
