import Base
import CKernels
import Graphs
import Tensors

/// Back-propagation through time. Groups of items walk back through the steps, each with a small
/// product a step; what flows to the weights is one product over all steps at the end.
struct RecurrentBackward<T: BackwardElement>: Sendable {
  private typealias Input = RecurrentLayer.Input
  private typealias Backward = RecurrentLayer.Backward

  private let layer: RecurrentLayer
  private let wantsOutput: [Bool]
  private let itemGroup: Int
  private let room: Room
  private let ownBytes: Int

  /// Offsets of the parts of the work space.
  private struct Room {
    /// Gradients of the gates' sums, in the order of the rows of X.
    var sums = 0
    /// The same of GRU's candidates where the reset gate comes after their product.
    var inner = 0
    /// States before each step, and what a GRU's reset gate met.
    var before = 0
    var met = 0
    var turned = 0
    var hidden = 0
    var cell = 0
    var spare = 0
    var recurrent = 0
    var operand = 0
  }

  init(_ layer: RecurrentLayer, _ preparation: Preparation) throws(StackLensError) {
    guard layer.clip == .infinity || !layer.elementType.isHalf else {
      throw .unsupported("the gradient of a clipped recurrent layer in 16 bits")
    }
    self.layer = layer
    wantsOutput = (0..<7).map {
      $0 < preparation.node.outputs.count && !preparation.node.outputs[$0].isEmpty
    }
    let groups = max(1, (preparation.threadCount + layer.directions - 1) / layer.directions)
    itemGroup = max(1, (layer.batch + groups - 1) / groups)
    let (columns, size) = (layer.gateColumns, layer.hiddenSize)
    let rows = try Shape([layer.steps, layer.batch]).count
    let (all, states) = (layer.directions * rows, layer.directions * layer.batch * size)
    let isGRU = layer.cell == .gru
    let resetsAfter = isGRU && layer.appliesLinearBeforeReset
    var plan = ScratchPlan()
    room = Room(
      sums: try plan.reserve(try Shape([all, columns]).count, of: T.self),
      inner: try plan.reserve(resetsAfter ? all * size : 0, of: T.self),
      before: try plan.reserve(all * size, of: T.self),
      met: try plan.reserve(isGRU && !resetsAfter ? all * size : 0, of: T.self),
      turned: try plan.reserve(try Shape([columns, rows]).count, of: T.self),
      hidden: try plan.reserve(states, of: T.self), cell: try plan.reserve(states, of: T.self),
      spare: try plan.reserve(states, of: T.self),
      recurrent: try plan.reserve(
        layer.directions * (try Self.recurrentBytes(layer)), of: UInt8.self),
      operand: try plan.reserve(
        max(
          try T.packedByteCount(columns, layer.inputSize),
          try T.packedByteCount(rows, max(layer.inputSize, size))), of: UInt8.self))
    ownBytes = plan.byteCount
  }

  /// Recurrent weights of one direction; a GRU's gates and candidates are packed apart.
  private static func recurrentBytes(_ layer: RecurrentLayer) throws(StackLensError) -> Int {
    let size = layer.hiddenSize
    let parts =
      layer.cell == .gru
      ? try T.packedByteCount(2 * size, size) + (try T.packedByteCount(size, size)) + 128
      : try T.packedByteCount(layer.gateColumns, size)
    return (parts + 63) & ~63
  }

  func prepared(_ preparation: Preparation) throws(StackLensError) -> PreparedKernel {
    let recurrentBytes = try Self.recurrentBytes(layer)
    let gateBytes =
      layer.cell == .gru
      ? (try T.packedByteCount(2 * layer.hiddenSize, layer.hiddenSize) + 63) & ~63 : 0
    return try wideKernel(T.self, preparation, scratch: ownBytes) {
      (wide) throws(StackLensError) in
      let lengths = try layer.lengths(Array(wide.run.inputs.prefix(8)))
      try run(wide, lengths, recurrentBytes, gateBytes)
    }
  }

