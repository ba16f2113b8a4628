import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through LinearAttention: from the gradients of its outputs, that of the state optional, and
  /// its inputs, the gradients of these.
  static let linearAttentionGradient = OperatorDefinition(
    "LinearAttentionGradient", domain: "ai.stacklens", versions: [1], inputs: 5...8,
    outputs: 1...6, attributes: linearAttention.attributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 2, 3, 4, 6, 7)
      let work = try LinearRecurrence(context, Array(context.inputs.dropFirst(2)))
      let state = context.hasInput(5) ? try context.input(5).elementType : g.elementType
      guard g.shape == work.outputShape else {
        throw .shapeMismatch("gradient \(g) of an attention that makes \(work.outputShape)")
      }
      if context.hasInput(1), try context.input(1).shape != work.stateShape {
        throw .shapeMismatch("gradient \(try context.input(1)) of a state \(work.stateShape)")
      }
      var types: [TensorType] = []
      for index in 2..<5 { types.append(try context.input(index)) }
      types.append(TensorType(state, work.stateShape))
      // Without decays or rates there is nothing to give.
      let nothing = TensorType(g.elementType, try Shape([0]))
      for index in 6..<8 {
        types.append(context.hasInput(index) ? try context.input(index) : nothing)
      }
      return Array(types.prefix(context.node.outputs.count))
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let work = try LinearRecurrence(preparation, Array(preparation.inputs.dropFirst(2)))
        let counts = preparation.outputs.map(\.shape.count)
        // Threads walk items in slots with work spaces of their own.
        let slots = max(1, min(preparation.threadCount, work.batch * work.heads))
        let room = try extentProduct(extentProduct(slots, work.roomBack()), 8)
        return try wideKernel(Double.self, preparation, scratch: room) {
          (wide) throws(StackLensError) in
          for (target, count) in zip(wide.outputs, counts) {
            target.update(repeating: 0, count: count)
          }
          guard work.stateShape.count > 0 else { return }
          try LinearRecurrenceBack(work, wide).run(slots, wide.run.parallel)
        }
      }
    ]),
    gradient: .none("the gradient of LinearAttention has none of its own"),
    samples: [
      Sample(
        [
          .floats(2, 5, 12), .floats(2, 2, 4, 3), .floats(2, 5, 16), .floats(2, 5, 8),
          .floats(2, 5, 6), .floats(2, 2, 4, 3), .floats(2, 5, 8), .floats(2, 5, 2),
        ], ["q_num_heads": .int(4), "kv_num_heads": .int(2)], outputs: 6),
      Sample(
        [.floats(1, 3, 8), .absent, .floats(1, 3, 8), .floats(1, 3, 8), .floats(1, 3, 8)],
        ["q_num_heads": .int(2), "kv_num_heads": .int(2), "update_rule": .string("linear")],
        outputs: 4),
      Sample(
        [.floats(1, 0, 8), .absent, .floats(1, 0, 8), .floats(1, 0, 8), .floats(1, 0, 8)],
        ["q_num_heads": .int(1), "kv_num_heads": .int(1), "update_rule": .string("linear")],
        outputs: 3),
    ])
}

extension GradientRule {
  static let linearAttention = GradientRule { (scope) throws(StackLensError) in
    let further = scope.outputGradients.dropFirst().first.flatMap { $0 }
    var g = scope.outputGradients.first.flatMap { $0 }
    if g == nil {
      guard let output = scope.outputs.first.flatMap({ $0 }) else {
        throw .unsupported("LinearAttention with its first output left out has no gradient")
      }
      g = scope.apply("Expand", try scope.scalar(0, like: output), scope.shape(of: output))
    }
    let wanted = scope.inputs.indices.map { scope.wants($0) }
    return scope.graph.add(
      "LinearAttentionGradient", [g, further] + scope.inputs, scope.node.attributes,
      domain: "ai.stacklens", wanted: wanted)
  }
}

extension LinearRecurrence {
  /// Tokens from one state that is kept to the next.
  fileprivate var chunk: Int { max(1, Int(Double(length).squareRoot().rounded(.up))) }
  fileprivate var chunkCount: Int { (length + chunk - 1) / chunk }

  /// Numbers that one item needs on the way back: states kept, those of one chunk, and the gradient.
  fileprivate func roomBack() throws(StackLensError) -> Int {
    try extentProduct(chunkCount + chunk + 2, keyWidth * valueWidth)
  }
}

/// The recurrence walked from its end: of every √length-th token the state is kept, those between
/// are made again.
private struct LinearRecurrenceBack {
  private let work: LinearRecurrence
  private let inputs: [UnsafePointer<Double>?]
  private let targets: [UnsafeMutablePointer<Double>]
  private let size: Int
  private let scratch: UnsafeMutablePointer<Double>
  private let query: UnsafePointer<Double>
  private let key: UnsafePointer<Double>
  private let value: UnsafePointer<Double>
  private let arriving: UnsafePointer<Double>

  init(_ work: LinearRecurrence, _ wide: WideRun<Double>) throws(StackLensError) {
    self.work = work
    (inputs, targets) = (wide.inputs, wide.outputs)
    size = work.keyWidth * work.valueWidth
    scratch = wide.scratch.assumingMemoryBound(to: Double.self)
    arriving = try wide.input(0)
    (query, key, value) = (try wide.input(2), try wide.input(3), try wide.input(4))
  }

  private func input(_ index: Int) -> UnsafePointer<Double>? {
    index < inputs.count ? inputs[index] : nil
  }

  private func target(_ index: Int) -> UnsafeMutablePointer<Double>? {
    index < targets.count ? targets[index] : nil
  }

