/// Reads JSON (RFC 8259) front to back out of bytes that nobody has checked.
///
/// `value()` builds a tree; `forEachMember` and `forEachIntegerMember` hand out the members of an
/// object one by one, for objects of which a tree would be a waste. The bytes must outlive the reader.
package struct JSONReader {
  private let base: UnsafePointer<UInt8>?
  private let count: Int
  private var position = 0
  private var depth = 0
  private var valuesLeft: Int
  private let limits: JSONLimits

  package init(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()) {
    base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    count = bytes.count
    valuesLeft = limits.values
    self.limits = limits
  }

  /// The next value as a tree.
  package mutating func value() throws(StackLensError) -> JSON {
    valuesLeft -= 1
    guard valuesLeft >= 0 else {
      throw .limitExceeded("JSON holds more than \(limits.values) values")
    }
    switch try peek() {
    case UInt8(ascii: "{"): return .object(try object())
    case UInt8(ascii: "["): return .array(try array())
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"):
      try literal("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try literal("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try literal("null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    case let byte: throw unexpected(byte, "a value")
    }
  }

  /// Checks that only white space is left.
  package mutating func end() throws(StackLensError) {
    skipSpace()
    if position < count { throw failure("expected the end of the document") }
  }

  /// Reads an object and calls `body` at each member's value, which `body` must read or skip.
  package mutating func forEachMember(
    _ body: (inout JSONReader, String) throws(StackLensError) -> Void
  ) throws(StackLensError) {
    try open("{", "an object")
    if try !isNext("}") {
      repeat {
        let key = try string()
        try expect(":")
        try body(&self, key)
      } while try separator("}")
    }
    depth -= 1
  }

  /// Reads an object of integers, such as a vocabulary. The key's bytes are UTF-8 and valid only
  /// during the call.
  package mutating func forEachIntegerMember(
    _ body: (UnsafeBufferPointer<UInt8>, Int64) throws(StackLensError) -> Void
  ) throws(StackLensError) {
    try open("{", "an object")
    if try !isNext("}") {
      repeat {
        let (start, end, escaped) = try scanString()
        var key = UnsafeBufferPointer(start: base.map { $0 + start }, count: end - start)
        var copy: [UInt8] = []
        if escaped { copy = try unescape(start, end) }
        try expect(":")
        let at = position
        guard case .integer(let value) = try value() else {
          throw failure("expected an integer", at: at)
        }
        if escaped {
          // The borrowed buffer may not leave the closure, so the call happens inside it.
          let result = copy.withUnsafeBufferPointer { bytes -> Result<Void, StackLensError> in
            do throws(StackLensError) {
              return .success(try body(bytes, value))
            } catch {
              return .failure(error)
            }
          }
          try result.get()
        } else {
          if key.baseAddress == nil { key = UnsafeBufferPointer(start: nil, count: 0) }
          try body(key, value)
        }
      } while try separator("}")
    }
    depth -= 1
  }

  /// Whether the next value is an object; reads nothing.
  package mutating func isObject() -> Bool {
    skipSpace()
    guard let base, position < count else { return false }
    return base[position] == UInt8(ascii: "{")
  }

  // MARK: Parts

  private mutating func object() throws(StackLensError) -> JSONObject {
    var members: [JSONObject.Member] = []
    var seen: Set<String> = []
    let rejects = limits.rejectsDuplicateKeys
    try forEachMember { (reader, key) throws(StackLensError) in
      if rejects, !seen.insert(key).inserted {
        throw reader.failure("key \"\(key.prefix(80))\" appears twice in one object")
      }
      members.append(JSONObject.Member(key: key, value: try reader.value()))
    }
    return JSONObject(members)
  }

  private mutating func array() throws(StackLensError) -> [JSON] {
    var elements: [JSON] = []
    try open("[", "an array")
    if try !isNext("]") {
      repeat { elements.append(try value()) } while try separator("]")
    }
    depth -= 1
    return elements
  }

  /// The next string.
  package mutating func string() throws(StackLensError) -> String {
    let (start, end, escaped) = try scanString()
    if escaped { return String(decoding: try unescape(start, end), as: UTF8.self) }
    let bytes = UnsafeBufferPointer(start: base.map { $0 + start }, count: end - start)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Passes over a string, checks its UTF-8, and returns where its content lies.
  private mutating func scanString() throws(StackLensError) -> (Int, Int, escaped: Bool) {
    let opening = try peek()
    guard opening == UInt8(ascii: "\""), let base else { throw unexpected(opening, "a string") }
    position += 1
    let start = position
    var escaped = false
    while position < count {
      let byte = base[position]
      if byte == UInt8(ascii: "\"") {
        position += 1
        return (start, position - 1, escaped)
      }
      if byte == UInt8(ascii: "\\") {
        escaped = true
        position += 2
      } else if byte < 0x20 {
        throw failure("control character in a string")
      } else if byte < 0x80 {
        position += 1
      } else {
        let (_, length, valid) = UTF8Reader.decode(base + position, count: count - position)
        if !valid { throw failure("string is not UTF-8") }
        position += length
      }
    }
    throw failure("string without end", at: start - 1)
  }

  private func unescape(_ start: Int, _ end: Int) throws(StackLensError) -> [UInt8] {
    guard let base else { return [] }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(end - start)
    var at = start
    while at < end {
      guard base[at] == UInt8(ascii: "\\") else {
        bytes.append(base[at])
        at += 1
        continue
      }
      // scanString passed the byte after the backslash, so at + 1 < end.
      let code = base[at + 1]
      at += 2
      switch code {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(code)
      case UInt8(ascii: "b"): bytes.append(8)
      case UInt8(ascii: "f"): bytes.append(12)
      case UInt8(ascii: "n"): bytes.append(10)
      case UInt8(ascii: "r"): bytes.append(13)
      case UInt8(ascii: "t"): bytes.append(9)
      case UInt8(ascii: "u"):
        var scalar = try hexadecimal(at, end)
        at += 4
        if (0xD800..<0xDC00).contains(scalar), at + 1 < end, base[at] == UInt8(ascii: "\\"),
          base[at + 1] == UInt8(ascii: "u")
        {
          let low = try hexadecimal(at + 2, end)
          if (0xDC00..<0xE000).contains(low) {
            scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
            at += 6
          }
        }
        guard !(0xD800..<0xE000).contains(scalar) else {
          throw failure("escape names half a surrogate pair", at: at)
        }
        UTF8Reader.append(scalar, to: &bytes)
      default: throw failure("unknown escape in a string", at: at - 2)
      }
    }
    return bytes
  }

  private func hexadecimal(_ at: Int, _ end: Int) throws(StackLensError) -> UInt32 {
    guard let base, at + 4 <= end else { throw failure("escape is cut off", at: at) }
    var value: UInt32 = 0
    for index in at..<(at + 4) {
      let byte = base[index]
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw failure("escape needs four hexadecimal digits", at: index)
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  private mutating func number() throws(StackLensError) -> JSON {
    guard let base else { throw failure("expected a number") }
    let start = position
    var whole: Int64 = 0
    var fits = true
    let negative = base[position] == UInt8(ascii: "-")
    if negative { position += 1 }
    let firstDigit = position
    while position < count, isDigit(base[position]) {
      let digit = Int64(base[position] - UInt8(ascii: "0"))
      let (product, overflow) = whole.multipliedReportingOverflow(by: 10)
      let (sum, carry) =
        negative
        ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      if overflow || carry { fits = false } else { whole = sum }
      position += 1
    }
    let digits = position - firstDigit
    if digits == 0 || (digits > 1 && base[firstDigit] == UInt8(ascii: "0")) {
      throw failure("malformed number", at: start)
    }
    var isReal = false
    if position < count, base[position] == UInt8(ascii: ".") {
      isReal = true
      position += 1
      try skipDigits(start)
    }
    if position < count, base[position] | 0x20 == UInt8(ascii: "e") {
      isReal = true
      position += 1
      if position < count,
        base[position] == UInt8(ascii: "+") || base[position] == UInt8(ascii: "-")
      {
        position += 1
      }
      try skipDigits(start)
    }
    if !isReal, fits { return .integer(whole) }
    guard position - start <= 1_000 else { throw failure("number is too long", at: start) }
    let text = String(
      decoding: UnsafeBufferPointer(start: base + start, count: position - start), as: UTF8.self)
    guard let value = Double(text), value.isFinite else {
      throw failure("number \(text.prefix(40)) is out of range", at: start)
    }
    return .number(value)
  }

  private mutating func skipDigits(_ start: Int) throws(StackLensError) {
    guard let base, position < count, isDigit(base[position]) else {
      throw failure("malformed number", at: start)
    }
    while position < count, isDigit(base[position]) { position += 1 }
  }

  private func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }

  // MARK: Marks

  private mutating func skipSpace() {
    guard let base else { return }
    while position < count {
      let byte = base[position]
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      position += 1
    }
  }

  private mutating func peek() throws(StackLensError) -> UInt8 {
    skipSpace()
    guard let base, position < count else { throw failure("document ends too early", at: count) }
    return base[position]
  }

  private mutating func open(
    _ mark: Unicode.Scalar, _ what: String
  ) throws(StackLensError) {
    let byte = try peek()
    guard byte == UInt8(ascii: mark) else { throw unexpected(byte, what) }
    guard depth < limits.depth else {
      throw .limitExceeded("JSON is nested deeper than \(limits.depth) at byte \(position)")
    }
    depth += 1
    position += 1
  }

  private mutating func expect(_ mark: Unicode.Scalar) throws(StackLensError) {
    let byte = try peek()
    guard byte == UInt8(ascii: mark) else { throw unexpected(byte, "'\(mark)'") }
    position += 1
  }

  /// Passes over `mark` if it comes next.
  private mutating func isNext(_ mark: Unicode.Scalar) throws(StackLensError) -> Bool {
    guard try peek() == UInt8(ascii: mark) else { return false }
    position += 1
    return true
  }

  /// Passes over a comma (true: another item follows) or the closing mark (false).
  private mutating func separator(_ closing: Unicode.Scalar) throws(StackLensError) -> Bool {
    let byte = try peek()
    guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: closing) else {
      throw unexpected(byte, "',' or '\(closing)'")
    }
    position += 1
    return byte == UInt8(ascii: ",")
  }

  private mutating func literal(_ text: StaticString) throws(StackLensError) {
    let length = text.utf8CodeUnitCount
    guard let base, count - position >= length else {
      throw failure("document ends too early", at: count)
    }
    for index in 0..<length where base[position + index] != text.utf8Start[index] {
      throw failure("expected \(text)")
    }
    position += length
  }

  private func unexpected(_ byte: UInt8, _ wanted: String) -> StackLensError {
    let shown =
      byte >= 0x20 && byte < 0x7F ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
    return failure("expected \(wanted), found \(shown)")
  }

  private func failure(_ message: String, at offset: Int? = nil) -> StackLensError {
    .formatError("JSON, byte \(offset ?? position): \(message)")
  }
}
