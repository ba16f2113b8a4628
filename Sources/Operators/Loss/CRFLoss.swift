import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// -log of the probability that a linear chain of tags (Lafferty, McCallum, Pereira, "Conditional random
  /// fields", 2001) gives to sequences: log Σ exp(score) - score. Inputs: emissions [B, T, K], transitions
  /// [K, K] from row to column, start and end scores [K] (none: 0), tags [B, T], perhaps a mask [B, T]. A
  /// position whose mask is 0 or whose tag is `ignore_index` is left out, and the chain goes on from
  /// the one before it to the one behind. Result [B].
  static let crfLoss = OperatorDefinition(
    "CRFLoss", domain: "ai.stacklens", versions: [1], inputs: 5...6,
    attributes: [.int("ignore_index", default: -100)],
    infer: { (context) throws(StackLensError) in
      let shape = try CRFBatch.check(context, first: 0, tags: 4, mask: 5)
      return [TensorType(try context.input(0).elementType, try Shape([shape[0]]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let batch = try CRFBatch(preparation, first: 0, tags: 4, mask: 5)
        return try wideKernel(Double.self, preparation, inputs: 4) {
          (wide) throws(StackLensError) in
          let texts = try batch.texts(wide.run)
          let y = wide.outputs[0]
          wide.run.parallel.ranges(texts.count, grain: 1) { range in
            for item in range {
              let chain = batch.chain(texts[item], item, wide)
              y[item] = chain.logPartition() - chain.score(texts[item].tags)
            }
          }
        }
      }
    ]),
    gradient: GradientRule(inputs: 4) { (scope) throws(StackLensError) in
      let wanted = (0..<4).map { scope.wants($0) && scope.hasInput($0) }
      let gradients = scope.graph.add(
        "CRFLossGradient", [try scope.arriving()] + scope.inputs, scope.node.attributes,
        domain: "ai.stacklens", wanted: wanted)
      return gradients + scope.inputs.dropFirst(4).map { _ in nil }
    },
    samples: crfSamples)

  /// Back through CRFLoss: from g [B] and its inputs, the gradients of emissions, transitions, start and end
  /// scores.
  static let crfLossGradient = OperatorDefinition(
    "CRFLossGradient", domain: "ai.stacklens", versions: [1], inputs: 6...7, outputs: 1...4,
    attributes: [.int("ignore_index", default: -100)],
    infer: { (context) throws(StackLensError) in
      let shape = try CRFBatch.check(context, first: 1, tags: 5, mask: 6)
      let (g, emissions) = (try context.input(0), try context.input(1))
      guard g == TensorType(emissions.elementType, try Shape([shape[0]])) else {
        throw .shapeMismatch("gradient \(g) of a loss \(emissions.elementType.name)[\(shape[0])]")
      }
      let ends = TensorType(emissions.elementType, try Shape([shape[2]]))
      return [emissions, try context.input(2), ends, ends]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let batch = try CRFBatch(preparation, first: 1, tags: 5, mask: 6)
        let parts = try Shape([batch.items, batch.tagCount, batch.tagCount + 2, 8]).count
        return try wideKernel(Double.self, preparation, inputs: 5, scratch: parts) {
          (wide) throws(StackLensError) in
          try crfGradient(batch, wide)
        }
      }
    ]),
    gradient: .once("CRFLoss"),
    samples: crfSamples.map {
      Sample([.floats(2)] + $0.inputs, $0.attributes, outputs: 4)
    })

  static let crfSamples: [Sample] = [
    Sample([
      .floats(2, 5, 3), .floats(3, 3), .floats(3), .floats(3),
      .random(.int64, [2, 5], low: 0, high: 3),
    ]),
    Sample(
      [
        .floats(2, 4, 2), .floats(2, 2), .absent, .absent,
        .random(.int32, [2, 4], low: 0, high: 2), .random(.int64, [2, 4], low: 0, high: 2),
      ], ["ignore_index": .int(7)]),
    Sample(
      [
        .floats(2, 6, 4), .floats(4, 4), .floats(4), .absent,
        .random(.int64, [2, 6], low: 0, high: 4),
      ], ["ignore_index": .int(1)]),
  ]

  private static func crfGradient(
    _ batch: CRFBatch, _ wide: WideRun<Double>
  ) throws(StackLensError) {
    let texts = try batch.texts(wide.run)
    let (g, count) = (try wide.input(0), batch.tagCount)
    let emissions = wide.outputs[0]
    emissions.update(repeating: 0, count: texts.count * batch.steps * count)
    // Sums over the texts are made in their order, whatever the number of threads.
    let width = count * (count + 2)
    let parts = wide.scratch.assumingMemoryBound(to: Double.self)
    parts.update(repeating: 0, count: texts.count * width)
    wide.run.parallel.ranges(texts.count, grain: 1) { range in
      for item in range {
        let (text, transitions) = (texts[item], parts + item * width)
        let (starts, ends) = (transitions + count * count, transitions + count * (count + 1))
        let own = emissions + item * batch.steps * count
        let last = text.positions.count - 1
        func add(_ index: Int, _ tag: Int, _ value: Double) {
          own[text.positions[index] * count + tag] += value
          if index == 0 { starts[tag] += value }
          if index == last { ends[tag] += value }
        }
        batch.chain(text, item, wide).forEachMarginal(
          unary: { index, tag, share in add(index, tag, g[item] * share) },
          pair: { from, to, share in transitions[from * count + to] += g[item] * share })
        for (index, tag) in text.tags.enumerated() { add(index, tag, -g[item]) }
        for (from, to) in zip(text.tags, text.tags.dropFirst()) {
          transitions[from * count + to] -= g[item]
        }
      }
    }
    for (output, range) in [
      (1, 0..<count * count), (2, count * count..<count * (count + 1)),
      (3, count * (count + 1)..<width),
    ] {
      for (place, column) in range.enumerated() {
        var sum = 0.0
        for item in texts.indices { sum += parts[item * width + column] }
        wide.outputs[output][place] = sum
      }
    }
  }
}
