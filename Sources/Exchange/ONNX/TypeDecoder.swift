import Base
import Graphs
import Tensors

extension ModelDecoder {
  /// One `TypeProto`.
  ///
  /// A sparse tensor is a dense one here: its type has the same fields, and its numbers are the same.
  /// - Throws: `.unsupported` for opaque types and for element types that are missing here.
  func valueType(_ message: WireReader) throws(StackLensError) -> ValueType {
    try count()
    var type = ValueType.unknown
    let place = denotations.count
    denotations.append("")
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 6: denotations[place] = try reader.comment(field, "denotation")
      case 1: type = try tensorType(reader.message(field, "tensor_type"))
      case 4: type = .sequence(try element(reader.message(field, "sequence_type")))
      case 5: type = try mapType(reader.message(field, "map_type"))
      case 7: throw .unsupported("opaque types are not supported")
      case 8: type = try tensorType(reader.message(field, "sparse_tensor_type"))
      case 9: type = .optional(try element(reader.message(field, "optional_type")))
      default: break
      }
    }
    return type
  }

  private func element(_ message: WireReader) throws(StackLensError) -> ValueType {
    var type = ValueType.unknown
    var reader = message
    while let field = try reader.next() {
      if field.number == 1 { type = try valueType(reader.message(field, "elem_type")) }
    }
    return type
  }

  private func mapType(_ message: WireReader) throws(StackLensError) -> ValueType {
    var key: ElementType?
    var value = ValueType.unknown
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: key = try elementType(reader.int32(field, "key_type"))
      case 2: value = try valueType(reader.message(field, "value_type"))
      default: break
      }
    }
    guard let key else { throw .formatError("a map type has no key type") }
    return .map(key: key, value: value)
  }

  private func tensorType(_ message: WireReader) throws(StackLensError) -> ValueType {
    var type: Int32 = 0
    var dims: [Dimension]?
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: type = try reader.int32(field, "elem_type")
      case 2: dims = try dimensions(reader.message(field, "shape"))
      default: break
      }
    }
    return type == 0 ? .unknown : .tensor(try elementType(type), dims)
  }

  private func dimensions(_ message: WireReader) throws(StackLensError) -> [Dimension] {
    var dims: [Dimension] = []
    var reader = message
    while let field = try reader.next() {
      guard field.number == 1 else { continue }
      try count()
      var dimension = Dimension.unknown
      var part = try reader.message(field, "dim")
      denotations.append("")
      while let field = try part.next() {
        switch field.number {
        case 3: denotations[denotations.count - 1] = try part.comment(field, "denotation")
        case 1:
          let extent = try part.int64(field, "dim_value")
          // Some exporters write a free extent as -1.
          dimension = extent < 0 ? .unknown : .fixed(Int(extent))
        case 2:
          let name = try part.string(field, "dim_param")
          dimension = name.isEmpty ? .unknown : .named(name)
        default: break
        }
      }
      dims.append(dimension)
    }
    return dims
  }

  /// The element type of that number.
  /// - Throws: `.formatError` where the standard has no such type.
  func elementType(_ number: Int32) throws(StackLensError) -> ElementType {
    guard let type = ElementType(rawValue: number) else {
      throw .formatError("\(number) is no element type of ONNX")
    }
    return type
  }
}
