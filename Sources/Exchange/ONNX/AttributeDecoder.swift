import Base
import Graphs
import Tensors

extension ModelDecoder {
  /// Kinds by their number in `AttributeProto.AttributeType`.
  private enum Kind: Int32 {
    case undefined = 0
    case float, int, string, tensor, graph, floats, ints, strings, tensors, graphs
    case sparseTensor, sparseTensors, type, types

    /// The field that holds the value.
    init?(field: Int) {
      switch field {
      case 2: self = .float
      case 3: self = .int
      case 4: self = .string
      case 5: self = .tensor
      case 6: self = .graph
      case 7: self = .floats
      case 8: self = .ints
      case 9: self = .strings
      case 10: self = .tensors
      case 11: self = .graphs
      case 14: self = .type
      case 15: self = .types
      case 22: self = .sparseTensor
      case 23: self = .sparseTensors
      default: return nil
      }
    }
  }

  /// Everything an `AttributeProto` may hold.
  private struct Fields {
    var name = ""
    var reference = ""
    var kind = Kind.undefined
    var found: Set<Kind> = []
    var float: Float = 0
    var int: Int64 = 0
    var string = ""
    var tensor: Tensor?
    var graph: Graph?
    var type: ValueType?
    var floats: [Float] = []
    var ints: [Int64] = []
    var strings: [String] = []
    var tensors: [Tensor] = []
    var graphs: [Graph] = []
    var types: [ValueType] = []
  }

  /// One `AttributeProto`. Sparse tensors come out dense.
  func attribute(
    _ message: WireReader
  ) throws(StackLensError) -> (name: String, value: Attribute) {
    try count()
    var fields = Fields()
    do throws(StackLensError) {
      var reader = message
      while let field = try reader.next() { try read(field, reader, into: &fields) }
      guard !fields.name.isEmpty else { throw .formatError("an attribute has no name") }
      return (fields.name, try value(&fields))
    } catch {
      throw error.within("attribute '\(fields.name)'")
    }
  }

  private func read(
    _ field: WireField, _ reader: WireReader, into fields: inout Fields
  ) throws(StackLensError) {
    if let kind = Kind(field: field.number) { fields.found.insert(kind) }
    switch field.number {
    case 1: fields.name = try reader.string(field, "name")
    case 2: fields.float = try reader.float(field, "f")
    case 3: fields.int = try reader.int64(field, "i")
    case 4: fields.string = try reader.string(field, "s")
    case 5: fields.tensor = try initializer(reader.message(field, "t"), needsName: false).tensor
    case 6: fields.graph = try graph(reader.message(field, "g"))
    case 7: try reader.append(field, "floats", to: &fields.floats)
    case 8: try reader.append(field, "ints", to: &fields.ints)
    case 9: try fields.strings.append(reader.string(field, "strings"))
    case 10:
      try fields.tensors.append(
        initializer(reader.message(field, "tensors"), needsName: false).tensor)
    case 11: try fields.graphs.append(graph(reader.message(field, "graphs")))
    case 14: fields.type = try valueType(reader.message(field, "tp"))
    case 15: try fields.types.append(valueType(reader.message(field, "type_protos")))
    case 20:
      let number = try reader.int32(field, "type")
      guard let kind = Kind(rawValue: number) else {
        throw .formatError("\(number) is no attribute type of ONNX")
      }
      fields.kind = kind
    case 21: fields.reference = try reader.string(field, "ref_attr_name")
    case 22: fields.tensor = try sparseTensor(reader.message(field, "sparse_tensor")).tensor
    case 23:
      try fields.tensors.append(sparseTensor(reader.message(field, "sparse_tensors")).tensor)
    default: break
    }
  }

  private func value(_ fields: inout Fields) throws(StackLensError) -> Attribute {
    if !fields.reference.isEmpty {
      return .reference(fields.reference, kind: fields.kind.rawValue)
    }
    // The first files carried no type; the field that is there tells it.
    if fields.kind == .undefined, fields.found.count == 1, let only = fields.found.first {
      fields.kind = only
    }
    // Writers of protobuf 3 leave out fields that hold 0, so an absent value is no error.
    if let other = fields.found.first(where: { $0 != fields.kind }) {
      throw .formatError("its type is \(fields.kind), but it holds \(other)")
    }
    switch fields.kind {
    case .undefined: throw .formatError("it has no type")
    case .float: return .float(fields.float)
    case .int: return .int(fields.int)
    case .string: return .string(fields.string)
    case .floats: return .floats(fields.floats)
    case .ints: return .ints(fields.ints)
    case .strings: return .strings(fields.strings)
    case .tensors, .sparseTensors: return .tensors(fields.tensors)
    case .graphs: return .graphs(fields.graphs)
    case .types: return .types(fields.types)
    case .tensor, .sparseTensor: if let tensor = fields.tensor { return .tensor(tensor) }
    case .graph: if let graph = fields.graph { return .graph(graph) }
    case .type: if let type = fields.type { return .type(type) }
    }
    throw .formatError("its type is \(fields.kind), but it holds nothing")
  }
}
