import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// -log of the probability that log-probabilities [T, N, C] spell labels [N, S] when repeated classes
  /// count once and blanks not at all (Graves et al., "Connectionist temporal classification", 2006).
  /// Inputs 2 and 3, if given, say how many steps and labels of each text count; the labels end at
  /// `ignore_index` too. Texts that cannot be spelled cost infinity, or 0 with `zero_infinity`.
  /// Result [N].
  static let ctcLoss = OperatorDefinition(
    "CTCLoss", domain: "ai.stacklens", versions: [1], inputs: 2...4, attributes: ctcAttributes,
    infer: { (context) throws(StackLensError) in
      let scores = try context.input(0, oneOf: ElementType.reals)
      return [TensorType(scores.elementType, try ctcItems(context, first: 0))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let batch = try CTCBatch(preparation, first: 0)
        return try wideKernel(Double.self, preparation, inputs: 1) {
          (wide) throws(StackLensError) in
          let (x, y) = (try wide.input(0), wide.outputs[0])
          let texts = try batch.texts(wide.run)
          wide.run.parallel.ranges(texts.count, grain: 1) { range in
            for index in range {
              let loss = batch.lattice(texts[index], at: index, x).loss()
              y[index] = loss.isInfinite && batch.zeroesInfinity ? 0 : loss
            }
          }
        }
      }
    ]),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let inputs = [try scope.arriving()] + scope.inputs
      return [
        scope.graph.add(
          "CTCLossGradient", inputs, scope.node.attributes, domain: "ai.stacklens")
      ] + scope.inputs.dropFirst().map { _ in nil }
    },
    samples: ctcSamples)

  /// Back through CTCLoss: from g [N] and its inputs, the gradient of the log-probabilities; 0 for texts
  /// that cannot be spelled.
  static let ctcLossGradient = OperatorDefinition(
    "CTCLossGradient", domain: "ai.stacklens", versions: [1], inputs: 3...5,
    attributes: ctcAttributes,
    infer: { (context) throws(StackLensError) in
      let scores = try context.input(1, oneOf: ElementType.reals)
      let (g, items) = (try context.input(0), try ctcItems(context, first: 1))
      guard g == TensorType(scores.elementType, items) else {
        throw .shapeMismatch("gradient \(g) of a loss \(scores.elementType.name)\(items)")
      }
      return [scores]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let batch = try CTCBatch(preparation, first: 1)
        let count = preparation.outputs[0].shape.count
        return try wideKernel(Double.self, preparation, inputs: 2) {
          (wide) throws(StackLensError) in
          let (g, x, dx) = (try wide.input(0), try wide.input(1), wide.outputs[0])
          let texts = try batch.texts(wide.run)
          dx.update(repeating: 0, count: count)
          wide.run.parallel.ranges(texts.count, grain: 1) { range in
            for index in range {
              batch.lattice(texts[index], at: index, x)
                .addPosterior(times: -g[index], to: dx + index * batch.classes)
            }
          }
        }
      }
    ]),
    gradient: .once("CTCLoss"),
    samples: ctcSamples.map { sample in
      Sample([.floats(sample.inputs.count > 2 ? 3 : 2)] + sample.inputs, sample.attributes)
    })

  private static let ctcAttributes: [AttributeSpec] = [
    .int("blank", default: 0), .int("zero_infinity", default: 0),
    .int("ignore_index", default: -100),
  ]

  private static let ctcSamples: [Sample] = [
    Sample([.floats(5, 2, 4), .random(.int64, [2, 2], low: 1, high: 4)]),
    Sample(
      [
        .floats(7, 3, 5), .random(.int32, [3, 3], low: 0, high: 4), .ints([7, 6, 7]),
        .ints([2, 0, 3]),
      ], ["blank": .int(4)]),
    Sample(
      [.floats(2, 3, 4), .random(.int64, [3, 2], low: 1, high: 4), .ints([1, 0, 2])],
      ["zero_infinity": .int(1)]),
  ]

  /// The shape of the losses: one for each text.
  private static func ctcItems(
    _ context: Inference, first: Int
  ) throws(StackLensError) -> Shape {
    let scores = try context.input(first).shape
    let labels = try context.input(first + 1, oneOf: [.int32, .int64]).shape
    guard scores.rank == 3, labels.rank == 2, labels[0] == scores[1] else {
      throw .shapeMismatch(
        "scores \(scores) and labels \(labels), expected [T, N, C] and [N, S]")
    }
    for index in first + 2...first + 3 where context.hasInput(index) {
      let lengths = try context.input(index, oneOf: [.int32, .int64]).shape
      guard lengths.dims == [scores[1]] else {
        throw .shapeMismatch(
          "input \(index) has shape \(lengths), expected [\(scores[1])]")
      }
    }
    return try Shape([scores[1]])
  }
}

