import Base
import Graphs
import Tensors

/// Reads the messages of ONNX IR 14 and older.
final class ModelDecoder {
  /// Most messages of a file that become objects in memory.
  static let maximumObjectCount = 8_000_000

  let source: ByteSource
  /// Where external data lie; nil when the bytes came without a folder.
  let folder: String?
  var externalFiles: [String: MappedFile] = [:]
  private var objectCount = 0
  /// Denotations in the value that is being read.
  var denotations: [String] = []

  init(_ source: ByteSource, folder: String?) {
    self.source = source
    self.folder = folder
  }

  /// Counts an object against `maximumObjectCount`.
  func count() throws(StackLensError) {
    objectCount += 1
    guard objectCount <= Self.maximumObjectCount else {
      throw .limitExceeded("the file holds more than \(Self.maximumObjectCount) objects")
    }
  }

  /// The model as the file has it: nothing lifted, no function expanded.
  func model() throws(StackLensError) -> Model {
    var model = Model(graph: Graph(name: ""), irVersion: 0, opsetImports: [:], producerName: "")
    var reader = WireReader(source.bytes)
    var graph: Graph?
    while let field = try reader.next() {
      switch field.number {
      case 1: model.irVersion = try reader.int64(field, "ir_version")
      case 2: model.producerName = try reader.comment(field, "producer_name")
      case 3: model.producerVersion = try reader.comment(field, "producer_version")
      case 4: model.domain = try reader.comment(field, "domain")
      case 5: model.modelVersion = try reader.int64(field, "model_version")
      case 6: model.documentation = try reader.comment(field, "doc_string")
      case 7:
        guard graph == nil else {
          throw .formatError("the model has a second graph at offset \(field.offset)")
        }
        graph = try within("graph") { () throws(StackLensError) in
          try self.graph(reader.message(field, "graph"))
        }
      case 8: try opset(reader.message(field, "opset_import"), into: &model.opsetImports)
      case 14: try model.metadata.append(entry(reader.message(field, "metadata_props")))
      case 20:
        let index = model.training.count
        try model.training.append(
          within("training_info[\(index)]") { () throws(StackLensError) in
            try training(reader.message(field, "training_info"))
          })
      case 26:
        try model.deviceConfigurations.append(
          opaque(reader.bytes(field, "configuration"), reader))
      case 25:
        let index = model.functions.count
        try model.functions.append(
          within("functions[\(index)]") { () throws(StackLensError) in
            try function(reader.message(field, "functions"))
          })
      default: break
      }
    }
    guard let graph else { throw .formatError("the file holds no model: it has no graph") }
    model.graph = graph
    guard model.irVersion >= 1 else {
      throw .formatError("the file holds no model: its ir_version is \(model.irVersion)")
    }
    if model.irVersion < 3, model.opsetImports.isEmpty { model.opsetImports[""] = 1 }
    return model
  }

  /// Runs `body`; its errors say where it was.
  func within<Result>(
    _ place: @autoclosure () -> String, _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    do throws(StackLensError) { return try body() } catch { throw error.within(place()) }
  }

  private func opset(
    _ message: WireReader, into imports: inout [String: Int]
  ) throws(StackLensError) {
    var reader = message
    var domain = ""
    var version: Int64 = 0
    while let field = try reader.next() {
      switch field.number {
      case 1: domain = try reader.string(field, "opset_import.domain")
      case 2: version = try reader.int64(field, "opset_import.version")
      default: break
      }
    }
    if domain == "ai.onnx" { domain = "" }
    if let other = imports[domain], other != version {
      throw .formatError("domain '\(domain)' is imported in versions \(other) and \(version)")
    }
    guard version >= 1, version < 1 << 31 else {
      throw .formatError("domain '\(domain)' is imported in version \(version)")
    }
    imports[domain] = Int(version)
  }

  private func training(_ message: WireReader) throws(StackLensError) -> TrainingInfo {
    try count()
    var training = TrainingInfo()
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: training.initialization = try graph(reader.message(field, "initialization"))
      case 2: training.algorithm = try graph(reader.message(field, "algorithm"))
      case 3:
        try training.initializationBinding.append(
          entry(reader.message(field, "initialization_binding")))
      case 4: try training.updateBinding.append(entry(reader.message(field, "update_binding")))
      default: break
      }
    }
    return training
  }

  /// A message that is kept without a look at it.
  func opaque(_ range: Range<Int>, _ reader: WireReader) throws(StackLensError) -> OpaqueMessage {
    try count()
    return OpaqueMessage(bytes: Array(reader.block[range]))
  }

  /// One `StringStringEntryProto`.
  func entry(_ message: WireReader) throws(StackLensError) -> KeyValue {
    try count()
    var reader = message
    var entry = KeyValue("", "")
    while let field = try reader.next() {
      switch field.number {
      case 1: entry.key = try reader.string(field, "key")
      case 2: entry.value = try reader.string(field, "value")
      default: break
      }
    }
    return entry
  }

  private func function(_ message: WireReader) throws(StackLensError) -> Function {
    try count()
    var function = Function(name: "", domain: "", inputs: [], outputs: [], nodes: [])
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: function.name = try reader.string(field, "name")
      case 4: try function.inputs.append(reader.string(field, "input"))
      case 5: try function.outputs.append(reader.string(field, "output"))
      case 6: try function.attributeNames.append(reader.string(field, "attribute"))
      case 7: try function.nodes.append(node(reader.message(field, "node"), function.nodes.count))
      case 8: function.documentation = try reader.comment(field, "doc_string")
      case 9: try opset(reader.message(field, "opset_import"), into: &function.opsetImports)
      case 10: function.domain = try reader.string(field, "domain")
      case 11:
        let (name, value) = try attribute(reader.message(field, "attribute_proto"))
        guard function.attributeDefaults.updateValue(value, forKey: name) == nil else {
          throw .formatError("attribute '\(name)' has two defaults")
        }
      case 12:
        let note = try reader.message(field, "value_info")
        if let info = try knownValueInfo(note) { function.valueInfo.append(info) }
      case 13: function.overload = try reader.string(field, "overload")
      case 14: try function.metadata.append(entry(reader.message(field, "metadata_props")))
      default: break
      }
    }
    if function.domain == "ai.onnx" { function.domain = "" }
    guard !function.name.isEmpty else { throw .formatError("a function has no name") }
    return function
  }
}
