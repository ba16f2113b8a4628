import Base
import Exchange
import Graphs
import Tensors

/// Files of models: safetensors with everything that a model is in their metadata.
extension Estimator {
  private static let format = "stacklens-model-1"

  /// Writes the model, whole or not at all. The same model gives the same bytes.
  /// - Throws: `.notFitted` before it learned anything; `.ioError`, where a file of that name stays as
  ///   it was.
  public func save(to path: String) throws(StackLensError) {
    let knowledge = try learned()
    guard knowledge.isFitted else {
      throw .notFitted("the model has learned nothing yet: fit it first")
    }
    let tensors = knowledge.tensors.sorted { $0.key < $1.key }.map {
      (name: $0.key, tensor: $0.value)
    }
    let facts = JSONObject(sorting: knowledge.facts)
    func text(_ json: JSON) -> String { String(decoding: json.encoded(), as: UTF8.self) }
    try SafetensorsFile.write(
      tensors,
      metadata: [
        KeyValue("format", Self.format), KeyValue("model", definition.name),
        KeyValue("configuration", text(configuration)), KeyValue("facts", text(.object(facts))),
        KeyValue("parameters", String(knowledge.parameterCount)),
        KeyValue("checksum", Self.checksum(tensors)),
      ], to: path)
  }

  /// Reads a model.
  /// - Throws: `.ioError`; `.formatError` for what is no model of this library, and naming the tensor
  ///   for missing, further and misshaped ones and where the checksum differs.
  public static func load(path: String) throws(StackLensError) -> Estimator {
    let file = try SafetensorsFile.load(path: path)
    do throws(StackLensError) { return try Estimator(file) } catch {
      throw error.within("'\(path)'")
    }
  }

  private convenience init(_ file: SafetensorsFile) throws(StackLensError) {
    func metadata(_ key: String) throws(StackLensError) -> String {
      guard let entry = file.metadata.last(where: { $0.key == key }) else {
        throw .formatError("it is no model: it has no '\(key)'")
      }
      return entry.value
    }
    let format = try metadata("format")
    guard format == Self.format else {
      throw .formatError("its format is '\(format)', this library reads '\(Self.format)'")
    }
    let configuration = try JSON.parse(Array(try metadata("configuration").utf8))
    guard let facts = try JSON.parse(Array(try metadata("facts").utf8)).objectValue else {
      throw .formatError("its facts are no object")
    }
    do throws(StackLensError) {
      try self.init(try metadata("model"), options: configuration)
    } catch { throw .formatError(error.message) }
    var knowledge = try learned()
    for name in file.names where knowledge.tensors[name] == nil {
      throw .formatError("it has a tensor '\(name)', which such a model has not")
    }
    for name in knowledge.tensors.keys.sorted() {
      guard let tensor = file[name] else { throw .formatError("its tensor '\(name)' is missing") }
      do throws(StackLensError) { try knowledge.set(name, tensor.copied()) } catch {
        throw .formatError(error.message)
      }
    }
    let sorted = knowledge.tensors.sorted { $0.key < $1.key }.map {
      (name: $0.key, tensor: $0.value)
    }
    guard Self.checksum(sorted) == (try metadata("checksum")) else {
      throw .formatError("its checksum does not fit its contents: the file is damaged")
    }
    for member in facts.members { knowledge.facts[member.key] = member.value }
    knowledge.isFitted = true
    take(knowledge)
  }

  /// FNV-1a over the bytes of the tensors, eight at a time.
  private static func checksum(_ tensors: [(name: String, tensor: Tensor)]) -> String {
    var hash = FNV1a()
    for (_, tensor) in tensors {
      let bytes = UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)
      let whole = bytes.count / 8 * 8
      for offset in stride(from: 0, to: whole, by: 8) {
        hash.mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
      }
      hash.mix(bytes[whole...])
    }
    return String(hash.value, radix: 16)
  }

  /// What the model is and where it stands, for the doors.
  package func described() throws(StackLensError) -> JSON {
    let knowledge = try learned()
    return .object(
      JSONObject([
        .init(key: "model", value: .string(definition.name)),
        .init(key: "configuration", value: configuration),
        .init(key: "parameters", value: .integer(Int64(knowledge.parameterCount))),
        .init(key: "is_fitted", value: .bool(knowledge.isFitted)),
        .init(key: "facts", value: .object(JSONObject(sorting: knowledge.facts))),
      ]))
  }
}