extension GradientRule {
  /// The rule of an operator that gradients are made of and that has none itself.
  static func once(_ name: String) -> GradientRule {
    GradientRule { (_) throws(StackLensError) in
      throw .unsupported("\(name) can be differentiated once only")
    }
  }
}

/// One text as the lattice takes it.
private struct CTCText {
  let labels: [Int]
  let steps: Int
}

/// What a node says of its texts.
private struct CTCBatch: Sendable {
  let zeroesInfinity: Bool
  let classes: Int
  private let steps: Int
  private let items: Int
  private let blank: Int
  private let ignored: Int
  /// The input that the log-probabilities are.
  private let first: Int

  init(_ preparation: Preparation, first: Int) throws(StackLensError) {
    let shape = try preparation.input(first).shape
    (steps, items, classes) = (shape[0], shape[1], shape[2])
    blank = try preparation.int("blank")
    ignored = try preparation.int("ignore_index")
    zeroesInfinity = try preparation.flag("zero_infinity")
    self.first = first
    // A table of steps and states for each text that is looked at.
    let states = try Shape([2, preparation.input(first + 1).shape[1]]).count + 1
    let tables = try Shape([steps, states, min(items, preparation.threadCount)]).count
    guard tables <= usableMemoryByteCount / MemoryLayout<Double>.stride / 2 else {
      throw .limitExceeded("\(steps) steps of \(states) states do not fit into memory")
    }
    guard (0..<classes).contains(blank) else {
      throw .invalidArgument("attribute 'blank' is \(blank), outside [0, \(classes))")
    }
  }

  func lattice(_ text: CTCText, at index: Int, _ x: UnsafePointer<Double>) -> CTCLattice {
    CTCLattice(
      text.labels, blank: blank, steps: text.steps, classes: classes, x + index * classes,
      stride: items * classes)
  }

  /// - Throws: `.invalidArgument` for a label that is no class, or the blank, and for lengths that are
  ///   more than there is.
  func texts(_ run: Invocation) throws(StackLensError) -> [CTCText] {
    let labels = try run.input(first + 1).integers()
    let width = items > 0 ? labels.count / items : 0
    let steps = try lengths(run, first + 2, limit: steps, "steps")
    let given = try lengths(run, first + 3, limit: width, "labels")
    var texts: [CTCText] = []
    for item in 0..<items {
      var own = Array(labels[item * width..<(item + 1) * width].prefix(given?[item] ?? width))
      if let end = own.firstIndex(of: ignored) { own.removeSubrange(end...) }
      for label in own where !(0..<classes).contains(label) || label == blank {
        throw .invalidArgument(
          "label \(label) of text \(item) is no class of [0, \(classes)) other than the blank "
            + "\(blank)")
      }
      texts.append(CTCText(labels: own, steps: steps?[item] ?? self.steps))
    }
    return texts
  }

  private func lengths(
    _ run: Invocation, _ index: Int, limit: Int, _ what: String
  ) throws(StackLensError) -> [Int]? {
    guard index < run.inputs.count, let tensor = run.inputs[index] else { return nil }
    let lengths = try tensor.integers()
    for (item, length) in lengths.enumerated() where !(0...limit).contains(length) {
      throw .invalidArgument("text \(item) has \(length) \(what), outside [0, \(limit)]")
    }
    return lengths
  }
}
