import Base
import CKernels

/// A group of items on its way through a block of steps in one direction.
struct PackedWalk {
  let layer: RecurrentLayer
  let direction: Int
  let lengths: [Int]
  /// Sums of the input, `[steps, batch, columns]`, or `[batch, steps, columns]` when the batch
  /// comes first; steps ascend in both directions.
  let projection: UnsafePointer<Float>
  let weights: UnsafeRawPointer
  let candidateWeights: UnsafeRawPointer
  let candidateBias: UnsafePointer<Float>
  let peepholes: UnsafePointer<Float>?
  /// The states, the gates and a spare row of every item.
  let hidden: UnsafeMutablePointer<Float>
  let cell: UnsafeMutablePointer<Float>
  let gates: UnsafeMutablePointer<Float>
  let spare: UnsafeMutablePointer<Float>
  let y: UnsafeMutablePointer<Float>?
  /// What gradients need of every step.
  let kept: UnsafeMutablePointer<Float>?
  /// What the product of a step is cut for, where this group is the only one.
  let parallel: Parallel

  func run(_ block: Range<Int>, items: Range<Int>) {
    let size = layer.hiddenSize
    let isReversed = layer.isReversed[direction]
    for index in 0..<block.count {
      let place = isReversed ? block.count - 1 - index : index
      let step =
        isReversed
        ? layer.steps - 1 - (block.lowerBound + index) : block.lowerBound + index
      let first = layer.isBatchFirst ? place : place * layer.batch
      let rowStride = layer.isBatchFirst ? block.count : 1
      let sums = projection + first * layer.gateColumns
      let active = items.filter { step < lengths[$0] }
      if !active.isEmpty {
        multiply(sums, rowStride: rowStride * layer.gateColumns, items)
        for item in active {
          let row = sums + item * rowStride * layer.gateColumns
          switch layer.cell {
          case .rnn: rnn(item)
          case .gru: gru(item, row)
          case .lstm: lstm(item)
          }
        }
        if layer.cell == .gru, !layer.appliesLinearBeforeReset {
          resetCandidates(sums, rowStride: rowStride * layer.gateColumns, items, active)
        }
        if let kept { for item in active { keep(item, step, kept) } }
      }
      guard let y else { continue }
      for item in items {
        let target = y + layer.outputOffset(step: step, direction: direction, item: item)
        if step < lengths[item] {
          target.update(from: hidden + item * size, count: size)
        } else {
          target.update(repeating: 0, count: size)
        }
      }
    }
  }

  private func keep(_ item: Int, _ step: Int, _ kept: UnsafeMutablePointer<Float>) {
    let (size, columns) = (layer.hiddenSize, layer.gateColumns)
    var target = kept + layer.keptOffset(step: step, direction: direction, item: item)
    target.update(from: gates + item * columns, count: columns)
    target += columns
    if layer.cell != .rnn {
      target.update(from: (layer.cell == .gru ? spare : cell) + item * size, count: size)
      target += size
    }
    target.update(from: hidden + item * size, count: size)
  }

  /// gates = h R + sums; for GRU z and r only, and h's part apart where the reset comes after it.
  private func multiply(_ sums: UnsafePointer<Float>, rowStride: Int, _ items: Range<Int>) {
    let (size, columns) = (layer.hiddenSize, layer.gateColumns)
    var epilogue = slk_epilogue_none()
    epilogue.residual = sums
    epilogue.residual_row_stride = rowStride
    epilogue.residual_column_stride = 1
    let used = layer.cell == .gru ? 2 * size : columns
    let panels = slk_gemm_f32_panel_count(used)
    let parts = min(parallel.threadCount, panels)
    withUnsafePointer(to: &epilogue) { epilogue in
      parallel.forEach(parts) { part in
        slk_gemm_f32(
          size, used, hidden, size, weights, gates, columns, epilogue, items.lowerBound,
          items.upperBound, panels * part / parts, panels * (part + 1) / parts)
      }
    }
    guard layer.cell == .gru, layer.appliesLinearBeforeReset else { return }
    var inner = slk_epilogue_none()
    inner.bias = candidateBias
    slk_gemm_f32(
      size, size, hidden, size, candidateWeights, gates + 2 * size, columns, &inner,
      items.lowerBound, items.upperBound, 0, slk_gemm_f32_panel_count(size))
  }

