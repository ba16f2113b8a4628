import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Columns of the last axis by index; a vector becomes a row. ai.onnx.ml ArrayFeatureExtractor-1.
  static let arrayFeatureExtractor = OperatorDefinition(
    "ArrayFeatureExtractor", domain: machineLearningDomain, versions: [1], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: FeatureRows.types + [.string])
      let indices = try context.input(1, oneOf: [.int64])
      guard x.rank > 0, indices.shape.count > 0 else {
        throw .shapeMismatch("cannot take columns \(indices.shape) of \(x.shape)")
      }
      let rows = x.rank == 1 ? [1] : Array(x.shape.dims.dropLast())
      return [TensorType(x.elementType, try Shape(rows + [indices.shape.count]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let shape = try preparation.input(0).shape
        let columns = shape[shape.rank - 1]
        let rows = shape.count(0..<shape.rank - 1)
        return PreparedKernel { (run) throws(StackLensError) in
          let (x, y) = (try run.input(0), run.outputs[0])
          let indices = try run.input(1).integers()
          for index in indices where index < 0 || index >= columns {
            throw .invalidArgument("column \(index) is outside the \(columns) of \(shape)")
          }
          func take<T>(_: T.Type) {
            let source = x.base.assumingMemoryBound(to: T.self)
            let target = y.base.assumingMemoryBound(to: T.self)
            for row in 0..<rows {
              for (place, index) in indices.enumerated() {
                target[row * indices.count + place] = source[row * columns + index]
              }
            }
          }
          if x.elementType == .string {
            take(String.self)
          } else if x.elementType.byteSize == 4 {
            take(UInt32.self)
          } else {
            take(UInt64.self)
          }
        }
      }
    ]),
    gradient: .pick,
    samples: [
      Sample([.floats(3, 4), .ints([2, 0, 2])]), Sample([.floats(4), .ints([3])]),
      Sample([.floats(0, 4), .ints([1])]),
    ])

  /// Puts the columns of all inputs beside one another; `inputdimensions` says how many of each.
  /// ai.onnx.ml FeatureVectorizer-1.
  static let featureVectorizer = OperatorDefinition(
    "FeatureVectorizer", domain: machineLearningDomain, versions: [1],
    inputs: 1...Int(Int32.max), attributes: [.optional("inputdimensions", .ints)],
    infer: { (context) throws(StackLensError) in
      let widths = try context.ints("inputdimensions")
      if let widths, widths.count != context.inputs.count {
        throw .invalidArgument("\(widths.count) inputdimensions for \(context.inputs.count) inputs")
      }
      var rows: Int?
      var width = 0
      for index in context.inputs.indices {
        let shape = try context.input(index, oneOf: FeatureRows.types).shape
        let features = try FeatureRows(shape)
        guard rows == nil || rows == features.rows else {
          throw .shapeMismatch("input \(index) has \(features.rows) rows, expected \(rows ?? 0)")
        }
        rows = features.rows
        let own = widths?[index] ?? features.columns
        let (sum, overflow) = width.addingReportingOverflow(own)
        guard own >= 0, !overflow else { throw .invalidArgument("inputdimension \(own)") }
        width = sum
      }
      return [TensorType(.float32, try Shape([rows ?? 0, width]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let widths = try preparation.ints("inputdimensions")
        var parts: [(features: FeatureRows, width: Int)] = []
        for index in preparation.inputs.indices {
          let features = try FeatureRows(preparation.input(index).shape)
          parts.append((features, widths?[index] ?? features.columns))
        }
        let total = preparation.outputs[0].shape[1]
        return PreparedKernel { [parts] (run) throws(StackLensError) in
          let y = run.outputs[0].floats
          y.update(repeating: 0, count: run.outputs[0].count)
          var start = 0
          for (index, part) in parts.enumerated() {
            let x = try run.input(index)
            var values = [Double](repeating: 0, count: max(1, part.features.columns))
            for row in 0..<part.features.rows {
              values.withUnsafeMutableBufferPointer { values in
                if let place = values.baseAddress { part.features.load(x, row, place) }
              }
              for column in 0..<min(part.width, part.features.columns) {
                y[row * total + start + column] = Float(values[column])
              }
            }
            start += part.width
          }
        }
      }
    ]),
    samples: [
      Sample([.floats(3, 2), .floats(3, 1)], ["inputdimensions": .ints([2, 1])]),
      Sample([.floats(3)], ["inputdimensions": .ints([5])]),
    ])
}
