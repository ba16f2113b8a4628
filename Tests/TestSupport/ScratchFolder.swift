import Base
import Glibc

/// A folder that is gone, with all that is in it, when the test lets go of it.
package final class ScratchFolder: Sendable {
  package let path: String

  package init() throws(StackLensError) {
    var template = Array("/tmp/stacklens-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw .ioError("mkdtemp failed") }
    path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }

  deinit { Self.remove(path) }

  private static func remove(_ folder: String) {
    for name in names(in: folder) {
      if unlink("\(folder)/\(name)") != 0 { remove("\(folder)/\(name)") }
    }
    rmdir(folder)
  }

  /// What a folder holds, sorted.
  package static func names(in folder: String) -> [String] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// What the folder holds, sorted.
  package var names: [String] { Self.names(in: path) }

  package func makeFolder(_ name: String) { mkdir("\(path)/\(name)", 0o755) }

  package func link(_ name: String, to target: String) { symlink(target, "\(path)/\(name)") }

  package func hardLink(_ name: String, to target: String) {
    Glibc.link("\(path)/\(target)", "\(path)/\(name)")
  }

  /// Writes a file and returns its path.
  @discardableResult
  package func write(_ bytes: [UInt8], to name: String) throws(StackLensError) -> String {
    var file = try AtomicFile(path: "\(path)/\(name)")
    let result = bytes.withUnsafeBytes { buffer -> Result<Void, StackLensError> in
      do throws(StackLensError) { return .success(try file.write(buffer)) } catch {
        return .failure(error)
      }
    }
    try result.get()
    try file.commit()
    return "\(path)/\(name)"
  }

  @discardableResult
  package func write(_ text: String, to name: String) throws(StackLensError) -> String {
    try write(Array(text.utf8), to: name)
  }
}