  private func clip(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
    guard layer.clip < .infinity else { return }
    slk_unary_f32(Int32(SLK_UNARY_CLIP.rawValue), x, x, count, -layer.clip, layer.clip)
  }

  private func rnn(_ item: Int) {
    let size = layer.hiddenSize
    let gate = gates + item * size
    clip(gate, size)
    layer.activations[direction][0].apply(gate, count: size)
    (hidden + item * size).update(from: gate, count: size)
  }

  private func gru(_ item: Int, _ sums: UnsafePointer<Float>) {
    let size = layer.hiddenSize
    let gate = gates + item * layer.gateColumns
    let state = hidden + item * size
    clip(gate, 2 * size)
    layer.activations[direction][0].apply(gate, count: 2 * size)
    let (update, reset, candidate) = (gate, gate + size, gate + 2 * size)
    if layer.appliesLinearBeforeReset {
      if kept != nil { (spare + item * size).update(from: candidate, count: size) }
      for j in 0..<size { candidate[j] = sums[2 * size + j] + reset[j] * candidate[j] }
      clip(candidate, size)
      layer.activations[direction][1].apply(candidate, count: size)
      for j in 0..<size { state[j] = (1 - update[j]) * candidate[j] + update[j] * state[j] }
    } else {
      let kept = spare + item * size
      for j in 0..<size { kept[j] = reset[j] * state[j] }
    }
  }

  /// The candidates of a GRU whose reset gate acts before the product.
  private func resetCandidates(
    _ sums: UnsafePointer<Float>, rowStride: Int, _ items: Range<Int>, _ active: [Int]
  ) {
    let (size, columns) = (layer.hiddenSize, layer.gateColumns)
    var epilogue = slk_epilogue_none()
    epilogue.residual = sums + 2 * size
    epilogue.residual_row_stride = rowStride
    epilogue.residual_column_stride = 1
    slk_gemm_f32(
      size, size, spare, size, candidateWeights, gates + 2 * size, columns, &epilogue,
      items.lowerBound, items.upperBound, 0, slk_gemm_f32_panel_count(size))
    for item in active {
      let update = gates + item * columns
      let candidate = update + 2 * size
      let state = hidden + item * size
      clip(candidate, size)
      layer.activations[direction][1].apply(candidate, count: size)
      for j in 0..<size { state[j] = (1 - update[j]) * candidate[j] + update[j] * state[j] }
    }
  }

  private func lstm(_ item: Int) {
    let size = layer.hiddenSize
    let functions = layer.activations[direction]
    let gate = gates + item * layer.gateColumns
    let (input, output, forget, candidate) = (gate, gate + size, gate + 2 * size, gate + 3 * size)
    let (state, memory) = (hidden + item * size, cell + item * size)
    if let peepholes {
      for j in 0..<size {
        input[j] += peepholes[j] * memory[j]
        forget[j] += peepholes[2 * size + j] * memory[j]
      }
      clip(input, size)
      functions[0].apply(input, count: size)
      clip(forget, 2 * size)
      functions[0].apply(forget, count: size)
    } else {
      clip(gate, 4 * size)
      functions[0].apply(gate, count: 3 * size)
    }
    functions[1].apply(candidate, count: size)
    if layer.couplesForgetToInput { for j in 0..<size { forget[j] = 1 - input[j] } }
    for j in 0..<size {
      memory[j] = forget[j] * memory[j] + input[j] * candidate[j]
      state[j] = memory[j]
    }
    if let peepholes {
      for j in 0..<size { output[j] += peepholes[size + j] * memory[j] }
      clip(output, size)
      functions[0].apply(output, count: size)
    }
    functions[2].apply(state, count: size)
    for j in 0..<size { state[j] *= output[j] }
  }
}