  private func run(
    _ wide: WideRun<T>, _ lengths: [Int], _ recurrentBytes: Int, _ gateBytes: Int
  ) throws(StackLensError) {
    let parallel = wide.run.parallel
    let (columns, size, rows) = (layer.gateColumns, layer.hiddenSize, layer.steps * layer.batch)
    func part(_ offset: Int) -> UnsafeMutablePointer<T> {
      (wide.scratch + offset).assumingMemoryBound(to: T.self)
    }
    func optional(_ index: Int) -> UnsafePointer<T>? {
      index < wide.inputs.count ? wide.inputs[index] : nil
    }
    let (x, w, r) = (try wide.input(Input.x), try wide.input(Input.w), try wide.input(Input.r))
    let kept = try wide.input(Backward.kept)
    load(optional(Backward.h), lengths, part(room.hidden))
    load(optional(Backward.c), lengths, part(room.cell))
    let groups = max(1, (layer.batch + itemGroup - 1) / itemGroup)
    let packed = wide.scratch + room.recurrent
    for direction in 0..<layer.directions {
      let source = r + direction * columns * size
      let place = packed + direction * recurrentBytes
      if layer.cell == .gru {
        T.pack(source, 2 * size, size, place, parallel)
        T.pack(source + 2 * size * size, size, size, place + gateBytes, parallel)
      } else {
        T.pack(source, columns, size, place, parallel)
      }
    }
    parallel.forEach(layer.directions * groups) { index in
      let (direction, group) = (index / groups, index % groups)
      let (start, states) = (direction * rows, direction * layer.batch * size)
      let walk = BackwardWalk(
        layer: layer, direction: direction, lengths: lengths, kept: kept,
        initial: optional(Input.h), initialCell: optional(Input.c),
        peepholes: optional(Input.p).map { $0 + direction * 3 * size },
        arriving: optional(Backward.y), weights: packed + direction * recurrentBytes,
        candidateWeights: packed + direction * recurrentBytes + gateBytes,
        sums: part(room.sums) + start * columns, inner: part(room.inner) + start * size,
        before: part(room.before) + start * size, met: part(room.met) + start * size,
        hidden: part(room.hidden) + states, cell: part(room.cell) + states,
        spare: part(room.spare) + states)
      walk.run(items: group * itemGroup..<min(layer.batch, (group + 1) * itemGroup))
    }
    for direction in 0..<layer.directions {
      weights(direction, x, w, wide, part)
    }
    parallel.forEach(layer.directions) { direction in
      biases(direction, part, wide.outputs[3])
      if let c = layer.cell == .lstm && optional(Input.p) != nil ? kept : nil {
        peepholes(direction, lengths, c, optional(Input.c), part(room.sums), wide.outputs[6])
      }
    }
    store(part(room.hidden), lengths, wide.outputs[4])
    store(part(room.cell), lengths, wide.outputs[5])
    if optional(Input.p) == nil {
      wide.outputs[6].update(repeating: 0, count: layer.directions * 3 * size)
    }
  }

  /// What arrives at the last states; zeros where nothing does, and for items without steps.
  private func load(
    _ source: UnsafePointer<T>?, _ lengths: [Int], _ target: UnsafeMutablePointer<T>
  ) {
    let size = layer.hiddenSize
    for direction in 0..<layer.directions {
      for item in 0..<layer.batch {
        let row = target + (direction * layer.batch + item) * size
        if let source, lengths[item] > 0 {
          row.update(
            from: source + layer.stateOffset(direction: direction, item: item), count: size)
        } else {
          row.update(repeating: 0, count: size)
        }
      }
    }
  }

  private func store(
    _ source: UnsafePointer<T>, _ lengths: [Int], _ target: UnsafeMutablePointer<T>
  ) {
    let size = layer.hiddenSize
    for direction in 0..<layer.directions {
      for item in 0..<layer.batch {
        (target + layer.stateOffset(direction: direction, item: item)).update(
          from: source + (direction * layer.batch + item) * size, count: size)
      }
    }
  }

  /// The gradients of X, W and R: products over all steps.
  private func weights(
    _ direction: Int, _ x: UnsafePointer<T>, _ w: UnsafePointer<T>, _ wide: WideRun<T>,
    _ part: (Int) -> UnsafeMutablePointer<T>
  ) {
    let (columns, size, inputs) = (layer.gateColumns, layer.hiddenSize, layer.inputSize)
    let rows = layer.steps * layer.batch
    let parallel = wide.run.parallel
    let sums = part(room.sums) + direction * rows * columns
    let before = part(room.before) + direction * rows * size
    let operand = wide.scratch + room.operand
    if wantsOutput[0] {
      T.pack(w + direction * columns * inputs, columns, inputs, operand, parallel)
      T.multiply(
        rows, inputs, columns, sums, columns, operand, wide.outputs[0], inputs,
        accumulates: direction > 0, parallel)
    }
    guard wantsOutput[1] || wantsOutput[2] else { return }
    let turned = part(room.turned)
    turn(sums, columns, turned, parallel)
    if wantsOutput[1] {
      T.pack(x, rows, inputs, operand, parallel)
      T.multiply(
        columns, inputs, rows, turned, rows, operand,
        wide.outputs[1] + direction * columns * inputs, inputs, accumulates: false, parallel)
    }
    guard wantsOutput[2] else { return }
    let target = wide.outputs[2] + direction * columns * size
    T.pack(before, rows, size, operand, parallel)
    let shared = layer.cell == .gru ? 2 * size : columns
    T.multiply(
      shared, size, rows, turned, rows, operand, target, size, accumulates: false, parallel)
    guard layer.cell == .gru else { return }
    if layer.appliesLinearBeforeReset {
      turn(part(room.inner) + direction * rows * size, size, turned + shared * rows, parallel)
    } else {
      T.pack(part(room.met) + direction * rows * size, rows, size, operand, parallel)
    }
    T.multiply(
      size, size, rows, turned + shared * rows, rows, operand, target + shared * size, size,
      accumulates: false, parallel)
  }

