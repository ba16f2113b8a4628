import Base
import Tensors

extension RecurrentLayer {
  /// The plain loops: one item and one step after the other, every sum in ascending order.
  func reference<T: RecurrentElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    var plan = ScratchPlan()
    var rooms: [Int] = []
    for (index, type) in preparation.inputs.enumerated() {
      guard let type, index != Input.lengths else {
        rooms.append(0)
        continue
      }
      rooms.append(try plan.reserve(type, as: T.self))
    }
    var outputRooms: [Int] = []
    for type in preparation.outputs { outputRooms.append(try plan.reserve(type, as: T.self)) }
    return PreparedKernel(scratchByteCount: plan.byteCount) {
      [rooms, outputRooms] (run) throws(StackLensError) in
      let lengths = try lengths(run.inputs)
      func values(_ index: Int) -> UnsafePointer<T>? {
        guard index < run.inputs.count, let tensor = run.inputs[index] else { return nil }
        return T.load(tensor, run.scratch + rooms[index])
      }
      let outputs = run.outputs.indices.map {
        T.target(run.outputs[$0], run.scratch + outputRooms[$0])
      }
      guard let x = values(Input.x), let w = values(Input.w), let r = values(Input.r) else {
        throw .invalidArgument("inputs X, W and R are needed")
      }
      let walk = ReferenceWalk(
        layer: self, x: x, w: w, r: r, b: values(Input.b), p: values(Input.p))
      let (h, c) = (values(Input.h), values(Input.c))
      run.parallel.forEach(directions * batch) { index in
        let (direction, item) = (index / batch, index % batch)
        walk.run(
          direction, item, length: lengths[item], h: h, c: c, y: outputs[0], yh: outputs[1],
          yc: cell == .lstm ? outputs[2] : nil, kept: keepsSteps ? outputs.last : nil)
      }
      for (index, output) in run.outputs.enumerated() { T.store(outputs[index], output) }
    }
  }
}

/// One item's way through the steps in one direction.
private struct ReferenceWalk<T: RecurrentElement> {
  let layer: RecurrentLayer
  let x: UnsafePointer<T>
  let w: UnsafePointer<T>
  let r: UnsafePointer<T>
  let b: UnsafePointer<T>?
  let p: UnsafePointer<T>?

  func run(
    _ direction: Int, _ item: Int, length: Int, h: UnsafePointer<T>?, c: UnsafePointer<T>?,
    y: UnsafeMutablePointer<T>, yh: UnsafeMutablePointer<T>, yc: UnsafeMutablePointer<T>?,
    kept: UnsafeMutablePointer<T>?
  ) {
    let size = layer.hiddenSize
    let offset = layer.stateOffset(direction: direction, item: item)
    var hidden = (0..<size).map { h?[offset + $0] ?? 0 }
    var cell = (0..<size).map { c?[offset + $0] ?? 0 }
    for index in 0..<layer.steps {
      let step = layer.isReversed[direction] ? layer.steps - 1 - index : index
      let target = y + layer.outputOffset(step: step, direction: direction, item: item)
      guard step < length else {
        for j in 0..<size { target[j] = 0 }
        continue
      }
      let row = x + layer.xRow(step: step, item: item) * layer.inputSize
      var gates: [T]
      switch layer.cell {
      case .rnn:
        hidden = rnn(direction, row, hidden)
        gates = hidden
      case .gru: (hidden, gates) = gru(direction, row, hidden)
      case .lstm: gates = lstm(direction, row, &hidden, &cell) + cell
      }
      for j in 0..<size { target[j] = hidden[j] }
      guard let kept else { continue }
      gates += hidden
      let place = kept + layer.keptOffset(step: step, direction: direction, item: item)
      for (j, value) in gates.enumerated() { place[j] = value }
    }
    for j in 0..<size {
      yh[offset + j] = length == 0 ? 0 : hidden[j]
      if let yc { yc[offset + j] = length == 0 ? 0 : cell[j] }
    }
  }

