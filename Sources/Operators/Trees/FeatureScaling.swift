import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// (x - offset) * scale, each one number or one for each feature. ai.onnx.ml Scaler-1.
  static let scaler = rowOperator(
    "Scaler", attributes: [.optional("offset", .floats), .optional("scale", .floats)],
    output: .float32,
    samples: [
      Sample([.floats(3, 2)], ["offset": .floats([1, 2]), "scale": .floats([0.5, 3])]),
      Sample([.random(.int64, [4], low: -9, high: 9)], ["scale": .floats([2])]),
    ]
  ) { (view, columns) throws(StackLensError) in
    func list(_ name: String, _ value: Double) throws(StackLensError) -> [Double] {
      let values = try view.floats(name) ?? []
      guard values.isEmpty || values.count == 1 || values.count == columns else {
        throw .shapeMismatch("'\(name)' has \(values.count) entries for \(columns) features")
      }
      if values.count == columns { return values.map { Double($0) } }
      return Array(repeating: values.first.map { Double($0) } ?? value, count: columns)
    }
    let (offset, scale) = (try list("offset", 0), try list("scale", 1))
    return { x, y in for i in x.indices { y[i] = (x[i] - offset[i]) * scale[i] } }
  }

  /// Each row divided by its largest value, its sum of magnitudes or its length; a row of zeros
  /// stays. ai.onnx.ml Normalizer-1.
  static let normalizer = rowOperator(
    "Normalizer", attributes: [.string("norm", default: "MAX")], output: .float32,
    samples: [
      Sample([.floats(3, 2)], ["norm": .string("L2")]), Sample([.floats(0, 2)]),
      Sample([.floats(4)], ["norm": .string("L1")]),
    ]
  ) { (view, _) throws(StackLensError) in
    let measure: @Sendable (UnsafeMutableBufferPointer<Double>) -> Double
    switch try view.string("norm") {
    case "MAX": measure = { $0.max() ?? 0 }
    case "L1": measure = { $0.reduce(0) { $0 + abs($1) } }
    case "L2": measure = { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    case let other: throw .invalidArgument("norm '\(other)' is none of MAX, L1, L2")
    }
    return { x, y in
      let norm = measure(x)
      for i in x.indices { y[i] = norm == 0 ? x[i] : x[i] / norm }
    }
  }

  /// 1 where a value exceeds the threshold, else 0. ai.onnx.ml Binarizer-1.
  static let binarizer = rowOperator(
    "Binarizer", attributes: [.float("threshold", default: 0)], output: nil,
    samples: [
      Sample([.floats(3, 2)], ["threshold": .float(0.25)]),
      Sample([.random(.int32, [2, 3, 2], low: -2, high: 3)]),
    ]
  ) { (view, _) throws(StackLensError) in
    let threshold = Double(try view.float("threshold"))
    return { x, y in for i in x.indices { y[i] = x[i] > threshold ? 1 : 0 } }
  }

  /// Puts a value in the place of missing ones: NaN, or the value named as missing.
  /// ai.onnx.ml Imputer-1.
  static let imputer = rowOperator(
    "Imputer",
    attributes: [
      .optional("imputed_value_floats", .floats), .optional("imputed_value_int64s", .ints),
      .float("replaced_value_float", default: 0), .int("replaced_value_int64", default: 0),
    ], output: nil,
    samples: [
      Sample(
        [.floats(3, 2)],
        ["imputed_value_floats": .floats([1, 2]), "replaced_value_float": .float(.nan)]),
      Sample(
        [.random(.int64, [4, 2], low: 0, high: 3)],
        ["imputed_value_int64s": .ints([9]), "replaced_value_int64": .int(1)]),
    ]
  ) { (view, columns) throws(StackLensError) in
    var values = (try view.floats("imputed_value_floats") ?? []).map { Double($0) }
    var missing = Double(try view.float("replaced_value_float"))
    if values.isEmpty {
      values = (try view.ints("imputed_value_int64s") ?? []).map { Double($0) }
      missing = Double(try view.int("replaced_value_int64"))
    }
    guard values.count == 1 || values.count == columns else {
      throw .shapeMismatch("\(values.count) imputed values for \(columns) features")
    }
    let imputed = values.count == 1 ? Array(repeating: values[0], count: columns) : values
    return { [missing] x, y in
      for i in x.indices {
        let isMissing = missing.isNaN ? x[i].isNaN : x[i] == missing
        y[i] = isMissing ? imputed[i] : x[i]
      }
    }
  }

  typealias RowBody =
    @Sendable (
      UnsafeMutableBufferPointer<Double>, UnsafeMutableBufferPointer<Double>
    ) -> Void

  /// An operator that makes each row along the last axis from the same row of its input.
  /// - Parameter output: nil for the input's type.
  private static func rowOperator(
    _ name: String, attributes: [AttributeSpec], output: ElementType?, samples: [Sample],
    make: @escaping @Sendable (Preparation, _ columns: Int) throws(StackLensError) -> RowBody
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, domain: machineLearningDomain, versions: [1], inputs: 1...1, attributes: attributes,
      infer: { (context) throws(StackLensError) in
        let x = try context.input(0, oneOf: FeatureRows.types)
        guard x.rank > 0 else { throw .shapeMismatch("features must have rank 1 or more") }
        return [TensorType(output ?? x.elementType, x.shape)]
      },
      execution: .kernels([
        .reference { (preparation) throws(StackLensError) in
          let shape = try preparation.input(0).shape
          let columns = shape[shape.rank - 1]
          try requireWalkable(columns, shape)
          let body = try make(preparation, columns)
          let features = try FeatureRows(
            Shape([columns == 0 ? 0 : shape.count / columns, columns]))
          return PreparedKernel { (run) throws(StackLensError) in
            let (x, y) = (try run.input(0), run.outputs[0])
            run.parallel.ranges(features.rows, grain: max(1, (1 << 14) / max(1, columns))) { rows in
              var room = [Double](repeating: 0, count: 2 * columns)
              room.withUnsafeMutableBufferPointer { room in
                guard let start = room.baseAddress else { return }
                let input = UnsafeMutableBufferPointer(start: start, count: columns)
                let result = UnsafeMutableBufferPointer(start: start + columns, count: columns)
                for row in rows {
                  features.load(x, row, start)
                  body(input, result)
                  for i in 0..<columns { y.set(row * columns + i, toNumber: result[i]) }
                }
              }
            }
          }
        }
      ]),
      samples: samples)
  }
}
