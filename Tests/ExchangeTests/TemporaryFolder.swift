import Base
import Glibc

/// A folder that is gone after the test.
final class TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/stacklens-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw StackLensError.ioError("mkdtemp failed") }
    path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }

  deinit {
    for name in names { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  /// What the folder holds, sorted.
  var names: [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Writes a file and returns its path.
  @discardableResult
  func write(_ bytes: [UInt8], to name: String) throws(StackLensError) -> String {
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
}
