import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The sequences of tags that a linear chain gives the largest scores (Viterbi, 1967), and those
  /// scores. Inputs: emissions [B, T, K], transitions [K, K], start and end scores [K] (none: 0), perhaps
  /// a mask [B, T]. Tags [B, T], `ignore_index` where the mask is 0; scores [B].
  static let crfDecode = OperatorDefinition(
    "CRFDecode", domain: "ai.stacklens", versions: [1], inputs: 2...5, outputs: 1...2,
    attributes: [.int("ignore_index", default: -100)],
    infer: { (context) throws(StackLensError) in
      let shape = try CRFBatch.check(context, first: 0, tags: nil, mask: 4)
      return [
        TensorType(.int64, try Shape([shape[0], shape[1]])),
        TensorType(try context.input(0).elementType, try Shape([shape[0]])),
      ]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let batch = try CRFBatch(preparation, first: 0, tags: nil, mask: 4)
        let ignored = Double(try preparation.int("ignore_index"))
        return try wideKernel(Double.self, preparation, inputs: 4) {
          (wide) throws(StackLensError) in
          let texts = try batch.texts(wide.run)
          let (tags, scores) = (wide.outputs[0], wide.outputs[1])
          wide.run.parallel.ranges(texts.count, grain: 1) { range in
            for item in range {
              let row = tags + item * batch.steps
              row.update(repeating: ignored, count: batch.steps)
              let best = batch.chain(texts[item], item, wide).best()
              for (position, tag) in zip(texts[item].positions, best.tags) {
                row[position] = Double(tag)
              }
              scores[item] = best.score
            }
          }
        }
      }
    ]),
    samples: chainSamples(outputs: 2))

  /// How probable each tag is at each position of a linear chain: [B, T, K], 0 where the mask is. Inputs as
  /// CRFDecode.
  static let crfMarginals = OperatorDefinition(
    "CRFMarginals", domain: "ai.stacklens", versions: [1], inputs: 2...5,
    attributes: [.int("ignore_index", default: -100)],
    infer: { (context) throws(StackLensError) in
      _ = try CRFBatch.check(context, first: 0, tags: nil, mask: 4)
      return [try context.input(0)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let batch = try CRFBatch(preparation, first: 0, tags: nil, mask: 4)
        let count = preparation.outputs[0].shape.count
        return try wideKernel(Double.self, preparation, inputs: 4) {
          (wide) throws(StackLensError) in
          let texts = try batch.texts(wide.run)
          let y = wide.outputs[0]
          y.update(repeating: 0, count: count)
          wide.run.parallel.ranges(texts.count, grain: 1) { range in
            for item in range {
              let own = y + item * batch.steps * batch.tagCount
              let positions = texts[item].positions
              batch.chain(texts[item], item, wide).forEachMarginal { index, tag, share in
                own[positions[index] * batch.tagCount + tag] = share
              }
            }
          }
        }
      }
    ]),
    samples: chainSamples(outputs: 1))

  private static func chainSamples(outputs: Int) -> [Sample] {
    [
      Sample(
        [.floats(2, 5, 3), .floats(3, 3), .floats(3), .floats(3)], outputs: outputs),
      Sample(
        [
          .floats(3, 4, 2), .floats(2, 2), .absent, .absent,
          .random(.bool, [3, 4], low: -1, high: 1),
        ], ["ignore_index": .int(-1)], outputs: outputs),
      Sample([.floats(0, 4, 2), .floats(2, 2)], outputs: outputs),
    ]
  }
}
