import Base
import Testing

@testable import Text

/// The files that scripts/generate-tokenizer-golden.py wrote.
enum Golden {
  static func file(_ name: String) throws -> MappedFile {
    try MappedFile(path: "\(folder(of: "\(#filePath)"))/Golden/\(name)")
  }

  static func tokenizer(_ variant: String) throws -> Tokenizer {
    let file = try file("\(variant).tokenizer.json")
    defer { withExtendedLifetime(file) {} }
    return try Tokenizer(tokenizerJSON: file.bytes)
  }

  static func json(_ name: String) throws -> JSON {
    let file = try file(name)
    defer { withExtendedLifetime(file) {} }
    return try JSON.parse(file.bytes)
  }
}

/// Calls `body` with the bytes of an array.
func withRaw<Value>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Value
) rethrows -> Value {
  try bytes.withUnsafeBytes(body)
}