  /// x W of one gate's unit, without the bias.
  private func inputSum(_ direction: Int, _ column: Int, _ row: UnsafePointer<T>) -> T {
    let weights = w + (direction * layer.gateColumns + column) * layer.inputSize
    var sum: T = 0
    for k in 0..<layer.inputSize { sum += row[k] * weights[k] }
    return sum
  }

  private func hiddenSum(_ direction: Int, _ column: Int, _ hidden: [T]) -> T {
    let weights = r + (direction * layer.gateColumns + column) * layer.hiddenSize
    var sum: T = 0
    for k in 0..<layer.hiddenSize { sum += hidden[k] * weights[k] }
    return sum
  }

  private func inputBias(_ direction: Int, _ column: Int) -> T {
    b?[direction * 2 * layer.gateColumns + column] ?? 0
  }

  private func hiddenBias(_ direction: Int, _ column: Int) -> T {
    b?[(direction * 2 + 1) * layer.gateColumns + column] ?? 0
  }

  private func clipped(_ value: T) -> T {
    if layer.clip == .infinity { return value }
    let bound = T(layer.clip)
    return value < -bound ? -bound : value > bound ? bound : value
  }

  private func gate(_ direction: Int, _ column: Int, _ row: UnsafePointer<T>, _ hidden: [T]) -> T {
    inputSum(direction, column, row) + hiddenSum(direction, column, hidden)
      + (inputBias(direction, column) + hiddenBias(direction, column))
  }

  private func rnn(_ direction: Int, _ row: UnsafePointer<T>, _ hidden: [T]) -> [T] {
    let f = layer.activations[direction][0]
    return hidden.indices.map { f(clipped(gate(direction, $0, row, hidden))) }
  }

  /// The next state; and the gates and what the reset gate meets.
  private func gru(
    _ direction: Int, _ row: UnsafePointer<T>, _ hidden: [T]
  ) -> (hidden: [T], gates: [T]) {
    let size = layer.hiddenSize
    let (f, g) = (layer.activations[direction][0], layer.activations[direction][1])
    let update = (0..<size).map { f(clipped(gate(direction, $0, row, hidden))) }
    let reset = (0..<size).map { f(clipped(gate(direction, size + $0, row, hidden))) }
    let kept = zip(reset, hidden).map { $0 * $1 }
    var (next, candidates, met) = (hidden, hidden, kept)
    for j in 0..<size {
      let column = 2 * size + j
      var sum = inputSum(direction, column, row) + inputBias(direction, column)
      if layer.appliesLinearBeforeReset {
        met[j] = hiddenSum(direction, column, hidden) + hiddenBias(direction, column)
        sum += reset[j] * met[j]
      } else {
        sum += hiddenSum(direction, column, kept) + hiddenBias(direction, column)
      }
      candidates[j] = g(clipped(sum))
      next[j] = (1 - update[j]) * candidates[j] + update[j] * hidden[j]
    }
    return (next, update + reset + candidates + met)
  }

  /// Moves the states on; returns the gates.
  private func lstm(
    _ direction: Int, _ row: UnsafePointer<T>, _ hidden: inout [T], _ cell: inout [T]
  ) -> [T] {
    let size = layer.hiddenSize
    let (f, g, h) = (
      layer.activations[direction][0], layer.activations[direction][1],
      layer.activations[direction][2]
    )
    func peephole(_ gate: Int, _ j: Int) -> T { p?[(direction * 3 + gate) * size + j] ?? 0 }
    let previous = hidden
    var gates = [T](repeating: 0, count: 4 * size)
    for j in 0..<size {
      let old = cell[j]
      let input = f(clipped(gate(direction, j, row, previous) + peephole(0, j) * old))
      let forget =
        layer.couplesForgetToInput
        ? 1 - input
        : f(clipped(gate(direction, 2 * size + j, row, previous) + peephole(2, j) * old))
      let candidate = g(clipped(gate(direction, 3 * size + j, row, previous)))
      cell[j] = forget * old + input * candidate
      let output = f(
        clipped(gate(direction, size + j, row, previous) + peephole(1, j) * cell[j]))
      hidden[j] = output * h(cell[j])
      gates[j] = input
      gates[size + j] = output
      gates[2 * size + j] = forget
      gates[3 * size + j] = candidate
    }
    return gates
  }
}
