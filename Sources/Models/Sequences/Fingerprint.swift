import Base

/// A hash of what a message says apart from its particulars: texts that differ in numbers, addresses,
/// times and folders alone have the same one.
enum Fingerprint {
  static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash = FNV1a()
    hash.mix(bytes)
    return hash.value
  }

  static func of(_ text: String) -> UInt64 { hash(normalized(text)) }

  /// The text in lower case, particulars as fixed tokens, white space collapsed.
  static func normalized(_ text: String) -> [UInt8] {
    let bytes = Array(text.lowercased().utf8)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var place = 0
    while place < bytes.count {
      if bytes[place].isSpace {
        if let last = result.last, last != .space { result.append(.space) }
        place += 1
      } else if isStart(bytes, place), let found = particular(bytes, place) {
        result += found.token.utf8
        place = found.end
      } else {
        result.append(bytes[place])
        place += 1
      }
    }
    if result.last == .space { result.removeLast() }
    return result
  }

  /// Whether a particular may begin here: not inside of a word.
  private static func isStart(_ bytes: [UInt8], _ place: Int) -> Bool {
    place == 0 || !(bytes[place - 1].isLetter || bytes[place - 1].isDigit)
  }

  private static func particular(
    _ bytes: [UInt8], _ place: Int
  ) -> (token: StaticToken, end: Int)? {
    for kind in StaticToken.allCases {
      var scanner = ByteScanner(bytes, place)
      if scanner.takes(kind), scanner.isAtEndOfWord || kind == .folder {
        return (kind, scanner.place)
      }
    }
    return nil
  }

  /// What stands for a particular, in the order in which they are looked for.
  enum StaticToken: String, CaseIterable {
    case time = "<time>"
    case uuid = "<uuid>"
    case address = "<ip>"
    case hexadecimal = "<hex>"
    case folder = "<dir>"
    case number = "<num>"
    var utf8: String.UTF8View { rawValue.utf8 }
  }
}

/// Reads particulars from a place on.
private struct ByteScanner {
  private let bytes: [UInt8]
  private(set) var place: Int

  init(_ bytes: [UInt8], _ place: Int) { (self.bytes, self.place) = (bytes, place) }

  private var next: UInt8 { place < bytes.count ? bytes[place] : 0 }

  var isAtEndOfWord: Bool { !next.isLetter && !next.isDigit }

  mutating func takes(_ token: Fingerprint.StaticToken) -> Bool {
    switch token {
    case .time: takesDate() || takesClock()
    case .uuid: takesUUID()
    case .address: takesIPv4() || takesIPv6()
    case .hexadecimal: takesHexadecimal()
    case .folder: takesFolder()
    case .number: takesNumber()
    }
  }

  private mutating func takes(_ character: Character) -> Bool {
    guard next == character.asciiValue else { return false }
    place += 1
    return true
  }

  /// How many of a kind there are, which are passed.
  private mutating func run(_ isOne: (UInt8) -> Bool, atMost limit: Int = .max) -> Int {
    let start = place
    while place < bytes.count, place - start < limit, isOne(bytes[place]) { place += 1 }
    return place - start
  }

  /// All or nothing.
  private mutating func attempt(_ body: (inout Self) -> Bool) -> Bool {
    let start = place
    if body(&self) { return true }
    place = start
    return false
  }

  private mutating func digits(_ count: Int) -> Bool {
    attempt { $0.run(\.isDigit, atMost: count) == count }
  }

  /// 2026-11-22, with a time behind it 2026-11-22t03:04:05.678z; also 2026/11/22.
  private mutating func takesDate() -> Bool {
    attempt { scanner in
      guard scanner.digits(4), scanner.takes("-") || scanner.takes("/"), scanner.digits(2),
        scanner.takes("-") || scanner.takes("/"), scanner.digits(2)
      else { return false }
      _ = scanner.attempt { ($0.takes("t") || $0.takes(" ")) && $0.takesClock() }
      return true
    }
  }

