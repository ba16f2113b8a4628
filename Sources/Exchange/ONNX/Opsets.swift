import Base
import Graphs

/// Which versions of the standard's domains the library reads and writes.
enum Opsets {
  /// Oldest version of the default domain that is written.
  static let oldest = 7
  /// Version of the default domain that files get unless the caller names one.
  static let written = 17

  /// Newest known version by domain; other domains have version 1.
  static let newest = [
    "": 28, "ai.onnx.ml": 5, "ai.onnx.preview": 1, "ai.onnx.preview.training": 1,
    "com.microsoft": 1, "ai.stacklens": 1,
  ]

  /// The version under which a file's node was written.
  /// - Throws: `.formatError` when its domain is not imported, `.unsupported` outside the versions
  ///   that are read.
  static func version(
    of node: Node, in imports: [String: Int], or fallback: [String: Int]
  ) throws(StackLensError) -> Int {
    let name = node.domain.isEmpty ? "ai.onnx" : node.domain
    guard let version = imports[node.domain] ?? fallback[node.domain] else {
      throw .formatError("domain '\(name)' is used, but not imported by the model")
    }
    if let newest = newest[node.domain], version > newest {
      throw .unsupported("opset \(version) of '\(name)' is newer than \(newest)")
    }
    return version
  }

  /// The version of ai.onnx.ml that was published with an opset.
  static func mlVersion(forOpset opset: Int) -> Int {
    switch opset {
    case ..<11: 1
    case 11...15: 2
    case 16...19: 3
    case 20: 4
    default: 5
    }
  }

  /// The lowest file format version that allows an opset, 4 at least: before it every initialiser
  /// had to be an input as well.
  static func irVersion(forOpset opset: Int) -> Int64 {
    switch opset {
    case ..<10: 4
    case 10: 5
    case 11: 6
    case 12...14: 7
    case 15...18: 8
    case 19, 20: 9
    case 21, 22: 10
    case 23: 11
    case 24: 12
    case 25...27: 13
    default: 14
    }
  }
}
