import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Multi-head self-attention, each text by itself: softmax(Q Kᵀ / √d) V for every head.
  ///
  /// Inputs: qkv [T, 3 D] with queries, keys and values side by side, offsets [S + 1]. Output: [T, D].
  static let packedAttention = OperatorDefinition(
    "PackedAttention", domain: stackLensDomain, versions: [1], inputs: 2...2,
    attributes: [.required("heads", .int), .string("precision", default: "fp32")],
    infer: { (context) throws(StackLensError) in
      let (qkv, heads) = (try context.input(0, oneOf: [.float32]), try context.int("heads"))
      try PackedRows.check(context.input(1))
      guard qkv.rank == 2, heads > 0, qkv.shape[1] % 3 == 0, qkv.shape[1] / 3 % heads == 0 else {
        throw .shapeMismatch("\(qkv) does not hold queries, keys and values of \(heads) heads")
      }
      return [TensorType(.float32, try Shape([qkv.shape[0], qkv.shape[1] / 3]))]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        let (type, heads) = (try preparation.input(0), try preparation.int("heads"))
        let useBF16 = try preparation.string("precision") != "fp32" && slk_cpu_has_bf16()
        let (rows, width) = (type.shape[0], type.shape[1] / 3)
        let headWidth = width / heads
        let partLimit = preparation.threadCount == 1 ? 1 : preparation.threadCount * 3
        let scratchBytes = (slk_attention_scratch_bytes(rows, headWidth, headWidth) + 63) & ~63
        return PreparedKernel(scratchByteCount: scratchBytes * partLimit) {
          (run) throws(StackLensError) in
          let (qkv, offsets) = (try run.input(0), try run.input(1))
          let bounds = try PackedRows.checked(offsets, rows: rows)
          var attention = slk_attention()
          attention.q = UnsafePointer(qkv.floats)
          attention.k = UnsafePointer(qkv.floats + width)
          attention.v = UnsafePointer(qkv.floats + 2 * width)
          (attention.q_stride, attention.k_stride) = (3 * width, 3 * width)
          (attention.v_stride, attention.out_stride) = (3 * width, width)
          attention.out = run.outputs[0].floats
          attention.head_size = headWidth
          attention.scale = 1 / Float(headWidth).squareRoot()
          attention.bf16 = useBF16
          let items = (offsets.count - 1) * heads
          let parts = min(partLimit, items)
          let (settings, scratch) = (attention, run.scratch)
          run.parallel.forEach(parts) { part in
            var settings = settings
            for item in items * part / parts..<items * (part + 1) / parts {
              let text = item / heads
              slk_attention_head(
                &settings, Int(bounds[text]), Int(bounds[text + 1]), item % heads,
                scratch + part * scratchBytes)
            }
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        try plainAttention(preparation)
      },
    ]),
    samples: [
      Sample([.floats(5, 12), .ints([0, 2, 5])], ["heads": .int(2)]),
      Sample([.floats(6, 24), .ints([0, 0, 6])], ["heads": .int(1)]),
    ])

  /// The formula, term by term.
  private static func plainAttention(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (type, heads) = (try preparation.input(0), try preparation.int("heads"))
    let (rows, width) = (type.shape[0], type.shape[1] / 3)
    let headWidth = width / heads
    return PreparedKernel { (run) throws(StackLensError) in
      let (qkv, offsets) = (try run.input(0).floats, try run.input(1))
      let bounds = try PackedRows.checked(offsets, rows: rows)
      let out = run.outputs[0].floats
      func dot(_ query: Int, _ key: Int, _ head: Int) -> Float {
        var sum: Float = 0
        for index in head * headWidth..<(head + 1) * headWidth {
          sum += qkv[query * 3 * width + index] * qkv[key * 3 * width + width + index]
        }
        return sum / Float(headWidth).squareRoot()
      }
      for text in 0..<offsets.count - 1 {
        let tokens = Int(bounds[text])..<Int(bounds[text + 1])
        for query in tokens {
          for head in 0..<heads {
            let scores = tokens.map { dot(query, $0, head) }
            let peak = scores.max() ?? 0
            var weights = scores.map { $0 - peak }
            weights.withUnsafeMutableBufferPointer { buffer in
              guard let start = buffer.baseAddress else { return }
              slk_unary_f32(Int32(SLK_UNARY_EXP.rawValue), start, start, buffer.count, 0, 0)
            }
            let total = weights.reduce(0, +)
            for index in head * headWidth..<(head + 1) * headWidth {
              var sum: Float = 0
              for (offset, key) in tokens.enumerated() {
                sum += weights[offset] * qkv[key * 3 * width + 2 * width + index]
              }
              out[query * width + index] = sum / total
            }
          }
        }
      }
    }
  }
}

extension OperatorTable {
  /// Operators of an encoder over packed texts.
  static let encoder: [OperatorDefinition] = [
    .packedEmbedding, .packedLinear, .packedAttention, .packedLayerNormalization, .packedPooling,
    .attention,
  ]
}
