import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// What the table says of the operator, for documentation and for tools that make up calls.
  package func described() -> JSON {
    var kernelNames: [JSON] = []
    if case .kernels(let kernels) = execution { kernelNames = kernels.map { .string($0.name) } }
    let kind =
      switch execution {
      case .kernels: "kernels"
      case .view, .pass: "view"
      case .evaluate: "evaluate"
      case .lifted: "composition"
      }
    return .members([
      ("name", .string(name)), ("domain", .string(domain)),
      ("versions", .array(versions.map { .integer(Int64($0)) })),
      ("inputs", .range(inputCount)), ("outputs", .range(outputCount)),
      ("execution", .string(kind)), ("attributes", .array(attributes.map(\.described))),
      ("kernels", .array(kernelNames)),
      ("gradient", isComposition ? .null : .bool(gradient?.isExplanation == false)),
      ("deterministic", .bool(isDeterministic)),
      ("samples", .array(samples.map(\.described))),
    ])
  }
}

extension AttributeSpec {
  fileprivate var described: JSON {
    .members([
      ("name", .string(name)), ("kind", .string(kind.rawValue)), ("required", .bool(isRequired)),
      ("default", fallback?.described ?? .null),
    ])
  }
}

extension Sample {
  fileprivate var described: JSON {
    let settings = attributes.keys.sorted().map { ($0, attributes[$0]?.described ?? .null) }
    return .members([
      ("inputs", .array(inputs.map(\.described))), ("attributes", .members(settings)),
      ("outputs", .integer(Int64(outputCount))),
    ])
  }
}

extension Sample.Input {
  fileprivate var described: JSON {
    switch self {
    case .absent: .null
    case .ints(let values):
      .members([
        ("type", .integer(Int64(ElementType.int64.rawValue))),
        ("shape", .numbers([values.count])), ("values", .array(values.map { .integer($0) })),
      ])
    case .random(let type, let dims, let low, let high):
      .members([
        ("type", .integer(Int64(type.rawValue))), ("shape", .numbers(dims)),
        ("low", .number(low)), ("high", .number(high)),
      ])
    case .tensor(let make): (try? make()).map(\.described) ?? .null
    }
  }
}

extension Tensor {
  /// Type, shape and, of a small one, the elements.
  fileprivate var described: JSON {
    var members: [(String, JSON)] = [
      ("type", .integer(Int64(elementType.rawValue))), ("shape", .numbers(shape.dims)),
    ]
    if count <= 256, let values = try? listedElements() { members.append(("values", values)) }
    return .members(members)
  }

  private func listedElements() throws(StackLensError) -> JSON? {
    func integers<T: TensorElement & FixedWidthInteger>(
      _ type: T.Type
    ) throws(StackLensError) -> JSON {
      .array(try elements(as: type).map { .integer(Int64(truncatingIfNeeded: $0)) })
    }
    switch elementType {
    case .float32: return .array(try elements(as: Float.self).map { .number(Double($0)) })
    case .float64: return .array(try elements(as: Double.self).map { .number($0) })
    case .float16: return .array(try elements(as: Float16.self).map { .number(Double($0)) })
    case .bool: return .array(try elements(as: Bool.self).map { .bool($0) })
    case .string: return .array(try elements(as: String.self).map { .string($0) })
    case .int8: return try integers(Int8.self)
    case .int16: return try integers(Int16.self)
    case .int32: return try integers(Int32.self)
    case .int64: return try integers(Int64.self)
    case .uint8: return try integers(UInt8.self)
    case .uint16: return try integers(UInt16.self)
    case .uint32: return try integers(UInt32.self)
    case .uint64: return try integers(UInt64.self)
    default: return nil
    }
  }
}

extension Attribute {
  fileprivate var described: JSON {
    let value: JSON =
      switch self {
      case .int(let value): .integer(value)
      case .float(let value): .number(Double(value))
      case .string(let value): .string(value)
      case .ints(let values): .array(values.map { .integer($0) })
      case .floats(let values): .array(values.map { .number(Double($0)) })
      case .strings(let values): .array(values.map { .string($0) })
      case .tensor(let tensor): tensor.described
      case .type(let type): .string(type.description)
      default: .null
      }
    return .members([("kind", .string(kindName)), ("value", value)])
  }
}

extension JSON {
  fileprivate static func members(_ members: [(String, JSON)]) -> JSON {
    .object(JSONObject(members.map { JSONObject.Member(key: $0, value: $1) }))
  }

  fileprivate static func numbers(_ values: [Int]) -> JSON {
    .array(values.map { .integer(Int64($0)) })
  }

  /// Bounds of a count; null as the upper one where there is none.
  fileprivate static func range(_ range: ClosedRange<Int>) -> JSON {
    .array([
      .integer(Int64(range.lowerBound)),
      range.upperBound > 1 << 20 ? .null : .integer(Int64(range.upperBound)),
    ])
  }
}
