import Base

/// A pattern of names, as shells have them for files: `*` stands for any characters (dots and
/// slashes too), `?` for one, `[0-3]` and `[abc]` for one of a set, `[!abc]` for one outside it.
///
///     try Glob("encoder.layer.[0-3].*").matches("encoder.layer.2.bias")  // true
package struct Glob: Sendable, Equatable {
  package let pattern: String
  private let parts: [Part]

  private enum Part: Sendable, Equatable {
    case anything
    case any
    case one(Unicode.Scalar)
    case set([ClosedRange<Unicode.Scalar>], isInverted: Bool)

    func takes(_ scalar: Unicode.Scalar) -> Bool {
      switch self {
      case .anything, .any: true
      case .one(let own): own == scalar
      case .set(let ranges, let isInverted):
        ranges.contains { $0.contains(scalar) } != isInverted
      }
    }
  }

  /// - Throws: `.invalidArgument` for a set without an end, without members or with a range that
  ///   runs backwards.
  package init(_ pattern: String) throws(StackLensError) {
    self.pattern = pattern
    let scalars = Array(pattern.unicodeScalars)
    var (parts, at) = ([Part](), 0)
    while at < scalars.count {
      switch scalars[at] {
      case "*":
        if parts.last != .anything { parts.append(.anything) }
        at += 1
      case "?":
        parts.append(.any)
        at += 1
      case "[":
        let (set, end) = try Self.set(scalars, from: at + 1, of: pattern)
        parts.append(set)
        at = end
      default:
        parts.append(.one(scalars[at]))
        at += 1
      }
    }
    self.parts = parts
  }

  /// The set whose members begin at `start`, and where the pattern goes on behind it.
  private static func set(
    _ scalars: [Unicode.Scalar], from start: Int, of pattern: String
  ) throws(StackLensError) -> (Part, end: Int) {
    var (at, ranges) = (start, [ClosedRange<Unicode.Scalar>]())
    let isInverted = at < scalars.count && (scalars[at] == "!" || scalars[at] == "^")
    if isInverted { at += 1 }
    // A bracket that comes first is a member.
    while at < scalars.count, scalars[at] != "]" || ranges.isEmpty {
      var last = scalars[at]
      let first = last
      if at + 2 < scalars.count, scalars[at + 1] == "-", scalars[at + 2] != "]" {
        last = scalars[at + 2]
        at += 2
      }
      guard first <= last else {
        throw .invalidArgument("pattern '\(pattern)': the range \(first)-\(last) runs backwards")
      }
      ranges.append(first...last)
      at += 1
    }
    guard at < scalars.count else {
      throw .invalidArgument("pattern '\(pattern)': '[' has no ']'")
    }
    return (.set(ranges, isInverted: isInverted), at + 1)
  }

  /// Whether the whole name fits.
  package func matches(_ name: String) -> Bool {
    let scalars = Array(name.unicodeScalars)
    var (part, at) = (0, 0)
    // Where to go on when what follows the last star does not fit: one character further.
    var retry: (part: Int, at: Int)?
    while at < scalars.count {
      if part < parts.count, parts[part] == .anything {
        retry = (part, at)
        part += 1
      } else if part < parts.count, parts[part].takes(scalars[at]) {
        part += 1
        at += 1
      } else if let star = retry {
        retry = (star.part, star.at + 1)
        (part, at) = (star.part + 1, star.at + 1)
      } else {
        return false
      }
    }
    return parts[part...].allSatisfy { $0 == .anything }
  }
}

extension [Glob] {
  /// Whether a name fits any of the patterns.
  package func match(_ name: String) -> Bool { contains { $0.matches(name) } }
}
