import Base

/// A group of items on its way back through all steps in one direction.
struct BackwardWalk<T: BackwardElement> {
  let layer: RecurrentLayer
  let direction: Int
  let lengths: [Int]
  /// Steps of an item, counted from the last that it takes, that gradients flow back through.
  let reach: Int
  let kept: UnsafePointer<T>
  let initial: UnsafePointer<T>?
  let initialCell: UnsafePointer<T>?
  let peepholes: UnsafePointer<T>?
  /// The gradient of Y.
  let arriving: UnsafePointer<T>?
  let weights: UnsafeRawPointer
  let candidateWeights: UnsafeRawPointer
  /// Rows in the order of X, `sumsStride` apart.
  let sums: UnsafeMutablePointer<T>
  let inner: UnsafeMutablePointer<T>
  let before: UnsafeMutablePointer<T>
  let met: UnsafeMutablePointer<T>
  /// The gradients of the states of every item, and a spare row.
  let hidden: UnsafeMutablePointer<T>
  let cell: UnsafeMutablePointer<T>
  let spare: UnsafeMutablePointer<T>
  /// Whether anybody asks what flows to the states before the first step.
  let wantsInitial: Bool

  private var sumsStride: Int { layer.directions * columns }
  private var size: Int { layer.hiddenSize }
  private var columns: Int { layer.gateColumns }
  private var resetsAfter: Bool { layer.appliesLinearBeforeReset }

  func run(items: Range<Int>) {
    // Without items the steps may be any number.
    guard !items.isEmpty else { return }
    let limits = layer.activations[direction].map { T.limits(of: $0, clip: layer.clip) }
    let isUsual =
      layer.cell == .lstm && layer.clip == .infinity && peepholes == nil
      && !layer.couplesForgetToInput
      && layer.activations[direction].map(\.function) == [.sigmoid, .tanh, .tanh]
    for index in (0..<layer.steps).reversed() {
      let step = layer.isReversed[direction] ? layer.steps - 1 - index : index
      var isReached = false
      for item in items {
        let row = layer.xRow(step: step, item: item)
        guard step < lengths[item] else {
          clear(row)
          continue
        }
        let dh = hidden + item * size
        let behind = layer.isReversed[direction] ? step : lengths[item] - 1 - step
        guard behind < reach else {
          clear(row)
          dh.update(repeating: 0, count: size)
          (cell + item * size).update(repeating: 0, count: size)
          continue
        }
        isReached = true
        if let arriving {
          let offset = layer.outputOffset(step: step, direction: direction, item: item)
          for j in 0..<size { dh[j] += arriving[offset + j] }
        }
        let gates = kept + layer.keptOffset(step: step, direction: direction, item: item)
        let state = layer.hiddenBefore(step, direction, item, lengths[item], kept, initial)
        if let state {
          (before + row * size).update(from: state, count: size)
        } else {
          (before + row * size).update(repeating: 0, count: size)
        }
        switch layer.cell {
        case .rnn:
          let f = layer.activations[direction][0]
          for j in 0..<size {
            sums[row * sumsStride + j] = dh[j] * slope(f, gates[j], limits[0])
            dh[j] = 0
          }
        case .gru: gru(row, dh, gates, limits)
        case .lstm:
          let own = LSTMRow(
            gates: gates, cell: gates + columns,
            previous: layer.cellBefore(step, direction, item, lengths[item], kept, initialCell),
            dh: UnsafePointer(dh), dc: cell + item * size, sums: sums + row * sumsStride)
          if !isUsual || !T.usualLSTM(own, size) { lstm(own, limits) }
          dh.update(repeating: 0, count: size)
        }
      }
      let feedsReset = layer.cell == .gru && !resetsAfter
      // Where no item takes the step, or what flows back ends before it, there is nothing to multiply.
      if isReached, index > 0 || wantsInitial || feedsReset { multiply(step, items, limits) }
    }
  }

  /// A step that an item does not have.
  private func clear(_ row: Int) {
    (sums + row * sumsStride).update(repeating: 0, count: columns)
    (before + row * size).update(repeating: 0, count: size)
    guard layer.cell == .gru else { return }
    ((resetsAfter ? inner : met) + row * size).update(repeating: 0, count: size)
  }

