import Base
import CKernels
import Tensors

/// The float32 recurrence on packed weights. All steps of a block are projected by one product; then
/// groups of items walk the block, each with a small product and vector gates a step. Every row
/// of a product is computed alone, so the result does not depend on how items are grouped.
struct PackedRecurrence: Sendable {
  let layer: RecurrentLayer
  private let inputWeights: Tensor?
  private let hiddenWeights: Tensor?
  private let inputBytes: Int
  /// One direction's recurrent weights: all gates, or for GRU the gates z r and then h.
  private let hiddenBytes: (gates: Int, candidate: Int)
  private let scratchByteCount: Int
  private let room: Room
  /// Steps of one block.
  private let blockSteps: Int
  private let itemGroup: Int
  /// Whether product and gates of a step are one kernel.
  private let isFused: Bool

  /// Offsets of the parts of the work space.
  private struct Room {
    var inputWeights = 0
    var hiddenWeights = 0
    var bias = 0
    var projection = 0
    var hidden = 0
    var cell = 0
    var gates = 0
    var spare = 0
  }

  private typealias Input = RecurrentLayer.Input

  /// Nil for other types than float32.
  init?(_ layer: RecurrentLayer, _ preparation: Preparation) throws(StackLensError) {
    guard layer.elementType == .float32 else { return nil }
    self.layer = layer
    let (columns, size) = (layer.gateColumns, layer.hiddenSize)
    let rows = layer.directions * layer.batch
    inputBytes = try PackedProduct.packedByteCount(layer.inputSize, columns)
    let hasPeepholes = preparation.inputs.count > Input.p && preparation.inputs[Input.p] != nil
    let isFused = FusedWalk.fits(layer, hasPeepholes: hasPeepholes)
    self.isFused = isFused
    if isFused {
      // Overflow would have shown in the shape of R.
      hiddenBytes = (slk_recurrent_packed_bytes(layer.cell.gateCount, size), 0)
    } else if layer.cell == .gru {
      hiddenBytes = (
        try PackedProduct.packedByteCount(size, 2 * size),
        try PackedProduct.packedByteCount(size, size)
      )
    } else {
      hiddenBytes = (try PackedProduct.packedByteCount(size, columns), 0)
    }
    let (inputBytes, hiddenBytes) = (inputBytes, hiddenBytes)
    let parallel = preparation.parallel
    inputWeights = try preparation.packed(
      Input.w, layout: "recurrent input",
      byteCount: try Shape([layer.directions, inputBytes]).count
    ) { Self.packInput(layer, $0.floats, $1, inputBytes, parallel) }
    hiddenWeights = try preparation.packed(
      Input.r, layout: "recurrent hidden \(layer.cell)\(isFused ? " fused" : "")",
      byteCount: try Shape([layer.directions, hiddenBytes.gates + hiddenBytes.candidate]).count
    ) { Self.packHidden(layer, $0.floats, $1, hiddenBytes, isFused, parallel) }

    let stepFloats = max(1, try Shape([rows, columns]).count)
    blockSteps = max(1, min(layer.steps, (1 << 20) / stepFloats))
    let threads = max(1, preparation.threadCount)
    // Few items of a fused layer walk together while the threads share the units.
    let sharesUnits = isFused && layer.directions == 1 && layer.batch < 4 * threads
    let groupsWanted =
      sharesUnits ? 1 : max(1, (threads + layer.directions - 1) / layer.directions)
    itemGroup = max(1, (layer.batch + groupsWanted - 1) / groupsWanted)
    var plan = ScratchPlan()
    var room = Room()
    if inputWeights == nil {
      room.inputWeights = try plan.reserve(layer.directions * inputBytes, of: UInt8.self)
    }
    if hiddenWeights == nil {
      room.hiddenWeights = try plan.reserve(
        layer.directions * (hiddenBytes.gates + hiddenBytes.candidate), of: UInt8.self)
    }
    room.bias = try plan.reserve(layer.directions * (columns + size), of: Float.self)
    room.projection = try plan.reserve(
      try Shape([blockSteps, rows, columns]).count, of: Float.self)
    room.hidden = try plan.reserve(rows * size, of: Float.self)
    room.cell = try plan.reserve(rows * size, of: Float.self)
    room.gates = try plan.reserve(rows * columns, of: Float.self)
    room.spare = try plan.reserve(rows * size, of: Float.self)
    self.room = room
    scratchByteCount = plan.byteCount
  }

