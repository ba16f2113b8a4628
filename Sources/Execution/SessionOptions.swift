import Base

/// How loud a log line is. The raw values are the C ABI's.
public enum LogLevel: Int32, Sendable {
  case debug = 0
  case info = 1
  case warning = 2
  case error = 3
}

/// How a session compiles and runs its model.
public struct SessionOptions: Sendable {
  /// Threads of one run, the caller included; 0 means all processors the process may use.
  public var threadCount = 0
  /// 0: as written. 1: folding and dead code. 2: fusions too.
  public var optimizationLevel = 2
  /// Bytes that one run may take for intermediate values and outputs.
  public var memoryLimit = usableMemoryByteCount / 10 * 8
  /// Products with weights round both factors to bfloat16, where the processor has such products;
  /// sums stay float32.
  package var roundsProducts = false
  /// Record the time of each step for `Session.profile()`.
  public var isProfiling = false
  public var log: (@Sendable (LogLevel, String) -> Void)?

  public init() {}
}
