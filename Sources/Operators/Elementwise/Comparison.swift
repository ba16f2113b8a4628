import Base
import Graphs
import Tensors

/// A relation of two values of one type.
enum Comparison: Sendable {
  case equal, greater, greaterOrEqual, less, lessOrEqual

  func row(_ type: ElementType, _ row: BinaryRow) {
    switch type {
    case .float32: compare(Float.self, row)
    case .float64: compare(Double.self, row)
    case .float16: compare(Float16.self, row)
    case .bfloat16: compare(BFloat16.self, row) { $0.float }
    case .int8: compare(Int8.self, row)
    case .int16: compare(Int16.self, row)
    case .int32: compare(Int32.self, row)
    case .int64: compare(Int64.self, row)
    case .uint8: compare(UInt8.self, row)
    case .uint16: compare(UInt16.self, row)
    case .uint32: compare(UInt32.self, row)
    case .uint64: compare(UInt64.self, row)
    case .bool: compare(Bool.self, row) { $0 ? UInt8(1) : 0 }
    case .string: compare(String.self, row)
    default: break
    }
  }

  private func compare<T: Comparable>(_ type: T.Type, _ row: BinaryRow) {
    compare(type, row) { $0 }
  }

  @inline(__always)
  private func compare<T, C: Comparable>(_ type: T.Type, _ row: BinaryRow, _ key: (T) -> C) {
    switch self {
    case .equal: row.map(T.self, T.self) { key($0) == key($1) }
    case .greater: row.map(T.self, T.self) { key($0) > key($1) }
    case .greaterOrEqual: row.map(T.self, T.self) { key($0) >= key($1) }
    case .less: row.map(T.self, T.self) { key($0) < key($1) }
    case .lessOrEqual: row.map(T.self, T.self) { key($0) <= key($1) }
    }
  }
}

extension OperatorTable {
  /// Element-wise relations with NumPy broadcasting; NaN compares false with everything.
  static let comparisons: [OperatorDefinition] = [
    .comparison("Equal", [1, 7, 11, 13, 19], .equal, on: ElementType.numbers + [.bool, .string]),
    .comparison("Greater", [1, 7, 9, 13], .greater),
    .comparison(
      "GreaterOrEqual", [12, 16], .greaterOrEqual, lower: lowerOrEqual("Greater")),
    .comparison("Less", [1, 7, 9, 13], .less),
    .comparison("LessOrEqual", [12, 16], .lessOrEqual, lower: lowerOrEqual("Less")),
  ]

  private static func lowerOrEqual(_ strict: String) -> OperatorDefinition.Convert {
    { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 12 else { return [node] }
      var old = Decomposition(node, opset)
      let isStrict = old.apply(strict, node.inputs, &rewriter)
      let isEqual = old.apply("Equal", node.inputs, &rewriter)
      return old.finish("Or", [isStrict, isEqual])
    }
  }
}

extension OperatorDefinition {
  fileprivate static func comparison(
    _ name: String, _ versions: [Int], _ comparison: Comparison,
    on types: [ElementType] = ElementType.numbers, lower: Convert? = nil
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: versions, inputs: 2...2,
      infer: { (context) throws(StackLensError) in
        let type = try context.input(0, oneOf: types)
        _ = try context.sameElementType(0, 1)
        return [TensorType(.bool, try type.shape.broadcast(with: context.input(1).shape))]
      },
      execution: .kernels([
        .reference { (preparation) throws(StackLensError) in
          let type = try preparation.input(0).elementType
          return try binaryKernel(preparation) { comparison.row(type, $0) }
        }
      ]),
      lift: liftBroadcast, lower: lower,
      gradient: .zero,
      samples: binarySamples(types.contains(.bool) ? [.int64, .bool] : types))
  }
}
