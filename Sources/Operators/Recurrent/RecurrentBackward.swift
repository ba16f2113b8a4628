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
  /// Last steps of an item that gradients flow back through.
  private let reach: Int
  private let room: Room
  private let ownBytes: Int

  /// Offsets of the parts of the work space.
  private struct Room {
    /// Gradients of the gates' sums, in the order of the rows of X, all directions side by side: what
    /// flows to X and W is one product each.
    var sums = 0
    /// The same of GRU's candidates where the reset gate comes after their product.
    var inner = 0
    /// States before each step, and what a GRU's reset gate met.
    var before = 0
    var met = 0
    var hidden = 0
    var cell = 0
    var spare = 0
    var recurrent = 0
    var products = 0
  }

  init(_ layer: RecurrentLayer, _ preparation: Preparation) throws(StackLensError) {
    guard layer.clip == .infinity || !layer.elementType.isHalf else {
      throw .unsupported("the gradient of a clipped recurrent layer in 16 bits")
    }
    self.layer = layer
    let steps = try preparation.int("gradient_steps")
    guard steps >= 0 else {
      throw .invalidArgument("attribute 'gradient_steps' is \(steps), expected 0 or more")
    }
    reach = steps == 0 ? .max : steps
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
    var productBytes = 0
    for leavesStepOut in [false, true] {
      for product in try Self.products(layer, leavesStepOut: leavesStepOut).all {
        productBytes = max(
          productBytes, try T.productByteCount(product, threadCount: preparation.threadCount))
      }
    }
    var plan = ScratchPlan()
    room = Room(
      sums: try plan.reserve(try Shape([all, columns]).count, of: T.self),
      inner: try plan.reserve(resetsAfter ? all * size : 0, of: T.self),
      before: try plan.reserve(all * size, of: T.self),
      met: try plan.reserve(isGRU && !resetsAfter ? all * size : 0, of: T.self),
      hidden: try plan.reserve(states, of: T.self), cell: try plan.reserve(states, of: T.self),
      spare: try plan.reserve(states, of: T.self),
      recurrent: try plan.reserve(
        layer.directions * (try Self.recurrentBytes(layer)), of: UInt8.self),
      products: try plan.reserve(productBytes, of: UInt8.self))
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
    layer.gatherStates(optional(Backward.h), lengths, part(room.hidden))
    layer.gatherStates(optional(Backward.c), lengths, part(room.cell))
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
        layer: layer, direction: direction, lengths: lengths, reach: reach, kept: kept,
        initial: optional(Input.h), initialCell: optional(Input.c),
        peepholes: optional(Input.p).map { $0 + direction * 3 * size },
        arriving: optional(Backward.y), weights: packed + direction * recurrentBytes,
        candidateWeights: packed + direction * recurrentBytes + gateBytes,
        sums: part(room.sums) + direction * columns, inner: part(room.inner) + start * size,
        before: part(room.before) + start * size, met: part(room.met) + start * size,
        hidden: part(room.hidden) + states, cell: part(room.cell) + states,
        spare: part(room.spare) + states, wantsInitial: wantsOutput[4])
      walk.run(items: group * itemGroup..<min(layer.batch, (group + 1) * itemGroup))
    }
    try weights(x, w, wide, part)
    // Nothing flows to R from a first step that begins with zeros.
    let states = layer.directions * layer.batch * layer.hiddenSize
    let leavesStepOut =
      !layer.isBatchFirst && lengths.allSatisfy { $0 == layer.steps }
      && (optional(Input.h).map { isZero($0, count: states) } ?? true)
    for direction in 0..<layer.directions where wantsOutput[2] {
      try recurrentWeights(direction, leavesStepOut: leavesStepOut, wide, part)
    }
    parallel.forEach(layer.directions) { direction in
      biases(direction, part, wide.outputs[3])
      if let c = layer.cell == .lstm && optional(Input.p) != nil ? kept : nil {
        peepholes(direction, lengths, c, optional(Input.c), part(room.sums), wide.outputs[6])
      }
    }
    layer.scatterStates(part(room.hidden), lengths, wide.outputs[4])
    layer.scatterStates(part(room.cell), lengths, wide.outputs[5])
    if optional(Input.p) == nil {
      wide.outputs[6].update(repeating: 0, count: layer.directions * 3 * size)
    }
  }

  /// The products over all steps: gradients of X and of W of all directions, and of one direction's R
  /// in one or two parts.
  /// - Parameter leavesStepOut: the sums for R are over all steps but one.
  private static func products(
    _ layer: RecurrentLayer, leavesStepOut: Bool
  ) throws(StackLensError) -> Products {
    let (columns, size, inputs) = (layer.gateColumns, layer.hiddenSize, layer.inputSize)
    let all = try Shape([layer.directions, columns]).count
    let rows = try Shape([layer.steps, layer.batch]).count
    let recurrentRows = leavesStepOut ? max(0, rows - layer.batch) : rows
    /// Rows of a matrix times those of another, summed.
    func turned(_ m: Int, _ stride: Int, by n: Int, _ rows: Int) -> MatrixProduct {
      MatrixProduct(m: m, n: n, k: rows, aRow: 1, aColumn: stride, bRow: n, bColumn: 1)
    }
    let isGRU = layer.cell == .gru
    return Products(
      x: MatrixProduct(
        m: rows, n: inputs, k: all, aRow: all, aColumn: 1, bRow: inputs, bColumn: 1),
      w: turned(all, all, by: inputs, rows),
      r: turned(isGRU ? 2 * size : columns, all, by: size, recurrentRows),
      candidate: turned(
        size, layer.appliesLinearBeforeReset ? size : all, by: size, recurrentRows))
  }

  private struct Products {
    let x: MatrixProduct
    let w: MatrixProduct
    let r: MatrixProduct
    /// That of a GRU's candidates.
    let candidate: MatrixProduct
    var all: [MatrixProduct] { [x, w, r, candidate] }
  }

  private func multiply(
    _ product: MatrixProduct, _ a: UnsafePointer<T>, _ b: UnsafePointer<T>,
    _ c: UnsafeMutablePointer<T>, _ wide: WideRun<T>
  ) throws(StackLensError) {
    try T.product(product, a, b, c, wide.scratch + room.products, wide.run.parallel)
  }

  private func weights(
    _ x: UnsafePointer<T>, _ w: UnsafePointer<T>, _ wide: WideRun<T>,
    _ part: (Int) -> UnsafeMutablePointer<T>
  ) throws(StackLensError) {
    let products = try Self.products(layer, leavesStepOut: false)
    if wantsOutput[0] { try multiply(products.x, part(room.sums), w, wide.outputs[0], wide) }
    if wantsOutput[1] { try multiply(products.w, part(room.sums), x, wide.outputs[1], wide) }
  }

  private func recurrentWeights(
    _ direction: Int, leavesStepOut: Bool, _ wide: WideRun<T>,
    _ part: (Int) -> UnsafeMutablePointer<T>
  ) throws(StackLensError) {
    let (columns, size) = (layer.gateColumns, layer.hiddenSize)
    let rows = layer.steps * layer.batch
    let products = try Self.products(layer, leavesStepOut: leavesStepOut)
    // A direction that walks back begins with the last rows.
    let first = leavesStepOut && !layer.isReversed[direction] ? min(rows, layer.batch) : 0
    let sums = part(room.sums) + first * layer.directions * columns + direction * columns
    let own = (direction * rows + first) * size
    let target = wide.outputs[2] + direction * columns * size
    try multiply(products.r, sums, part(room.before) + own, target, wide)
    guard layer.cell == .gru else { return }
    let candidates = target + 2 * size * size
    if layer.appliesLinearBeforeReset {
      try multiply(
        products.candidate, part(room.inner) + own, part(room.before) + own, candidates, wide)
    } else {
      try multiply(products.candidate, sums + 2 * size, part(room.met) + own, candidates, wide)
    }
  }

  private func biases(
    _ direction: Int, _ part: (Int) -> UnsafeMutablePointer<T>, _ target: UnsafeMutablePointer<T>
  ) {
    let (columns, size, rows) = (layer.gateColumns, layer.hiddenSize, layer.steps * layer.batch)
    let own = target + direction * 2 * columns
    own.update(repeating: 0, count: columns)
    T.addRows(
      part(room.sums) + direction * columns, rows, layer.directions * columns, columns, own)
    (own + columns).update(from: own, count: columns)
    guard layer.cell == .gru, layer.appliesLinearBeforeReset else { return }
    (own + columns + 2 * size).update(repeating: 0, count: size)
    T.addRows(
      part(room.inner) + direction * rows * size, rows, size, size, own + columns + 2 * size)
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
        let row = layer.xRow(step: step, item: item) * layer.directions + direction
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
