import Base
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// Attention without a softmax, as a recurrence over a state of [key width, value width] for each
  /// head: the state decays, is corrected by what the key finds in it, takes in key ⊗ value and is
  /// read by the query. ONNX LinearAttention-27.
  static let linearAttention = OperatorDefinition(
    "LinearAttention", versions: [27], inputs: 3...6, outputs: 1...2,
    attributes: [
      .int("chunk_size", default: 64), .required("kv_num_heads", .int),
      .required("q_num_heads", .int), .float("scale", default: 0),
      .string("update_rule", default: "gated_delta"),
    ],
    infer: { (context) throws(StackLensError) in
      let query = try context.input(0, oneOf: [.float32, .float16, .bfloat16])
      _ = try context.sameElementType(0, 1, 2, 4, 5)
      let state = context.hasInput(3) ? try context.input(3).elementType : query.elementType
      guard [.float32, .float16, .bfloat16].contains(state) else {
        throw .typeMismatch("past_state is \(state.name), expected float32, float16 or bfloat16")
      }
      let work = try LinearRecurrence(context, context.inputs)
      return [
        TensorType(query.elementType, work.outputShape), TensorType(state, work.stateShape),
      ]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let work = try LinearRecurrence(preparation, preparation.inputs)
        return try wideKernel(Float.self, preparation) { (wide) throws(StackLensError) in
          try work.run(wide)
        }
      }
    ]),
    samples: [
      Sample(
        [
          .floats(2, 5, 16), .floats(2, 5, 8), .floats(2, 5, 6), .floats(2, 2, 4, 3),
          .floats(2, 5, 8), .floats(2, 5, 2),
        ], ["q_num_heads": .int(4), "kv_num_heads": .int(2)], outputs: 2),
      Sample(
        [.floats(1, 3, 8), .floats(1, 3, 8), .floats(1, 3, 8)],
        ["q_num_heads": .int(2), "kv_num_heads": .int(2), "update_rule": .string("linear")],
        outputs: 2),
      Sample(
        [.floats(1, 0, 8), .floats(1, 0, 8), .floats(1, 0, 8)],
        ["q_num_heads": .int(1), "kv_num_heads": .int(1), "update_rule": .string("linear")],
        outputs: 2),
    ])
}

/// One LinearAttention: extents and the recurrence.
private struct LinearRecurrence: Sendable {
  let outputShape: Shape
  let stateShape: Shape
  private let batch: Int
  private let length: Int
  private let queryHeads: Int
  private let heads: Int
  private let keyWidth: Int
  private let valueWidth: Int
  private let scale: Float
  private let isGated: Bool
  private let isCorrected: Bool
  /// Decays and rates of one token.
  private let decayWidth: Int
  private let rateWidth: Int

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

  func run(_ wide: WideRun<Float>) throws(StackLensError) {
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
        var written = [Float](repeating: 0, count: valueWidth)
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

  /// The state times the exponentials of one token's decays, one for the head or for each row.
  private func decay(
    _ state: UnsafeMutablePointer<Float>, _ logs: UnsafePointer<Float>, _ head: Int
  ) {
    let isShared = decayWidth == heads && keyWidth != 1
    for d in 0..<keyWidth {
      let factor = expf(logs[isShared ? head : head * keyWidth + d])
      for m in 0..<valueWidth { state[d * valueWidth + m] *= factor }
    }
  }

  /// rate · (value - stateᵀ key).
  private func correct(
    _ value: inout [Float], _ state: UnsafeMutablePointer<Float>, _ key: UnsafePointer<Float>,
    _ rate: Float
  ) {
    for d in 0..<keyWidth {
      for m in 0..<valueWidth { value[m] -= state[d * valueWidth + m] * key[d] }
    }
    for m in 0..<valueWidth { value[m] *= rate }
  }

  private func take(
    _ value: [Float], _ state: UnsafeMutablePointer<Float>, _ key: UnsafePointer<Float>
  ) {
    for d in 0..<keyWidth {
      for m in 0..<valueWidth { state[d * valueWidth + m] += key[d] * value[m] }
    }
  }

  private func read(
    _ state: UnsafeMutablePointer<Float>, _ query: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>
  ) {
    for m in 0..<valueWidth { output[m] = 0 }
    for d in 0..<keyWidth {
      let factor = scale * query[d]
      for m in 0..<valueWidth { output[m] += factor * state[d * valueWidth + m] }
    }
  }
}
