import CPlatform

/// The bytes of a file, mapped read-only and shared by everyone who keeps this object alive.
public final class MappedFile: @unchecked Sendable {  // immutable after init
  private let base: UnsafeMutableRawPointer?
  private let mappedByteCount: Int
  private let slack: Int

  /// Maps the whole file at `path`.
  /// - Throws: `.ioError` with the system's reason.
  public init(path: String) throws(StackLensError) {
    var mapping = slp_mapping()
    let code = slp_map_file(path, &mapping)
    guard code == 0 else { throw .ioError("cannot read '\(path)': \(systemMessage(code))") }
    (base, mappedByteCount, slack) = (mapping.base, mapping.byte_count, 0)
  }

  /// Maps `length` bytes (all, if nil) from `offset` of the file `relative`, which must lie inside
  /// `folder`: absolute paths, `..` that leaves it, symbolic links and hard links are refused.
  public init(
    folder: String, relative: String, offset: Int = 0, length: Int? = nil
  ) throws(StackLensError) {
    var mapping = slp_mapping()
    var slack = 0
    guard offset >= 0, (length ?? 0) >= 0 else {
      throw .formatError("negative offset \(offset) or length \(length ?? 0) for '\(relative)'")
    }
    guard !relative.utf8.contains(0) else {
      throw .formatError("file name '\(relative)' contains a zero byte")
    }
    let code = slp_map_file_below(
      folder, relative, offset, length ?? Int(bitPattern: UInt.max),
      &mapping, &slack)
    guard code == 0 else {
      throw .ioError(
        "cannot read '\(relative)' in folder '\(folder)': \(systemMessage(code)) "
          + "(offset \(offset), length \(length.map(String.init) ?? "to the end"); files must lie "
          + "inside that folder and not be links)")
    }
    (base, mappedByteCount, self.slack) = (mapping.base, mapping.byte_count, slack)
  }

  deinit { slp_unmap(base, mappedByteCount) }

  /// The file's bytes; valid as long as this object lives.
  public var bytes: UnsafeRawBufferPointer {
    guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(start: base + slack, count: mappedByteCount - slack)
  }

  /// Lets the system take the pages back; they are read again when touched.
  public func dropPages() { slp_drop_pages(base, mappedByteCount) }
}

/// A file written beside its target and renamed over it by `commit`, so that a reader sees the old
/// file or the whole new one.
public struct AtomicFile: ~Copyable {
  private var handle: OpaquePointer?
  private let path: String

  /// - Throws: `.ioError` where nothing can be written, or where the path leads to a folder or to a
  ///   device, which renaming would replace.
  public init(path: String) throws(StackLensError) {
    self.path = path
    let kind = PathKind(of: path)
    guard kind == .nothing || kind == .file else {
      throw .ioError(
        "cannot write '\(path)': it is \(kind == .folder ? "a folder" : "no regular file")")
    }
    var handle: OpaquePointer?
    let code = slp_atomic_file_open(path, &handle)
    guard code == 0 else { throw .ioError("cannot write '\(path)': \(systemMessage(code))") }
    self.handle = handle
  }

  deinit { slp_atomic_file_abort(handle) }

  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(StackLensError) {
    let code = slp_atomic_file_write(handle, bytes.baseAddress, bytes.count)
    guard code == 0 else { throw .ioError("cannot write '\(path)': \(systemMessage(code))") }
  }

  /// Brings what was written to the disk, still without its name.
  public mutating func finish() throws(StackLensError) {
    let code = slp_atomic_file_finish(handle)
    guard code == 0 else { throw .ioError("cannot write '\(path)': \(systemMessage(code))") }
  }

  /// Makes the file appear under its name.
  public mutating func commit() throws(StackLensError) {
    let file = handle
    handle = nil
    let code = slp_atomic_file_commit(file)
    guard code == 0 else { throw .ioError("cannot write '\(path)': \(systemMessage(code))") }
  }
}

/// What a path leads to.
public enum PathKind: Int32, Sendable {
  case nothing = 0
  case file = 1
  case folder = 2
  case other = 3

  public init(of path: String) { self = PathKind(rawValue: slp_path_kind(path)) ?? .nothing }
}

/// The folder part of a path: "models/a.onnx" gives "models", "a.onnx" gives ".".
public func folder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The system's words for an errno value.
func systemMessage(_ code: Int32) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
    slp_error_text(code, buffer.baseAddress, 256)
    return buffer.baseAddress.map { String(cString: $0) } ?? "error \(code)"
  }
}

/// The value of an environment variable, nil when unset.
public func environment(_ name: String) -> String? {
  slp_environment(name).map { String(cString: $0) }
}

/// Nanoseconds of a clock that never goes back.
public func monotonicNanoseconds() -> Int64 { slp_monotonic_nanoseconds() }

/// Bytes of memory this process may use: physical memory and cgroup limits.
public let usableMemoryByteCount = Int(clamping: slp_usable_memory())

/// Gives unused heap memory back to the system.
public func trimHeap() { slp_trim_heap() }