  /// Rows as columns.
  private func turn(
    _ source: UnsafePointer<T>, _ columns: Int, _ target: UnsafeMutablePointer<T>,
    _ parallel: Parallel
  ) {
    let rows = layer.steps * layer.batch
    parallel.ranges(columns, grain: max(16, cheapGrain / max(1, rows))) { range in
      slk_transpose(
        source + range.lowerBound, columns, target + range.lowerBound * rows, rows, rows,
        range.count, MemoryLayout<T>.stride)
    }
  }

  private func biases(
    _ direction: Int, _ part: (Int) -> UnsafeMutablePointer<T>, _ target: UnsafeMutablePointer<T>
  ) {
    let (columns, size, rows) = (layer.gateColumns, layer.hiddenSize, layer.steps * layer.batch)
    let own = target + direction * 2 * columns
    own.update(repeating: 0, count: columns)
    T.addRows(part(room.sums) + direction * rows * columns, rows, columns, own)
    (own + columns).update(from: own, count: columns)
    guard layer.cell == .gru, layer.appliesLinearBeforeReset else { return }
    (own + columns + 2 * size).update(repeating: 0, count: size)
    T.addRows(
      part(room.inner) + direction * rows * size, rows, size, own + columns + 2 * size)
  }

  /// Peepholes i and f see the cell state before a step, o the one after it.
  private func peepholes(
    _ direction: Int, _ lengths: [Int], _ kept: UnsafePointer<T>, _ initial: UnsafePointer<T>?,
    _ allSums: UnsafePointer<T>, _ target: UnsafeMutablePointer<T>
  ) {
    let (columns, size) = (layer.gateColumns, layer.hiddenSize)
    let own = target + direction * 3 * size
    own.update(repeating: 0, count: 3 * size)
    for step in 0..<layer.steps {
      for item in 0..<layer.batch where step < lengths[item] {
        let row = direction * layer.steps * layer.batch + layer.xRow(step: step, item: item)
        let sums = allSums + row * columns
        let after =
          kept + layer.keptOffset(step: step, direction: direction, item: item) + columns
        let before = layer.cellBefore(
          step, direction, item, lengths[item], kept, initial)
        for j in 0..<size {
          if let before {
            own[j] += sums[j] * before[j]
            own[2 * size + j] += sums[2 * size + j] * before[j]
          }
          own[size + j] += sums[size + j] * after[j]
        }
      }
    }
  }
}

extension RecurrentLayer {
  /// The step that an item's state before `step` comes from; nil for its initial state.
  func stepBefore(_ step: Int, _ direction: Int, length: Int) -> Int? {
    if isReversed[direction] { return step + 1 < length ? step + 1 : nil }
    return step > 0 ? step - 1 : nil
  }

  /// The cell state before a step, nil for zeros.
  func cellBefore<T>(
    _ step: Int, _ direction: Int, _ item: Int, _ length: Int, _ kept: UnsafePointer<T>,
    _ initial: UnsafePointer<T>?
  ) -> UnsafePointer<T>? {
    if let previous = stepBefore(step, direction, length: length) {
      return kept + keptOffset(step: previous, direction: direction, item: item) + gateColumns
    }
    return initial.map { $0 + stateOffset(direction: direction, item: item) }
  }

  /// The hidden state before a step, nil for zeros.
  func hiddenBefore<T>(
    _ step: Int, _ direction: Int, _ item: Int, _ length: Int, _ kept: UnsafePointer<T>,
    _ initial: UnsafePointer<T>?
  ) -> UnsafePointer<T>? {
    if let previous = stepBefore(step, direction, length: length) {
      return kept + keptOffset(step: previous, direction: direction, item: item) + keptColumns
        - hiddenSize
    }
    return initial.map { $0 + stateOffset(direction: direction, item: item) }
  }
}
