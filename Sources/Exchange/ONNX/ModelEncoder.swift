import Base
import Graphs
import Tensors

/// Writes the messages of ONNX, fields in ascending order of meaning and attributes by name, so
/// that equal models give equal bytes.
struct ModelEncoder {
  /// Tensors of this size and more begin at multiples of `alignment` in the file.
  static let alignedByteCount = 256
  static let alignment = 8

  /// Where large initialisers go when they do not go into the model itself.
  var external: ExternalLayout?

  /// The model as it is; `Exporter` has put it into the form of its opsets before.
  mutating func model(_ model: Model) -> WireWriter {
    var writer = WireWriter()
    writer.integer(1, model.irVersion)
    writer.optionalString(2, model.producerName)
    writer.optionalString(3, model.producerVersion)
    writer.optionalString(4, model.domain)
    writer.optionalString(6, model.documentation)
    for (domain, version) in model.opsetImports.sorted(by: { $0.key < $1.key }) {
      writer.message(8, opset(domain, version))
    }
    for entry in model.metadata { writer.message(14, keyValue(entry)) }
    for training in model.training { writer.message(20, self.training(training)) }
    for function in model.functions { writer.message(25, self.function(function)) }
    for configuration in model.deviceConfigurations { writer.bytes(26, configuration.bytes) }
    let graph = graph(model.graph, isMain: true)
    // A number may be written with more bytes than it needs; that moves the graph to an aligned
    // place.
    let versionSize = 1 + WireWriter.size(UInt64(bitPattern: model.modelVersion))
    let start = writer.byteCount + versionSize + 1 + WireWriter.size(UInt64(graph.byteCount))
    let padding = (Self.alignment - start % Self.alignment) % Self.alignment
    writer.integer(5, model.modelVersion, padding: versionSize + padding <= 11 ? padding : 0)
    writer.message(7, graph)
    return writer
  }

  private mutating func graph(_ graph: Graph, isMain: Bool = false) -> WireWriter {
    var writer = WireWriter()
    for node in graph.nodes { writer.message(1, self.node(node)) }
    writer.optionalString(2, graph.name)
    for initializer in graph.initializers where !initializer.isWrittenSparse {
      let place = isMain ? writer.byteCount : nil
      writer.message(5, self.initializer(initializer, at: place))
    }
    writer.optionalString(10, graph.documentation)
    for info in graph.inputs { writer.message(11, valueInfo(info)) }
    for info in graph.outputs { writer.message(12, valueInfo(info)) }
    for info in graph.valueInfo { writer.message(13, valueInfo(info)) }
    for annotation in graph.quantization {
      var message = WireWriter()
      message.string(1, annotation.tensorName)
      for entry in annotation.parameters { message.message(2, keyValue(entry)) }
      writer.message(14, message)
    }
    for initializer in graph.initializers where initializer.isWrittenSparse {
      writer.message(15, sparse(initializer))
    }
    for entry in graph.metadata { writer.message(16, keyValue(entry)) }
    return writer
  }

  private mutating func node(_ node: Node) -> WireWriter {
    var writer = WireWriter()
    for name in node.inputs { writer.string(1, name) }
    for name in node.outputs { writer.string(2, name) }
    writer.optionalString(3, node.name)
    writer.string(4, node.opType)
    for (name, value) in node.attributes.sorted(by: { $0.key < $1.key }) {
      writer.message(5, attribute(name, value))
    }
    writer.optionalString(6, node.documentation)
    writer.optionalString(7, node.domain)
    writer.optionalString(8, node.overload)
    for entry in node.metadata { writer.message(9, keyValue(entry)) }
    for configuration in node.deviceConfigurations { writer.bytes(10, configuration.bytes) }
    return writer
  }

  private mutating func training(_ training: TrainingInfo) -> WireWriter {
    var writer = WireWriter()
    if let graph = training.initialization { writer.message(1, self.graph(graph)) }
    if let graph = training.algorithm { writer.message(2, self.graph(graph)) }
    for entry in training.initializationBinding { writer.message(3, keyValue(entry)) }
    for entry in training.updateBinding { writer.message(4, keyValue(entry)) }
    return writer
  }

