import Base
import Graphs
import Tensors

/// A file of named tensors (safetensors), mapped and used in place.
///
/// The file must not be changed while its tensors live.
public struct SafetensorsFile: Sendable {
  /// Longest header that is read.
  static let maximumHeaderByteCount = 100 << 20

  /// Names of the tensors in the order of their data.
  public let names: [String]
  /// The tensors by name, read-only.
  public let tensors: [String: Tensor]
  /// The entries of `__metadata__` in the order of the file.
  public let metadata: [KeyValue]
  private let source: ByteSource

  /// Lets the system take back the memory that pages of the file occupy; they are read again when
  /// touched.
  public func dropPages() { source.dropPages() }

  /// The tensor of that name, nil when the file has none.
  public subscript(name: String) -> Tensor? { tensors[name] }

  /// Maps a file.
  /// - Throws: `.ioError`; `.formatError` when the header is broken or the tensors do not fill the
  ///   file without gap or overlap; `.unsupported` for an element type that the library lacks.
  public static func load(path: String) throws(StackLensError) -> SafetensorsFile {
    let file = try MappedFile(path: path)
    do throws(StackLensError) { return try SafetensorsFile(ByteSource(file)) } catch {
      throw error.within("'\(path)'")
    }
  }

  /// Reads a file from bytes, which are copied once.
  public static func load(bytes: [UInt8]) throws(StackLensError) -> SafetensorsFile {
    try SafetensorsFile(ByteSource(copying: bytes))
  }

  private init(_ source: ByteSource) throws(StackLensError) {
    let bytes = source.bytes
    guard bytes.count >= 8 else {
      throw .formatError("\(bytes.count) bytes are no safetensors file")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(min(bytes.count - 8, Self.maximumHeaderByteCount)) else {
      throw .formatError(
        "the header claims \(length) bytes, the file has \(bytes.count) and a header at most "
          + "\(Self.maximumHeaderByteCount)")
    }
    let start = 8 + Int(length)
    let header = UnsafeRawBufferPointer(rebasing: bytes[8..<start])
    guard case .object(let members) = try JSON.parse(header) else {
      throw .formatError("the header is no JSON object")
    }
    var entries: [Entry] = []
    var metadata: [KeyValue] = []
    for member in members.members {
      if member.key == "__metadata__" {
        metadata = try Self.metadata(member.value)
        continue
      }
      do throws(StackLensError) { entries.append(try Entry(member.key, member.value)) } catch {
        throw error.within("tensor '\(member.key)'")
      }
    }
    entries.sort {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    var position = 0
    var tensors: [String: Tensor] = [:]
    for entry in entries {
      guard entry.range.lowerBound == position, entry.range.upperBound <= bytes.count - start else {
        throw .formatError(
          "tensor '\(entry.name)' takes bytes \(entry.range), expected to begin at \(position) and "
            + "to end by \(bytes.count - start)")
      }
      position = entry.range.upperBound
      let place = entry.range.lowerBound + start..<entry.range.upperBound + start
      let tensor: Tensor
      do throws(StackLensError) {
        tensor = try source.tensor(entry.elementType, entry.shape, at: place)
      } catch {
        throw error.within("tensor '\(entry.name)'")
      }
      guard tensors.updateValue(tensor, forKey: entry.name) == nil else {
        throw .formatError("there are two tensors '\(entry.name)'")
      }
    }
    guard position == bytes.count - start else {
      throw .formatError(
        "the tensors take \(position) bytes, the file holds \(bytes.count - start)")
    }
    self.source = source
    names = entries.map(\.name)
    self.tensors = tensors
    self.metadata = metadata
  }

  private static func metadata(_ json: JSON) throws(StackLensError) -> [KeyValue] {
    guard let object = json.objectValue else {
      throw .formatError("__metadata__ is \(json.kind), expected an object")
    }
    var metadata: [KeyValue] = []
    for member in object.members {
      guard let text = member.value.stringValue else {
        throw .formatError(
          "__metadata__ '\(member.key)' is \(member.value.kind), expected a string")
      }
      metadata.append(KeyValue(member.key, text))
    }
    return metadata
  }

  /// What the header says about one tensor.
  private struct Entry {
    let name: String
    let elementType: ElementType
    let shape: Shape
    let range: Range<Int>

    init(_ name: String, _ json: JSON) throws(StackLensError) {
      self.name = name
      guard let object = json.objectValue else {
        throw .formatError("its entry is \(json.kind), expected an object")
      }
      guard let type = object["dtype"]?.stringValue else { throw .formatError("it has no dtype") }
      elementType = try Self.elementType(type)
      let dims = try Self.integers(object["shape"], "shape")
      guard dims.count <= ModelDecoder.maximumRank else {
        throw .limitExceeded("its rank is over \(ModelDecoder.maximumRank)")
      }
      shape = try Shape(dims)
      let offsets = try Self.integers(object["data_offsets"], "data_offsets")
      guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1] else {
        throw .formatError("its data_offsets are \(offsets), expected a start and an end")
      }
      range = offsets[0]..<offsets[1]
    }

    private static func integers(
      _ json: JSON?, _ key: String
    ) throws(StackLensError) -> [Int] {
      guard let values = json?.arrayValue else { throw .formatError("its \(key) is no array") }
      var integers: [Int] = []
      for value in values {
        guard case .integer(let integer) = value else {
          throw .formatError("its \(key) holds \(value.kind), expected integers")
        }
        integers.append(Int(integer))
      }
      return integers
    }

    private static func elementType(_ name: String) throws(StackLensError) -> ElementType {
      guard let found = safetensorsTypes.first(where: { $0.name == name }) else {
        throw .unsupported("element type '\(name)' is not supported")
      }
      return found.type
    }
  }
}

/// What the format calls the element types.
let safetensorsTypes: [(name: String, type: ElementType)] = [
  ("F64", .float64), ("F32", .float32), ("F16", .float16), ("BF16", .bfloat16), ("I64", .int64),
  ("I32", .int32), ("I16", .int16), ("I8", .int8), ("U64", .uint64), ("U32", .uint32),
  ("U16", .uint16), ("U8", .uint8), ("BOOL", .bool), ("C64", .complex64),
  ("F8_E4M3", .float8e4m3fn), ("F8_E5M2", .float8e5m2), ("F8_E8M0", .float8e8m0),
  ("F6_E2M3", .float6e2m3), ("F6_E3M2", .float6e3m2), ("F4", .float4e2m1),
]