  private static func packInput(
    _ layer: RecurrentLayer, _ w: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer,
    _ byteCount: Int, _ parallel: Parallel
  ) {
    let (columns, inner) = (layer.gateColumns, layer.inputSize)
    let panels = slk_gemm_f32_panel_count(columns)
    let cuts = max(1, min(panels, parallel.threadCount))
    parallel.forEach(layer.directions * cuts) { index in
      let (direction, cut) = (index / cuts, index % cuts)
      slk_gemm_f32_pack(
        w + direction * columns * inner, inner, columns, 1, inner, target + direction * byteCount,
        panels * cut / cuts, panels * (cut + 1) / cuts)
    }
  }

  private static func packHidden(
    _ layer: RecurrentLayer, _ r: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer,
    _ byteCount: (gates: Int, candidate: Int), _ isFused: Bool, _ parallel: Parallel
  ) {
    let size = layer.hiddenSize
    let gates = layer.cell == .gru ? 2 * size : layer.gateColumns
    parallel.forEach(layer.directions) { direction in
      let source = r + direction * layer.gateColumns * size
      let place = target + direction * (byteCount.gates + byteCount.candidate)
      if isFused { return slk_recurrent_pack(layer.cell.gateCount, size, source, place) }
      slk_gemm_f32_pack(source, size, gates, 1, size, place, 0, slk_gemm_f32_panel_count(gates))
      if layer.cell == .gru {
        slk_gemm_f32_pack(
          source + gates * size, size, size, 1, size, place + byteCount.gates, 0,
          slk_gemm_f32_panel_count(size))
      }
    }
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: scratchByteCount) { (run) throws(StackLensError) in
      try self.run(run)
    }
  }

  private func floats(_ run: Invocation, _ offset: Int) -> UnsafeMutablePointer<Float> {
    (run.scratch + offset).assumingMemoryBound(to: Float.self)
  }

  private func run(_ run: Invocation) throws(StackLensError) {
    let lengths = try layer.lengths(run.inputs)
    let (x, w, r) = (try run.input(Input.x), try run.input(Input.w), try run.input(Input.r))
    func optional(_ index: Int) -> UnsafePointer<Float>? {
      guard index < run.inputs.count else { return nil }
      return run.inputs[index].map { UnsafePointer($0.floats) }
    }
    if inputWeights == nil {
      Self.packInput(
        layer, w.floats, run.scratch + room.inputWeights, inputBytes, run.parallel)
    }
    if hiddenWeights == nil {
      Self.packHidden(
        layer, r.floats, run.scratch + room.hiddenWeights, hiddenBytes, isFused, run.parallel)
    }
    let inputPacked = inputWeights?.base ?? run.scratch + room.inputWeights
    let hiddenPacked = hiddenWeights?.base ?? run.scratch + room.hiddenWeights
    fillBias(floats(run, room.bias), optional(Input.b))
    let (hidden, cell) = (floats(run, room.hidden), floats(run, room.cell))
    layer.gatherStates(optional(Input.h), lengths, hidden)
    layer.gatherStates(optional(Input.c), lengths, cell)
    let beginsWithZeros =
      isFused && isZero(hidden, count: layer.directions * layer.batch * layer.hiddenSize)
    for first in stride(from: 0, to: layer.steps, by: blockSteps) {
      let block = first..<min(layer.steps, first + blockSteps)
      project(
        x.floats, inputPacked, floats(run, room.bias), floats(run, room.projection), block,
        run.parallel)
      walk(run, block, lengths, hiddenPacked, beginsWithZeros)
    }
    let last = isFused && layer.steps % 2 == 1 ? floats(run, room.spare) : hidden
    layer.scatterStates(last, lengths, run.outputs[1].floats)
    if layer.cell == .lstm { layer.scatterStates(cell, lengths, run.outputs[2].floats) }
  }

  /// All directions and groups of items on their way through the steps of a block.
  private func walk(
    _ run: Invocation, _ block: Range<Int>, _ lengths: [Int], _ hiddenPacked: UnsafeRawPointer,
    _ beginsWithZeros: Bool
  ) {
    let size = layer.hiddenSize
    let groups = (layer.batch + itemGroup - 1) / itemGroup
    func one(_ index: Int, _ parallel: Parallel, _ member: Parallel.Member) {
      let (direction, group) = (index / groups, index % groups)
      let items = group * itemGroup..<min(layer.batch, (group + 1) * itemGroup)
      let (start, columns) = (direction * layer.batch * size, layer.gateColumns)
      let weights = hiddenPacked + direction * (hiddenBytes.gates + hiddenBytes.candidate)
      let projection = floats(run, room.projection) + direction * blockSteps * layer.batch * columns
      let candidateBias =
        floats(run, room.bias) + layer.directions * columns + direction * size
      let (hidden, spare) = (floats(run, room.hidden) + start, floats(run, room.spare) + start)
      let cell = floats(run, room.cell) + start
      let y = layer.wanted[0] ? run.outputs[0].floats : nil
      let kept = layer.keepsSteps ? run.outputs.last?.floats : nil
      if isFused {
        FusedWalk(
          layer: layer, direction: direction, lengths: lengths, projection: projection,
          weights: weights, candidateBias: candidateBias, states: (hidden, spare), cell: cell, y: y,
          kept: kept, beginsWithZeros: beginsWithZeros
        ).run(block, items: items, member)
      } else {
        let peepholes = run.inputs.count > Input.p ? run.inputs[Input.p] : nil
        PackedWalk(
          layer: layer, direction: direction, lengths: lengths, projection: projection,
          weights: weights, candidateWeights: weights + hiddenBytes.gates,
          candidateBias: candidateBias,
          peepholes: peepholes.map { UnsafePointer($0.floats) + direction * 3 * size },
          hidden: hidden, cell: cell,
          gates: floats(run, room.gates) + direction * layer.batch * columns, spare: spare, y: y,
          kept: kept, parallel: parallel
        ).run(block, items: items)
      }
    }
    // One group alone lets the threads share each step, if that is long enough.
    let isShared = layer.directions * groups == 1 && size * layer.gateColumns >= leastShared
    if isShared, isFused {
      run.parallel.together { one(0, .serial, $0) }
    } else if isShared {
      one(0, run.parallel, .alone)
    } else {
      run.parallel.forEach(layer.directions * groups) { one($0, .serial, .alone) }
    }
  }

  /// Weights of a step from which on its threads gain more than they wait for one another.
  private var leastShared: Int { isFused ? 1 << 14 : 1 << 17 }

  /// Everything that is added to the gates whatever the state; after it, the bias inside the
  /// bracket that GRU's reset gate scales.
  private func fillBias(_ target: UnsafeMutablePointer<Float>, _ b: UnsafePointer<Float>?) {
    let (columns, size) = (layer.gateColumns, layer.hiddenSize)
    for direction in 0..<layer.directions {
      let bias = target + direction * columns
      let inner = target + layer.directions * columns + direction * size
      guard let b else {
        bias.update(repeating: 0, count: columns)
        inner.update(repeating: 0, count: size)
        continue
      }
      let source = b + direction * 2 * columns
      for j in 0..<columns { bias[j] = source[j] + source[columns + j] }
      if layer.appliesLinearBeforeReset {
        for j in 0..<size {
          bias[2 * size + j] = source[2 * size + j]
          inner[j] = source[columns + 2 * size + j]
        }
      }
    }
  }

  /// x W + bias for the steps of a block, in the order in which each direction walks them.
  private func project(
    _ x: UnsafePointer<Float>, _ packed: UnsafeMutableRawPointer, _ bias: UnsafePointer<Float>,
    _ target: UnsafeMutablePointer<Float>, _ block: Range<Int>, _ parallel: Parallel
  ) {
    let (columns, inner, batch) = (layer.gateColumns, layer.inputSize, layer.batch)
    let panels = slk_gemm_f32_panel_count(columns)
    // Rows of X that follow one another: all items of all steps, or all steps of one item.
    let runs = layer.isBatchFirst ? batch : 1
    let rows = layer.isBatchFirst ? block.count : block.count * batch
    let tile = slk_gemm_tile_rows()
    let chunk = max(tile, (max(1, (1 << 15) / max(1, inner)) / tile) * tile)
    let chunks = (rows + chunk - 1) / chunk
    let wholes = layer.directions * runs * chunks
    // Few rows give too few parts: then a part has some of the columns.
    let wanted = parallel.threadCount == 1 ? 1 : 4 * parallel.threadCount
    let cuts = max(1, min(panels, (wanted + wholes - 1) / max(1, wholes)))
    parallel.forEach(wholes * cuts) { index in
      let (whole, cut) = (index / cuts, index % cuts)
      let (direction, rest) = (whole / (runs * chunks), whole % (runs * chunks))
      let (item, part) = (rest / chunks, rest % chunks)
      let firstStep =
        layer.isReversed[direction] ? layer.steps - block.upperBound : block.lowerBound
      let source = x + layer.xRow(step: firstStep, item: item) * inner
      let place = target + (direction * blockSteps * batch + item * rows) * columns
      var epilogue = slk_epilogue_none()
      epilogue.bias = bias + direction * columns
      slk_gemm_f32(
        inner, columns, source, inner, packed + direction * inputBytes, place, columns, &epilogue,
        part * chunk, min(rows, (part + 1) * chunk), panels * cut / cuts,
        panels * (cut + 1) / cuts)
    }
  }
}
