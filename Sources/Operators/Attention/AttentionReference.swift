import Base
import Glibc
import Graphs
import Tensors

/// Attention by its formula, in double, with all outputs.
@Sendable func plainAttention(_ preparation: Preparation) throws(StackLensError) -> PreparedKernel {
  let geometry = try AttentionGeometry(preparation, preparation.inputs)
  let rules = try AttentionRules(preparation, headSize: geometry.headSize)
  let maskType = preparation.hasInput(3) ? try preparation.input(3).elementType : .float32
  return try wideKernel(Double.self, preparation, inputs: 6) { (wide) throws(StackLensError) in
    let work = PlainAttention(
      geometry: geometry, rules: rules, isFlag: maskType == .bool,
      counts: try wide.run.validKeyCounts(6, geometry), wide: wide)
    try work.writePresent(new: 1, past: 4, output: 1, geometry.key, geometry.headSize)
    try work.writePresent(new: 2, past: 5, output: 2, geometry.value, geometry.valueSize)
    let rows = geometry.scoreShape.count(0..<3)
    let (query, key, value) = (try wide.input(0), try wide.input(1), try wide.input(2))
    wide.run.parallel.ranges(rows, grain: 4) { range in
      for row in range { work.row(row, query, key, value) }
    }
  }
}

private struct PlainAttention {
  let geometry: AttentionGeometry
  let rules: AttentionRules
  let isFlag: Bool
  let counts: [Int]?
  let wide: WideRun<Double>

  /// A row of keys or values, of the past or of this call.
  private func line(
    _ past: Int, _ new: UnsafePointer<Double>, _ layout: AttentionGeometry.Layout, _ width: Int,
    _ batch: Int, _ head: Int, _ index: Int
  ) -> UnsafePointer<Double> {
    if index < geometry.pastCount, past < wide.inputs.count, let old = wide.inputs[past] {
      return old + ((batch * geometry.keyHeads + head) * geometry.pastCount + index) * width
    }
    return new + layout.start(batch, head, index - geometry.pastCount)
  }

  func writePresent(
    new: Int, past: Int, output: Int, _ layout: AttentionGeometry.Layout, _ width: Int
  ) throws(StackLensError) {
    guard output < wide.outputs.count else { return }
    let recent = try wide.input(new)
    var target = wide.outputs[output]
    guard width > 0 else { return }
    for batch in 0..<geometry.batch {
      for head in 0..<geometry.keyHeads {
        for index in 0..<geometry.keyCount {
          target.update(
            from: line(past, recent, layout, width, batch, head, index), count: width)
          target += width
        }
      }
    }
  }

  /// What is added to one score.
  private func bias(_ batch: Int, _ head: Int, _ i: Int, _ j: Int, _ seen: Range<Int>) -> Double {
    guard seen.contains(j), j < geometry.maskedKeyCount, j < counts?[batch] ?? .max else {
      return -.infinity
    }
    guard wide.inputs.count > 3, let mask = wide.inputs[3] else { return 0 }
    let steps = geometry.maskSteps
    let value = mask[batch * steps[0] + head * steps[1] + i * steps[2] + j * steps[3]]
    return isFlag ? (value != 0 ? 0 : -.infinity) : value
  }

  /// One query: its scores, its weights and its output.
  func row(
    _ row: Int, _ query: UnsafePointer<Double>, _ key: UnsafePointer<Double>,
    _ value: UnsafePointer<Double>
  ) {
    let (entry, i) = row.quotientAndRemainder(dividingBy: geometry.queryCount)
    let (batch, head) = entry.quotientAndRemainder(dividingBy: geometry.queryHeads)
    let keyHead = head / geometry.groupSize
    let (keyCount, size) = (geometry.keyCount, geometry.headSize)
    let q = query + geometry.query.start(batch, head, i)
    let offset = counts.map { $0[batch] - geometry.queryCount } ?? geometry.pastCount
    let seen = rules.seen(at: offset + i, of: keyCount)
    let shown = wide.outputs.count > 3 ? wide.outputs[3] + row * keyCount : nil
    var weights = [Double](repeating: 0, count: keyCount)
    var isEmpty = true
    for j in 0..<keyCount {
      let k = line(4, key, geometry.key, size, batch, keyHead, j)
      var score = 0.0
      for d in 0..<size { score += q[d] * k[d] }
      score *= Double(rules.scale)
      if rules.scoreMode == 0 { shown?[j] = score }
      let cap = Double(rules.softcap)
      if cap > 0 { score = cap * tanh(score / cap) }
      if rules.scoreMode == 1 { shown?[j] = score }
      let added = bias(batch, head, i, j, seen)
      if added > -.infinity || added.isNaN { isEmpty = false }
      weights[j] = score + added
      if rules.scoreMode == 2 { shown?[j] = weights[j] }
    }
    // A key that is left out has no weight, whatever its score was.
    let largest = weights.max() ?? 0
    var total = 0.0
    for j in 0..<keyCount {
      weights[j] = isEmpty ? 0 : exp(weights[j] - (largest == -.infinity ? 0 : largest))
      total += weights[j]
    }
    for j in 0..<keyCount where total != 0 { weights[j] /= total }
    if rules.scoreMode == 3 { for j in 0..<keyCount { shown?[j] = weights[j] } }
    let target = wide.outputs[0] + geometry.output.start(batch, head, i)
    for column in 0..<geometry.valueSize { target[column] = 0 }
    for j in 0..<keyCount {
      let v = line(5, value, geometry.value, geometry.valueSize, batch, keyHead, j)
      for column in 0..<geometry.valueSize { target[column] += weights[j] * v[column] }
    }
  }
}