  /// Heads that share their rates are walked by one thread.
  func run(_ slots: Int, _ parallel: Parallel) {
    let together = work.isCorrected && work.rateWidth == 1 ? work.heads : 1
    let room = (work.chunkCount + work.chunk + 2) * size
    parallel.forEach(slots) { slot in
      for part in stride(from: slot, to: work.batch * work.heads / together, by: slots) {
        for item in part * together..<(part + 1) * together { walk(item, scratch + slot * room) }
      }
    }
  }

  private func walk(_ item: Int, _ room: UnsafeMutablePointer<Double>) {
    let (entry, head) = item.quotientAndRemainder(dividingBy: work.heads)
    let (length, chunk) = (work.length, work.chunk)
    let (kept, states) = (room, room + work.chunkCount * size)
    let flowing = states + (chunk + 1) * size
    set(flowing, input(1), item)
    set(states, input(5), item)
    for first in stride(from: 0, to: length, by: chunk) {
      (kept + first / chunk * size).update(from: states, count: size)
      for token in first..<min(first + chunk, length) {
        advance(states, entry * length + token, head)
      }
    }
    for first in stride(from: (work.chunkCount - 1) * chunk, through: 0, by: -chunk) {
      let tokens = first..<min(first + chunk, length)
      states.update(from: kept + first / chunk * size, count: size)
      for token in tokens {
        let after = states + (token - first + 1) * size
        after.update(from: after - size, count: size)
        advance(after, entry * length + token, head)
      }
      for token in tokens.reversed() {
        step(
          back: flowing, through: entry * length + token, head,
          after: states + (token - first + 1) * size)
      }
    }
    target(3)?.advanced(by: item * size).update(from: flowing, count: size)
  }

  /// Fills a state from one of many; zeros where there are none.
  private func set(
    _ state: UnsafeMutablePointer<Double>, _ source: UnsafePointer<Double>?, _ item: Int
  ) {
    if let source {
      state.update(from: source + item * size, count: size)
    } else {
      state.update(repeating: 0, count: size)
    }
  }

  private func rate(_ token: Int, _ head: Int) -> Double {
    input(7).map { $0[token * work.rateWidth + (work.rateWidth == 1 ? 0 : head)] } ?? 1
  }

  /// The state after a token from the one before it.
  private func advance(_ state: UnsafeMutablePointer<Double>, _ token: Int, _ head: Int) {
    let k = key + (token * work.heads + head) * work.keyWidth
    let v = value + (token * work.heads + head) * work.valueWidth
    if let decays = input(6) { work.decay(state, decays + token * work.decayWidth, head) }
    var written = (0..<work.valueWidth).map { v[$0] }
    if work.isCorrected { work.correct(&written, state, k, rate(token, head)) }
    work.take(written, state, k)
  }

  /// From the gradient of the state after a token to that of the one before it, which takes its
  /// place in `flowing`; `after` is followed downwards by the state before the token.
  private func step(
    back flowing: UnsafeMutablePointer<Double>, through token: Int, _ head: Int,
    after: UnsafeMutablePointer<Double>
  ) {
    read(back: flowing, token, head, after)
    // The state as the key finds it.
    let faded = after
    faded.update(from: after - size, count: size)
    if let decays = input(6) { work.decay(faded, decays + token * work.decayWidth, head) }
    let (rows, columns) = (work.keyWidth, work.valueWidth)
    let place = token * work.heads + head
    let (k, v) = (key + place * rows, value + place * columns)
    var error = (0..<columns).map { v[$0] }
    let rate = work.isCorrected ? rate(token, head) : 1
    if work.isCorrected { work.correct(&error, faded, k, 1) }
    var taken = [Double](repeating: 0, count: columns)
    for d in 0..<rows {
      var sum = 0.0
      for m in 0..<columns {
        taken[m] += flowing[d * columns + m] * k[d]
        sum += flowing[d * columns + m] * rate * error[m]
      }
      target(1)?[place * rows + d] = sum
    }
    if work.isCorrected {
      var sum = 0.0
      for m in 0..<columns {
        sum += taken[m] * error[m]
        taken[m] *= rate
      }
      target(5)?[token * work.rateWidth + (work.rateWidth == 1 ? 0 : head)] += sum
      for d in 0..<rows {
        var sum = 0.0
        for m in 0..<columns {
          sum += faded[d * columns + m] * taken[m]
          flowing[d * columns + m] -= k[d] * taken[m]
        }
        target(1)?[place * rows + d] -= sum
      }
    }
    for m in 0..<columns { target(2)?[place * columns + m] = taken[m] }
    guard let decays = input(6) else { return }
    for d in 0..<rows {
      let index = token * work.decayWidth + work.decayPlace(head, d)
      var sum = 0.0
      for m in 0..<columns { sum += flowing[d * columns + m] * faded[d * columns + m] }
      target(4)?[index] += sum
      let factor = decays[index].exponential
      for m in 0..<columns { flowing[d * columns + m] *= factor }
    }
  }

  /// From the outputs of the queries that read a head's state to them and to the state.
  private func read(
    back flowing: UnsafeMutablePointer<Double>, _ token: Int, _ head: Int,
    _ state: UnsafeMutablePointer<Double>
  ) {
    let (rows, columns) = (work.keyWidth, work.valueWidth)
    let scale = Double(work.scale)
    for reader in head * work.queryHeads / work.heads..<(head + 1) * work.queryHeads / work.heads {
      let place = token * work.queryHeads + reader
      let g = arriving + place * columns
      for d in 0..<rows {
        var sum = 0.0
        let factor = scale * query[place * rows + d]
        for m in 0..<columns {
          sum += state[d * columns + m] * g[m]
          flowing[d * columns + m] += factor * g[m]
        }
        target(0)?[place * rows + d] = scale * sum
      }
    }
  }
}
