import CPlatform

/// A shared library that is opened when it is first needed and stays open.
public struct SharedLibrary: @unchecked Sendable {  // the handle is never closed
  private let handle: UnsafeMutableRawPointer

  /// Opens `name` from the folder of the library that contains this code, else as the system
  /// finds it.
  /// - Throws: `.unsupported` when it is in neither place.
  public init(besideThis name: String) throws(StackLensError) {
    let folder = Self.folder()
    if let folder, let handle = slp_library_open("\(folder)/\(name)") {
      self.handle = handle
    } else if let handle = slp_library_open(name) {
      self.handle = handle
    } else {
      throw .unsupported(
        "the library '\(name)' is neither in '\(folder ?? "?")' nor where the system looks")
    }
  }

  /// The address of an exported name.
  /// - Throws: `.unsupported` when the library does not export it.
  public func symbol(_ name: String) throws(StackLensError) -> UnsafeMutableRawPointer {
    guard let address = slp_library_symbol(handle, name) else {
      throw .unsupported("the library does not export '\(name)'")
    }
    return address
  }

  /// The folder of the library that contains this code.
  public static func folder() -> String? {
    let anchor: @convention(c) () -> Void = {}
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
      guard let start = buffer.baseAddress,
        slp_library_folder(unsafeBitCast(anchor, to: UnsafeRawPointer.self), start, 4096) > 0
      else { return nil }
      return String(cString: start)
    }
  }
}
