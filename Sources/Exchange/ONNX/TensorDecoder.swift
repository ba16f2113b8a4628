import Base
import Graphs
import Tensors

/// What a `TensorProto` says before its elements are looked at.
private struct TensorFields {
  var name = ""
  var documentation = ""
  var metadata: [KeyValue] = []
  var dims: [Int64] = []
  var dataType: Int32 = 0
  var raw: Range<Int>?
  var external: [KeyValue] = []
  var isExternal = false
  /// Elements found in the typed data fields, by field number.
  var typedCounts: [Int: Int] = [:]
  /// The bytes of a packed field that occurs once.
  var packed: Range<Int>?
  var packedRunCount = 0
}

extension ModelDecoder {
  /// Highest rank that a file may ask for.
  static let maximumRank = 64

  /// One `TensorProto`.
  /// - Throws: `.formatError` when data and shape disagree, `.unsupported` for element types that
  ///   are missing here.
  func initializer(
    _ message: WireReader, needsName: Bool = true
  ) throws(StackLensError) -> Initializer {
    try count()
    var fields = TensorFields()
    do throws(StackLensError) {
      try read(message, into: &fields)
      guard !needsName || !fields.name.isEmpty else { throw .formatError("it has no name") }
      let tensor = try tensor(fields, message)
      return Initializer(
        fields.name, tensor, documentation: fields.documentation, metadata: fields.metadata)
    } catch {
      throw error.within("tensor '\(fields.name)'")
    }
  }

  private func read(
    _ message: WireReader, into fields: inout TensorFields
  ) throws(StackLensError) {
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1:
        try reader.append(field, "dims", to: &fields.dims)
        guard fields.dims.count <= Self.maximumRank else {
          throw .limitExceeded("its rank is over \(Self.maximumRank)")
        }
      case 2: fields.dataType = try reader.int32(field, "data_type")
      case 3: throw .unsupported("tensors in segments are not supported")
      case 4, 5, 6, 7, 10, 11: try countElements(field, reader, into: &fields)
      case 8: fields.name = try reader.string(field, "name")
      case 9: fields.raw = try reader.bytes(field, "raw_data")
      case 12: fields.documentation = try reader.comment(field, "doc_string")
      case 13: try fields.external.append(entry(reader.message(field, "external_data")))
      case 14:
        let location = try reader.int32(field, "data_location")
        guard location == 0 || location == 1 else {
          throw .formatError("data_location is \(location), expected 0 or 1")
        }
        fields.isExternal = location == 1
      case 16: try fields.metadata.append(entry(reader.message(field, "metadata_props")))
      default: break
      }
    }
  }

  private func countElements(
    _ field: WireField, _ reader: WireReader, into fields: inout TensorFields
  ) throws(StackLensError) {
    var found = 1
    if case .bytes(let range) = field.value, field.number != 6 {
      switch field.number {
      case 4: found = try whole(range, 4)
      case 10: found = try whole(range, 8)
      default:
        found = 0
        for byte in reader.block[range] where byte < 0x80 { found += 1 }
      }
      fields.packed = range
    }
    fields.packedRunCount += 1
    fields.typedCounts[field.number, default: 0] += found
  }

  private func whole(_ range: Range<Int>, _ size: Int) throws(StackLensError) -> Int {
    guard range.count % size == 0 else {
      throw .formatError("\(range.count) bytes of data are no multiple of \(size)")
    }
    return range.count / size
  }

  private func tensor(
    _ fields: TensorFields, _ message: WireReader
  ) throws(StackLensError) -> Tensor {
    let elementType = try elementType(fields.dataType)
    let shape = try Shape(fields.dims.map(Int.init))
    let places =
      (fields.raw == nil ? 0 : 1) + (fields.isExternal ? 1 : 0) + fields.typedCounts.count
    guard places <= 1 else { throw .formatError("its data are given in \(places) places") }
    if fields.isExternal { return try external(fields.external, elementType, shape) }
    guard fields.external.isEmpty else {
      throw .formatError("it names external data, but its data_location is not EXTERNAL")
    }
    if let raw = fields.raw {
      guard elementType != .string else { throw .formatError("strings cannot be raw data") }
      return try source.tensor(elementType, shape, at: raw)
    }
    let expected = Self.dataField(elementType)
    let entryCount = Self.entryCount(elementType, shape.count)
    let found = fields.typedCounts[expected.number] ?? 0
    if let other = fields.typedCounts.keys.first, other != expected.number {
      throw .formatError("\(elementType.name) belongs into \(expected.name), not field \(other)")
    }
    guard found == entryCount else {
      throw .formatError(
        "shape \(shape) takes \(entryCount) elements, \(expected.name) has \(found)")
    }
    if let packed = fields.packed, fields.packedRunCount == 1,
      expected.number == 4 || expected.number == 10
    {
      return try source.tensor(elementType, shape, at: packed)
    }
    let entryType = Self.entryType(elementType)
    let entries = try Tensor(
      uninitialized: entryType, entryType == elementType ? shape : Shape([entryCount]))
    var filler = TensorFiller(entries, of: elementType)
    var reader = message
    while let field = try reader.next() {
      if field.number == expected.number { try filler.add(field, reader) }
    }
    if entryType == elementType { return entries }
    if elementType.isPacked { return try Tensor(unpacking: entries.base, elementType, shape) }
    return Tensor(
      elementType: elementType, shape: shape, storage: entries.storage, base: entries.base)
  }

  /// Entries that a data field has for `count` elements: a complex number takes two, elements of 2
  /// and 4 bits share one.
  private static func entryCount(_ type: ElementType, _ count: Int) -> Int {
    if type.isComplex { return 2 * count }
    return entryType(type) == type ? count : type.fileByteCount(count)
  }

  /// The type of an entry: that of the elements unless an entry is half of one or several.
  private static func entryType(_ type: ElementType) -> ElementType {
    switch type {
    case .complex64: .float32
    case .complex128: .float64
    case .int2, .uint2, .int4, .uint4, .float4e2m1: .uint8
    default: type
    }
  }

  /// The field that holds elements of a type when they are not raw.
  private static func dataField(_ type: ElementType) -> (number: Int, name: String) {
    switch type {
    case .float32, .complex64: (4, "float_data")
    case .string: (6, "string_data")
    case .int64: (7, "int64_data")
    case .float64, .complex128: (10, "double_data")
    case .uint32, .uint64: (11, "uint64_data")
    default: (5, "int32_data")
    }
  }
}
