/// A JSON value. Objects keep the order of their members.
package enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits 64 bits.
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)

  /// Parses one document, which must fill `bytes` up to white space.
  /// - Throws: `.formatError` with the byte offset; `.limitExceeded` past `limits`.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()
  ) throws(StackLensError) -> JSON {
    var reader = JSONReader(bytes, limits: limits)
    let value = try reader.value()
    try reader.end()
    return value
  }

  /// Parses one document held in an array.
  package static func parse(
    _ bytes: [UInt8], limits: JSONLimits = JSONLimits()
  ) throws(StackLensError) -> JSON {
    let result = bytes.withUnsafeBytes { raw -> Result<JSON, StackLensError> in
      do throws(StackLensError) {
        return .success(try parse(raw, limits: limits))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// The member of that name, nil where this is no object or has none.
  package subscript(_ key: String) -> JSON? {
    guard case .object(let object) = self else { return nil }
    return object[key]
  }

  /// The element at that place, nil where this is no array or has none there.
  package subscript(_ index: Int) -> JSON? {
    guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  package var isNull: Bool { self == .null }

  package var boolValue: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }

  /// The integer, also where it is written as a number with a zero fraction.
  package var integerValue: Int64? {
    switch self {
    case .integer(let value): return value
    case .number(let value): return Int64(exactly: value)
    default: return nil
    }
  }

  package var numberValue: Double? {
    switch self {
    case .integer(let value): return Double(value)
    case .number(let value): return value
    default: return nil
    }
  }

  package var stringValue: String? {
    if case .string(let value) = self { return value }
    return nil
  }

  package var arrayValue: [JSON]? {
    if case .array(let value) = self { return value }
    return nil
  }

  package var objectValue: JSONObject? {
    if case .object(let value) = self { return value }
    return nil
  }

  /// What kind of value this is, for messages: "an object".
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// The members of a JSON object in the order of the file.
package struct JSONObject: Sendable, Equatable {
  package struct Member: Sendable, Equatable {
    package let key: String
    package let value: JSON

    package init(key: String, value: JSON) {
      self.key = key
      self.value = value
    }
  }

  package let members: [Member]

  /// Takes the members as they are; of equal keys the last one counts.
  package init(_ members: [Member]) {
    self.members = members
  }

  /// Members in the order of their names.
  package init(sorting members: [String: JSON]) {
    self.init(members.sorted { $0.key < $1.key }.map { Member(key: $0.key, value: $0.value) })
  }

  package var count: Int { members.count }

  package subscript(_ key: String) -> JSON? {
    members.last { $0.key == key }?.value
  }
}

/// How much a JSON document may hold before its reader gives up.
package struct JSONLimits: Sendable {
  /// Nesting of arrays and objects.
  package var depth = 64
  /// Values in all; an array of `[]` costs memory many times its bytes.
  package var values = 4_000_000
  /// Whether an object with the same key twice is an error; else the last one counts.
  package var rejectsDuplicateKeys = true

  package init() {}
}
