import Base
import Graphs
import Tensors

/// Normalisations: one node that knows the whole formula where only the result is used, the
/// operator's parts where statistics are used too.
extension GradientRule {
  static let layerNormalization = GradientRule { (scope) throws(StackLensError) in
    guard scope.arrivesOnlyAtFirst else { return try scope.flow(through: layerNormalizationParts) }
    return scope.backward(
      "LayerNormalizationGradient", [try scope.arriving()] + scope.inputs, ["axis", "epsilon"],
      outputs: 3)
  }

  static let rmsNormalization = GradientRule { (scope) throws(StackLensError) in
    let x = try scope.input(0)
    let g = scope.apply("CastLike", try scope.arriving(), x)
    return scope.backward(
      "RMSNormalizationGradient", [g] + scope.inputs, ["axis", "epsilon"], outputs: 2)
  }

  static let batchNormalization = GradientRule { (scope) throws(StackLensError) in
    let isTraining = try scope.flag("training_mode")
    let wantsStatistics = !isTraining && (scope.wants(3) || scope.wants(4))
    guard scope.arrivesOnlyAtFirst, !wantsStatistics else {
      return try scope.flow(through: batchNormalizationParts)
    }
    let inputs = [try scope.arriving(), scope.inputs[0], scope.inputs[1]]
    return scope.backward(
      "BatchNormalizationGradient", inputs + (isTraining ? [] : scope.inputs[3...4]),
      ["epsilon"], outputs: 3)
  }

  static let instanceNormalization = GradientRule { (scope) throws(StackLensError) in
    scope.backward(
      "GroupNormalizationGradient",
      [try scope.arriving(), try scope.input(0), try scope.input(1)], ["epsilon"], outputs: 3)
  }

  static let groupNormalization = GradientRule { (scope) throws(StackLensError) in
    scope.backward(
      "GroupNormalizationGradient",
      [try scope.arriving(), try scope.input(0), try scope.input(1)], ["epsilon", "num_groups"],
      outputs: 3)
  }

  /// Lines of zeros stay zero, and nothing flows to them.
  static let lpNormalization = GradientRule.composed { (scope) throws(StackLensError) in
    let x = try scope.input(0)
    let axis = try scope.ints([Int64(try scope.int("axis"))])
    let zero = try scope.scalar(0, like: x)
    let norm: Edge
    if try scope.int("p") == 1 {
      norm = scope.apply("ReduceSum", scope.apply("Abs", x), axis)
    } else {
      norm = scope.apply("ReduceL2", x, axis)
    }
    let isZero = scope.apply("Equal", norm, zero)
    let safe = scope.choose(isZero, try scope.scalar(1, like: x), norm)
    return [x / safe]
  }

  static let meanVarianceNormalization = GradientRule.composed { (scope) throws(StackLensError) in
    let x = try scope.input(0)
    let axes = try scope.ints((try scope.ints("axes") ?? [0, 2, 3]).map { Int64($0) })
    let centred = x - scope.apply("ReduceMean", x, axes)
    let deviation = scope.apply("Sqrt", scope.apply("ReduceMean", centred * centred, axes))
    return [centred / (deviation + (try scope.scalar(1e-9, like: x)))]
  }

  /// The sum over neighbouring channels is a difference of running sums of what is padded.
  static let localResponse = GradientRule.composed { (scope) throws(StackLensError) in
    let x = try scope.input(0)
    let size = try scope.int("size")
    let one = try scope.ints([1])
    let (before, after) = (Int64(size - 1) / 2, Int64(size) / 2)
    let padded = scope.apply("Pad", x * x, try scope.ints([before, after]), nil, one)
    let extent = scope.apply("Shape", x, attributes: ["start": .int(1), "end": .int(2)])
    var sum: Edge?
    for offset in 0..<Int64(size) {
      let start = try scope.ints([offset])
      let part = scope.apply("Slice", padded, start, start + extent, one)
      sum = sum.map { $0 + part } ?? part
    }
    guard let sum else { throw .invalidArgument("attribute 'size' is 0") }
    let factor = Double(try scope.float("alpha")) / Double(size)
    let base =
      try scope.scalar(Double(try scope.float("bias")), like: x)
      + scope.scalar(factor, like: x) * sum
    let power = scope.apply("Pow", base, try scope.scalar(Double(scope.float("beta")), like: x))
    return [x / power]
  }
}

extension GradientScope {
  /// Whether nothing arrives at the outputs behind the first.
  var arrivesOnlyAtFirst: Bool { !outputGradients.dropFirst().contains { $0 != nil } }

  /// One node of our own domain that makes the gradients of the first inputs.
  func backward(
    _ opType: String, _ edges: [Edge?], _ attributes: [String], outputs count: Int
  ) -> [Edge?] {
    let kept = node.attributes.filter { attributes.contains($0.key) }
    let made: [Edge?] = graph.add(
      opType, edges, kept, domain: "ai.stacklens", outputs: count)
    let shown = made.prefix(inputs.count)
    return shown + [Edge?](repeating: nil, count: inputs.count - shown.count)
  }
}
