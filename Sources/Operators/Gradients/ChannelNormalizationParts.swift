import Base
import Graphs
import Tensors

extension GradientScope {
  /// The value as [items, groups, rest]; `groups` nil stands for the channels.
  func grouped(_ x: Edge, _ groups: Int? = nil) throws(StackLensError) -> Edge {
    let items = apply("Shape", x, attributes: ["end": .int(1)])
    var count = apply("Shape", x, attributes: ["start": .int(1), "end": .int(2)])
    if let groups { count = try ints([Int64(groups)]) }
    let all = apply("Reshape", apply("Size", x), try ints([1]))
    // Nothing divided by nothing has any extent.
    let rest = all / apply("Max", items * count, try ints([1]))
    let shape = graph.add("Concat", [items, count, rest], ["axis": .int(0)])
    return graph.add("Reshape", [x, shape], ["allowzero": .int(1)])
  }

  /// The value in the shape of another.
  func reshaped(_ x: Edge, like other: Edge) -> Edge {
    graph.add("Reshape", [x, shape(of: other)], ["allowzero": .int(1)])
  }

  /// One number a channel, beside the two last axes of `grouped`.
  func column(_ x: Edge) throws(StackLensError) -> Edge {
    apply("Unsqueeze", x, try ints([1]))
  }

  /// (x - mean) / sqrt(variance + epsilon).
  func normalized(
    _ x: Edge, _ mean: Edge, _ variance: Edge
  ) throws(StackLensError) -> Edge {
    let epsilon = try scalar(Double(try float("epsilon")), like: x)
    return (x - mean) / apply("Sqrt", variance + epsilon)
  }
}

/// Y and the running mean and variance of BatchNormalization, of its five inputs.
@Sendable func batchNormalizationParts(
  _ scope: GradientScope
) throws(StackLensError) -> [Edge?] {
  let whole = try scope.input(0)
  let x = try scope.grouped(whole)
  var (mean, variance) = (try scope.input(3), try scope.input(4))
  var running: [Edge?] = [mean, variance]
  if try scope.flag("training_mode") {
    let axes = try scope.ints([0, 2])
    let own = scope.apply("ReduceMean", x, axes, attributes: ["keepdims": .int(0)])
    let centred = x - (try scope.column(own))
    let square = scope.apply(
      "ReduceMean", centred * centred, axes, attributes: ["keepdims": .int(0)])
    let kept = try scope.scalar(Double(try scope.float("momentum")), like: mean)
    let rest = try scope.scalar(1 - Double(try scope.float("momentum")), like: mean)
    running = [mean * kept + own * rest, variance * kept + square * rest]
    (mean, variance) = (own, square)
  }
  let normal = try scope.normalized(x, scope.column(mean), scope.column(variance))
  let y = try normal * scope.column(scope.input(1)) + scope.column(scope.input(2))
  return [scope.reshaped(y, like: whole)] + running
}

/// What BatchNormalizationGradient stands for: what flows back through the parts.
@Sendable func batchFlow(_ scope: GradientScope) throws(StackLensError) -> [Edge?] {
  let isTraining = !scope.hasInput(3)
  let (x, scale) = (try scope.input(1), try scope.input(2))
  let forward = scope.forward([
    x, scale, scale, isTraining ? nil : try scope.input(3), isTraining ? nil : try scope.input(4),
  ])
  return Array(
    try forward.flow { (scope) throws(StackLensError) in
      let whole = try scope.input(0)
      let x = try scope.grouped(whole)
      var (mean, variance) = (scope.inputs[3], scope.inputs[4])
      if mean == nil {
        let axes = try scope.ints([0, 2])
        let own = scope.apply("ReduceMean", x, axes, attributes: ["keepdims": .int(0)])
        let centred = x - (try scope.column(own))
        mean = own
        variance = scope.apply(
          "ReduceMean", centred * centred, axes, attributes: ["keepdims": .int(0)])
      }
      guard let mean, let variance else { throw .invalidArgument("input 4 is missing") }
      let normal = try scope.normalized(x, scope.column(mean), scope.column(variance))
      let y = try normal * scope.column(scope.input(1)) + scope.column(scope.input(2))
      return [scope.reshaped(y, like: whole)]
    }.prefix(3))
}

/// What GroupNormalizationGradient stands for.
@Sendable func groupFlow(_ scope: GradientScope) throws(StackLensError) -> [Edge?] {
  let scale = try scope.input(2)
  return try scope.forward([try scope.input(1), scale, scale]).flow {
    (scope) throws(StackLensError) in
    let whole = try scope.input(0)
    let groups = try scope.int("num_groups")
    let x = try scope.grouped(whole, groups == 0 ? nil : groups)
    let axis = try scope.ints([2])
    let mean = scope.apply("ReduceMean", x, axis)
    let variance = scope.apply("ReduceMean", (x - mean) * (x - mean), axis)
    let normal = scope.reshaped(try scope.normalized(x, mean, variance), like: whole)
    let y = try scope.grouped(normal) * scope.column(scope.input(1)) + scope.column(scope.input(2))
    return [scope.reshaped(y, like: whole)]
  }
}

extension GradientScope {
  /// The operator whose gradient this node is, with the given inputs: what arrives there is this
  /// node's input 0.
  func forward(_ inputs: [Edge?]) -> GradientScope {
    GradientScope(
      node: node, definition: definition, graph: graph, inputs: inputs, outputs: [],
      outputGradients: [self.inputs[0]], wants: inputs.map { $0 != nil },
      names: inputs.map { $0?.name ?? "" }, types: types)
  }
}