  /// 03:04:05.678z
  private mutating func takesClock() -> Bool {
    attempt { scanner in
      guard scanner.digits(2), scanner.takes(":"), scanner.digits(2), scanner.takes(":"),
        scanner.digits(2)
      else { return false }
      _ = scanner.attempt { ($0.takes(".") || $0.takes(",")) && $0.run(\.isDigit) > 0 }
      _ =
        scanner.takes("z")
        || scanner.attempt {
          guard $0.takes("+") || $0.takes("-"), $0.digits(2) else { return false }
          _ = $0.takes(":")
          return $0.digits(2)
        }
      return true
    }
  }

  private mutating func takesUUID() -> Bool {
    attempt { scanner in
      for (index, count) in [8, 4, 4, 4, 12].enumerated() {
        guard index == 0 || scanner.takes("-"),
          scanner.run(\.isHexadecimal, atMost: count) == count
        else { return false }
      }
      return true
    }
  }

  private mutating func takesIPv4() -> Bool {
    attempt { scanner in
      for part in 0..<4 {
        guard part == 0 || scanner.takes("."), scanner.run(\.isDigit, atMost: 3) > 0 else {
          return false
        }
      }
      _ = scanner.attempt { $0.takes(":") && $0.run(\.isDigit, atMost: 5) > 0 }
      return true
    }
  }

  /// Groups of up to four hexadecimal digits between at least four colons.
  private mutating func takesIPv6() -> Bool {
    attempt { scanner in
      var colons = 0
      while true {
        _ = scanner.run(\.isHexadecimal, atMost: 4)
        guard scanner.takes(":") else { break }
        colons += 1
      }
      return colons >= 4 && colons <= 8
    }
  }

  /// 0xff, or eight digits and more of which some are letters and some are not.
  private mutating func takesHexadecimal() -> Bool {
    attempt { scanner in
      if scanner.attempt({ $0.takes("0") && $0.takes("x") && $0.run(\.isHexadecimal) > 0 }) {
        return true
      }
      let start = scanner.place
      guard scanner.run(\.isHexadecimal) >= 8 else { return false }
      let word = scanner.bytes[start..<scanner.place]
      return word.contains(where: \.isDigit) && word.contains(where: \.isLetter)
    }
  }

  /// /usr/lib/ of /usr/lib/x.py, c:\logs\ of c:\logs\x.txt.
  private mutating func takesFolder() -> Bool {
    attempt { scanner in
      let start = scanner.place
      let separator: UInt8
      if scanner.next.isLetter {
        scanner.place += 1
        guard scanner.takes(":"), scanner.next == .backslash else { return false }
        separator = .backslash
      } else {
        separator = .slash
      }
      guard scanner.next == separator else { return false }
      var end = start
      while scanner.next == separator {
        scanner.place += 1
        end = scanner.place
        _ = scanner.run { $0 != separator && $0.isInPath }
      }
      scanner.place = end
      return end - start > 1
    }
  }

  private mutating func takesNumber() -> Bool {
    attempt { scanner in
      _ = scanner.takes("-")
      guard scanner.run(\.isDigit) > 0 else { return false }
      _ = scanner.attempt { $0.takes(".") && $0.run(\.isDigit) > 0 }
      return true
    }
  }
}

extension UInt8 {
  fileprivate static let space = UInt8(ascii: " ")
  fileprivate static let slash = UInt8(ascii: "/")
  fileprivate static let backslash = UInt8(ascii: "\\")
  fileprivate var isSpace: Bool { self == .space || (9...13).contains(self) }
  fileprivate var isDigit: Bool { (48...57).contains(self) }
  /// Parts of characters outside of ASCII count as letters.
  fileprivate var isLetter: Bool { (97...122).contains(self) || self >= 128 }
  fileprivate var isHexadecimal: Bool { isDigit || (97...102).contains(self) }
  fileprivate var isInPath: Bool {
    isDigit || isLetter || [.init(ascii: "."), .init(ascii: "_"), .init(ascii: "-")].contains(self)
  }
}