  private mutating func attribute(_ name: String, _ value: Attribute) -> WireWriter {
    var writer = WireWriter()
    writer.string(1, name)
    switch value {
    case .float(let number): writer.float(2, number)
    case .int(let number): writer.integer(3, number)
    case .string(let text): writer.string(4, text)
    case .tensor(let tensor): writer.message(5, self.tensor(Initializer("", tensor), padding: 0))
    case .graph(let graph): writer.message(6, self.graph(graph))
    case .floats(let numbers): writer.floats(7, numbers)
    case .ints(let numbers): writer.integers(8, numbers)
    case .strings(let texts): for text in texts { writer.string(9, text) }
    case .tensors(let tensors):
      for tensor in tensors {
        writer.message(10, self.tensor(Initializer("", tensor), padding: 0))
      }
    case .graphs(let graphs): for graph in graphs { writer.message(11, self.graph(graph)) }
    case .type(let type): writer.message(14, valueType(type))
    case .types(let types): for type in types { writer.message(15, valueType(type)) }
    case .reference(let name, _): writer.string(21, name)
    }
    writer.integer(20, Int64(value.kindNumber))
    return writer
  }

  private mutating func function(_ function: Function) -> WireWriter {
    var writer = WireWriter()
    writer.string(1, function.name)
    for name in function.inputs { writer.string(4, name) }
    for name in function.outputs { writer.string(5, name) }
    for name in function.attributeNames { writer.string(6, name) }
    for node in function.nodes { writer.message(7, self.node(node)) }
    writer.optionalString(8, function.documentation)
    for (domain, version) in function.opsetImports.sorted(by: { $0.key < $1.key }) {
      writer.message(9, opset(domain, version))
    }
    writer.optionalString(10, function.domain)
    for (name, value) in function.attributeDefaults.sorted(by: { $0.key < $1.key }) {
      writer.message(11, attribute(name, value))
    }
    for info in function.valueInfo { writer.message(12, valueInfo(info)) }
    writer.optionalString(13, function.overload)
    for entry in function.metadata { writer.message(14, keyValue(entry)) }
    return writer
  }

  private func opset(_ domain: String, _ version: Int) -> WireWriter {
    var writer = WireWriter()
    writer.optionalString(1, domain)
    writer.integer(2, Int64(version))
    return writer
  }

  func keyValue(_ entry: KeyValue) -> WireWriter {
    var writer = WireWriter()
    writer.string(1, entry.key)
    writer.string(2, entry.value)
    return writer
  }

  private func valueInfo(_ info: ValueInfo) -> WireWriter {
    var writer = WireWriter()
    writer.string(1, info.name)
    if info.type != .unknown {
      var denotations = info.denotations[...]
      writer.message(2, valueType(info.type, &denotations))
    }
    writer.optionalString(3, info.documentation)
    for entry in info.metadata { writer.message(4, keyValue(entry)) }
    return writer
  }

  private func valueType(_ type: ValueType) -> WireWriter {
    var none: ArraySlice<String> = []
    return valueType(type, &none)
  }

  /// A type with the denotations of its parts, which it takes off the front.
  private func valueType(
    _ type: ValueType, _ denotations: inout ArraySlice<String>
  ) -> WireWriter {
    var (writer, inner) = (WireWriter(), WireWriter())
    let denotation = denotations.popFirst() ?? ""
    switch type {
    case .tensor(let elementType, let dims):
      inner.integer(1, Int64(elementType.rawValue))
      if let dims { inner.message(2, shape(dims, &denotations)) }
      writer.message(1, inner)
    case .sequence(let element):
      inner.message(1, valueType(element, &denotations))
      writer.message(4, inner)
    case .map(let key, let value):
      inner.integer(1, Int64(key.rawValue))
      inner.message(2, valueType(value, &denotations))
      writer.message(5, inner)
    case .optional(let element):
      inner.message(1, valueType(element, &denotations))
      writer.message(9, inner)
    case .unknown: break
    }
    writer.optionalString(6, denotation)
    return writer
  }

  private func shape(_ dims: [Dimension], _ denotations: inout ArraySlice<String>) -> WireWriter {
    var writer = WireWriter()
    for dim in dims {
      var message = WireWriter()
      switch dim {
      case .fixed(let extent): message.integer(1, Int64(extent))
      case .named(let name): message.string(2, name)
      case .unknown: break
      }
      message.optionalString(3, denotations.popFirst() ?? "")
      writer.message(1, message)
    }
    return writer
  }
}
