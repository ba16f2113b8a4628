import Base
import Graphs
import Tensors

/// One LinearAttention: extents and the recurrence.
struct LinearRecurrence: Sendable {
  let outputShape: Shape
  let stateShape: Shape
  let batch: Int
  let length: Int
  let queryHeads: Int
  let heads: Int
  let keyWidth: Int
  let valueWidth: Int
  let scale: Float
  let isGated: Bool
  let isCorrected: Bool
  /// Decays and rates of one token.
  let decayWidth: Int
  let rateWidth: Int

  init(_ view: some NodeView, _ inputs: [TensorType?]) throws(StackLensError) {
    func shape(_ index: Int) -> Shape? { index < inputs.count ? inputs[index]?.shape : nil }
    guard let q = shape(0), let k = shape(1), let v = shape(2) else {
      throw .invalidArgument("query, key or value is missing")
    }
    (queryHeads, heads) = (try view.int("q_num_heads"), try view.int("kv_num_heads"))
    guard queryHeads > 0, heads > 0, queryHeads % heads == 0 else {
      throw .invalidArgument("\(queryHeads) heads of the query cannot share \(heads) of the key")
    }
    guard q.rank == 3, k.rank == 3, v.rank == 3, q[2] % queryHeads == 0, k[2] % heads == 0,
      v[2] % heads == 0, k.dims[..<2] == q.dims[..<2], v.dims[..<2] == q.dims[..<2],
      k[2] / heads == q[2] / queryHeads
    else {
      throw .shapeMismatch(
        "query \(q), key \(k) and value \(v) do not fit \(queryHeads) and \(heads) heads")
    }
    (batch, length) = (q[0], q[1])
    (keyWidth, valueWidth) = (k[2] / heads, v[2] / heads)
    outputShape = try Shape([batch, length, extentProduct(queryHeads, valueWidth)])
    stateShape = try Shape([batch, heads, keyWidth, valueWidth])
    if let past = shape(3), past != stateShape {
      throw .shapeMismatch("past_state has shape \(past), expected \(stateShape)")
    }
    let rule = try view.string("update_rule")
    guard ["linear", "gated", "delta", "gated_delta"].contains(rule) else {
      throw .invalidArgument(
        "attribute 'update_rule' is '\(rule)', expected linear, gated, delta or gated_delta")
    }
    (isGated, isCorrected) = (rule.hasPrefix("gated"), rule.hasSuffix("delta"))
    decayWidth = try Self.width(
      shape(4), "decay", isWanted: isGated, rule, [batch, length], [heads, heads * keyWidth])
    rateWidth = try Self.width(
      shape(5), "beta", isWanted: isCorrected, rule, [batch, length], [heads, 1])
    let given = try view.float("scale")
    scale = given == 0 ? Float(1 / Double(keyWidth).squareRoot()) : given
  }

  private static func width(
    _ shape: Shape?, _ name: String, isWanted: Bool, _ rule: String, _ tokens: [Int],
    _ widths: [Int]
  ) throws(StackLensError) -> Int {
    guard let shape else {
      guard !isWanted else { throw .invalidArgument("update_rule '\(rule)' needs \(name)") }
      return 1
    }
    guard isWanted else { throw .invalidArgument("update_rule '\(rule)' has no \(name)") }
    guard shape.rank == 3, Array(shape.dims[..<2]) == tokens, widths.contains(shape[2]) else {
      throw .shapeMismatch("\(name) has shape \(shape), expected \(tokens) and one of \(widths)")
    }
    return shape[2]
  }

  func run<T: RecurrentElement>(_ wide: WideRun<T>) throws(StackLensError) {
    let states = wide.outputs[1]
    if wide.inputs.count > 3, let past = wide.inputs[3] {
      states.update(from: past, count: stateShape.count)
    } else {
      states.update(repeating: 0, count: stateShape.count)
    }
    let (query, key, value) = (try wide.input(0), try wide.input(1), try wide.input(2))
    let decays = isGated ? try wide.input(4) : key
    let rates = isCorrected ? try wide.input(5) : key
    let output = wide.outputs[0]
    wide.run.parallel.ranges(batch * heads, grain: 1) { range in
      for item in range {
        let (entry, head) = item.quotientAndRemainder(dividingBy: heads)
        let state = states + item * keyWidth * valueWidth
        var written = [T](repeating: 0, count: valueWidth)
        for token in entry * length..<(entry + 1) * length {
          let k = key + (token * heads + head) * keyWidth
          let v = value + (token * heads + head) * valueWidth
          if isGated { decay(state, decays + token * decayWidth, head) }
          for m in 0..<valueWidth { written[m] = v[m] }
          if isCorrected {
            let rate = rates[token * rateWidth + (rateWidth == 1 ? 0 : head)]
            correct(&written, state, k, rate)
          }
          take(written, state, k)
          for reader in head * queryHeads / heads..<(head + 1) * queryHeads / heads {
            let place = token * queryHeads + reader
            read(state, query + place * keyWidth, output + place * valueWidth)
          }
        }
      }
    }
  }

  /// Where the decay of a row of a head's state lies among those of one token.
  func decayPlace(_ head: Int, _ row: Int) -> Int {
    decayWidth == heads && keyWidth != 1 ? head : head * keyWidth + row
  }

  /// The state times the exponentials of one token's decays, one for the head or for each row.
  func decay<T: RecurrentElement>(
    _ state: UnsafeMutablePointer<T>, _ logs: UnsafePointer<T>, _ head: Int
  ) {
    for d in 0..<keyWidth {
      let factor = logs[decayPlace(head, d)].exponential
      for m in 0..<valueWidth { state[d * valueWidth + m] *= factor }
    }
  }

  /// rate · (value - stateᵀ key).
  func correct<T: RecurrentElement>(
    _ value: inout [T], _ state: UnsafeMutablePointer<T>, _ key: UnsafePointer<T>, _ rate: T
  ) {
    for d in 0..<keyWidth {
      for m in 0..<valueWidth { value[m] -= state[d * valueWidth + m] * key[d] }
    }
    for m in 0..<valueWidth { value[m] *= rate }
  }

  func take<T: RecurrentElement>(
    _ value: [T], _ state: UnsafeMutablePointer<T>, _ key: UnsafePointer<T>
  ) {
    for d in 0..<keyWidth {
      for m in 0..<valueWidth { state[d * valueWidth + m] += key[d] * value[m] }
    }
  }

  private func read<T: RecurrentElement>(
    _ state: UnsafeMutablePointer<T>, _ query: UnsafePointer<T>, _ output: UnsafeMutablePointer<T>
  ) {
    for m in 0..<valueWidth { output[m] = 0 }
    for d in 0..<keyWidth {
      let factor = T(scale) * query[d]
      for m in 0..<valueWidth { output[m] += factor * state[d * valueWidth + m] }
    }
  }
}
