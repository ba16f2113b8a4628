/// What went wrong, as a code that a program can branch on. The raw values are the C ABI's.
public enum Status: Int32, Sendable, CaseIterable {
  case ok = 0
  case invalidArgument = 1
  case shapeMismatch = 2
  case nonFinite = 3
  case notFitted = 4
  case unsupported = 5
  case formatError = 6
  case ioError = 7
  case outOfMemory = 8
  case typeMismatch = 9
  case cancelled = 10
  case limitExceeded = 11
  case internalError = 12
}

/// The one error of the library: a status to act on and one line for people that names what was
/// found and what was expected.
public struct StackLensError: Error, Sendable, Equatable, CustomStringConvertible {
  public let status: Status
  public let message: String

  public init(_ status: Status, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { "\(status): \(message)" }

  public static func invalidArgument(_ message: String) -> Self { Self(.invalidArgument, message) }
  public static func shapeMismatch(_ message: String) -> Self { Self(.shapeMismatch, message) }
  public static func typeMismatch(_ message: String) -> Self { Self(.typeMismatch, message) }
  public static func nonFinite(_ message: String) -> Self { Self(.nonFinite, message) }
  public static func notFitted(_ message: String) -> Self { Self(.notFitted, message) }
  public static func unsupported(_ message: String) -> Self { Self(.unsupported, message) }
  public static func formatError(_ message: String) -> Self { Self(.formatError, message) }
  public static func ioError(_ message: String) -> Self { Self(.ioError, message) }
  public static func outOfMemory(_ message: String) -> Self { Self(.outOfMemory, message) }
  public static func cancelled(_ message: String) -> Self { Self(.cancelled, message) }
  public static func limitExceeded(_ message: String) -> Self { Self(.limitExceeded, message) }
  public static func internalError(_ message: String) -> Self { Self(.internalError, message) }

  /// The same error with a prefix that says where it happened: "node 'conv1' (Conv): …".
  public func within(_ place: String) -> Self { Self(status, "\(place): \(message)") }
}