  /// What flows through the recurrent weights to the state before; nothing to items without the
  /// step, whose sums are zero.
  private func multiply(_ step: Int, _ items: Range<Int>, _ limits: [(T, T)]) {
    let (first, count) = (layer.xRow(step: step, item: items.lowerBound), items.count)
    let stride = layer.isBatchFirst ? layer.steps : 1
    let own = sums + first * sumsStride
    let dh = hidden + items.lowerBound * size
    func add(
      _ a: UnsafePointer<T>, _ width: Int, _ lda: Int, _ weights: UnsafeRawPointer,
      to target: UnsafeMutablePointer<T>, accumulates: Bool = true
    ) {
      T.multiply(
        count, size, width, a, lda, weights, target, size, accumulates: accumulates, .serial)
    }
    guard layer.cell == .gru else {
      return add(own, columns, stride * sumsStride, weights, to: dh)
    }
    if resetsAfter {
      add(inner + first * size, size, stride * size, candidateWeights, to: dh)
    } else {
      // Through the product of the candidates to r h, then apart.
      let flowing = spare + items.lowerBound * size
      add(
        own + 2 * size, size, stride * sumsStride, candidateWeights, to: flowing,
        accumulates: false)
      for item in items where step < lengths[item] {
        reset(step, item, limits[0])
      }
    }
    add(own, 2 * size, stride * sumsStride, weights, to: dh)
  }

  /// The gradient of r h of a GRU goes to r and to h.
  private func reset(_ step: Int, _ item: Int, _ limits: (T, T)) {
    let f = layer.activations[direction][0]
    let row = layer.xRow(step: step, item: item)
    let r = kept + layer.keptOffset(step: step, direction: direction, item: item) + size
    let (flowing, dh) = (spare + item * size, hidden + item * size)
    for j in 0..<size {
      sums[row * sumsStride + size + j] =
        flowing[j] * before[row * size + j] * slope(f, r[j], limits)
      dh[j] += flowing[j] * r[j]
    }
  }

  private func gru(
    _ row: Int, _ dh: UnsafeMutablePointer<T>, _ gates: UnsafePointer<T>, _ limits: [(T, T)]
  ) {
    let (f, g) = (layer.activations[direction][0], layer.activations[direction][1])
    let (z, r, n, q) = (gates, gates + size, gates + 2 * size, gates + 3 * size)
    let (own, state) = (sums + row * sumsStride, before + row * size)
    for j in 0..<size {
      own[j] = dh[j] * (state[j] - n[j]) * slope(f, z[j], limits[0])
      let candidate = dh[j] * (1 - z[j]) * slope(g, n[j], limits[1])
      own[2 * size + j] = candidate
      dh[j] *= z[j]
      if resetsAfter {
        inner[row * size + j] = candidate * r[j]
        own[size + j] = candidate * q[j] * slope(f, r[j], limits[0])
      } else {
        met[row * size + j] = q[j]
        own[size + j] = 0
      }
    }
  }

  private func lstm(_ row: LSTMRow<T>, _ limits: [(T, T)]) {
    let functions = layer.activations[direction]
    let (f, g, h) = (functions[0], functions[1], functions[2])
    let (i, o) = (row.gates, row.gates + size)
    let (forget, candidate) = (row.gates + 2 * size, row.gates + 3 * size)
    func peephole(_ gate: Int, _ j: Int) -> T { peepholes?[gate * size + j] ?? 0 }
    for j in 0..<size {
      let shown = h(row.cell[j])
      let output = row.dh[j] * shown * slope(f, o[j], limits[0])
      let flowing = row.dc[j] + row.dh[j] * o[j] * h.slope(at: shown) + output * peephole(1, j)
      let old = row.previous?[j] ?? 0
      let isCoupled = layer.couplesForgetToInput
      let met = isCoupled ? candidate[j] - old : candidate[j]
      let input = flowing * met * slope(f, i[j], limits[0])
      let kept = isCoupled ? 0 : flowing * old * slope(f, forget[j], limits[0])
      row.sums[j] = input
      row.sums[size + j] = output
      row.sums[2 * size + j] = kept
      row.sums[3 * size + j] = flowing * i[j] * slope(g, candidate[j], limits[1])
      row.dc[j] = flowing * forget[j] + input * peephole(0, j) + kept * peephole(2, j)
    }
  }

  /// Nothing flows where the sum was clipped: there the value is one of the two limits.
  private func slope(_ f: RecurrentActivation, _ y: T, _ limits: (T, T)) -> T {
    layer.clip < .infinity && (y == limits.0 || y == limits.1) ? 0 : f.slope(at: y)
  }
}

extension BackwardElement {
  /// The values of an activation at both bounds of its argument, as the forward pass finds them.
  static func limits(of activation: RecurrentActivation, clip: Float) -> (Self, Self) {
    guard clip < .infinity else { return (0, 0) }
    if Self.self == Float.self {
      var ends = [-clip, clip]
      ends.withUnsafeMutableBufferPointer { ends in
        if let base = ends.baseAddress { activation.apply(base, count: 2) }
      }
      return (Self(ends[0]), Self(ends[1]))
    }
    return (activation(Self(-clip)), activation(Self(clip)))
  }
}
