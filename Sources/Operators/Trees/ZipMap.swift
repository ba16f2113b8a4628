import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// One map from label to score for each row. ai.onnx.ml ZipMap-1.
  static let zipMap = OperatorDefinition(
    "ZipMap", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    attributes: [
      .optional("classlabels_int64s", .ints), .optional("classlabels_strings", .strings),
    ],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (evaluation) throws(StackLensError) in
      let x = try evaluation.tensor(0)
      guard x.elementType == .float32, x.rank == 1 || x.rank == 2 else {
        throw .typeMismatch("ZipMap takes float32 of rank 1 or 2, found \(TensorType(x))")
      }
      let labels = try ClassLabels(
        evaluation, integers: "classlabels_int64s", strings: "classlabels_strings")
      let keys: Tensor
      switch labels {
      case .integers(let labels): keys = try Tensor(labels)
      case .strings(let labels): keys = try Tensor(labels)
      }
      let columns = x.shape[x.rank - 1]
      guard columns == keys.count else {
        throw .shapeMismatch("\(keys.count) labels for \(columns) columns")
      }
      let rows = x.rank == 1 ? 1 : x.shape[0]
      let matrix = try x.reshaped(to: Shape([rows, columns]))
      var maps: [Value] = []
      for row in 0..<rows {
        // A copy: the scores may lie in memory that another node will use.
        let values = try matrix.rows(row..<row + 1).copied().reshaped(to: Shape([columns]))
        maps.append(.map(keys: keys, values: values))
      }
      return [.sequence(maps)]
    },
    outline: { (context) throws(StackLensError) in
      let key: ElementType = context.has("classlabels_strings") ? .string : .int64
      return [.sequence(.map(key: key, value: try .tensor(.float32, [])))]
    },
    samples: [
      Sample([.floats(3, 2)], ["classlabels_strings": .strings(["a", "b"])]),
      Sample([.floats(2)], ["classlabels_int64s": .ints([5, 7])]),
    ])
}
