import Base
import Graphs
import Tensors

extension ModelDecoder {
  /// One `GraphProto`.
  func graph(_ message: WireReader) throws(StackLensError) -> Graph {
    try count()
    var graph = Graph(name: "")
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: try graph.nodes.append(node(reader.message(field, "node"), graph.nodes.count))
      case 2: graph.name = try reader.comment(field, "name")
      case 5:
        let index = graph.initializers.count
        try graph.initializers.append(
          within("initializer[\(index)]") { () throws(StackLensError) in
            try initializer(reader.message(field, "initializer"))
          })
      case 10: graph.documentation = try reader.comment(field, "doc_string")
      case 11: try graph.inputs.append(declared(reader.message(field, "input"), "input"))
      case 12: try graph.outputs.append(declared(reader.message(field, "output"), "output"))
      case 13:
        let note = try reader.message(field, "value_info")
        if let info = try knownValueInfo(note) { graph.valueInfo.append(info) }
      case 14:
        try graph.quantization.append(annotation(reader.message(field, "quantization_annotation")))
      case 15:
        try graph.initializers.append(
          within("sparse_initializer") { () throws(StackLensError) in
            var initializer = try sparseTensor(reader.message(field, "sparse_initializer"))
            initializer.isSparse = true
            return initializer
          })
      case 16: try graph.metadata.append(entry(reader.message(field, "metadata_props")))
      default: break
      }
    }
    return graph
  }

  private func declared(
    _ message: WireReader, _ kind: String
  ) throws(StackLensError) -> ValueInfo {
    try within(kind) { () throws(StackLensError) in try valueInfo(message) }
  }

  /// One `NodeProto`; `index` is its place, for messages.
  func node(_ message: WireReader, _ index: Int) throws(StackLensError) -> Node {
    try count()
    var node = Node("", inputs: [], outputs: [])
    var reader = message
    do throws(StackLensError) {
      while let field = try reader.next() {
        switch field.number {
        case 1: try node.inputs.append(reader.string(field, "input"))
        case 2: try node.outputs.append(reader.string(field, "output"))
        case 3: node.name = try reader.string(field, "name")
        case 4: node.opType = try reader.string(field, "op_type")
        case 5:
          let (name, value) = try attribute(reader.message(field, "attribute"))
          guard node.attributes.updateValue(value, forKey: name) == nil else {
            throw .formatError("attribute '\(name)' occurs twice")
          }
        case 6: node.documentation = try reader.comment(field, "doc_string")
        case 7: node.domain = try reader.string(field, "domain")
        case 8: node.overload = try reader.string(field, "overload")
        case 9: try node.metadata.append(entry(reader.message(field, "metadata_props")))
        case 10:
          try node.deviceConfigurations.append(
            opaque(reader.bytes(field, "device_configurations"), reader))
        default: break
        }
      }
    } catch {
      throw error.within(node.name.isEmpty ? "node[\(index)]" : "node[\(index)] '\(node.name)'")
    }
    if node.domain == "ai.onnx" { node.domain = "" }
    guard !node.opType.isEmpty else { throw .formatError("node[\(index)] has no op_type") }
    return node
  }

  /// One `ValueInfoProto`.
  func valueInfo(_ message: WireReader) throws(StackLensError) -> ValueInfo {
    try count()
    var info = ValueInfo("", .unknown)
    var type: WireReader?
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: info.name = try reader.string(field, "name")
      case 2: type = try reader.message(field, "type")
      case 3: info.documentation = try reader.comment(field, "doc_string")
      case 4: try info.metadata.append(entry(reader.message(field, "metadata_props")))
      default: break
      }
    }
    if let type {
      let name = info.name
      denotations = []
      info.type = try within("'\(name)'") { () throws(StackLensError) in try valueType(type) }
      if denotations.contains(where: { !$0.isEmpty }) { info.denotations = denotations }
    }
    return info
  }

  /// A note about an inner value; nil for a type that is missing here, which matters only where
  /// the value is used.
  func knownValueInfo(_ message: WireReader) throws(StackLensError) -> ValueInfo? {
    do throws(StackLensError) { return try valueInfo(message) } catch {
      guard error.status == .unsupported else { throw error.within("value_info") }
      return nil
    }
  }

  private func annotation(
    _ message: WireReader
  ) throws(StackLensError) -> QuantizationAnnotation {
    try count()
    var annotation = QuantizationAnnotation("", [])
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: annotation.tensorName = try reader.string(field, "tensor_name")
      case 2:
        try annotation.parameters.append(
          entry(reader.message(field, "quant_parameter_tensor_names")))
      default: break
      }
    }
    return annotation
  }
}
