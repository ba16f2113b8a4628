import Base
import Testing

@testable import Exchange

/// Published models that lie outside of the project.
enum ModelFiles {
  static let names = [
    "battery-ddqn", "byte-sentence-bilstm", "magika-standard-v1", "mnist-8", "rf-iris",
    "shufflenet-v2-12-int8", "silero-vad-16k-op15", "super-resolution-10", "tashkeel-diacritizer",
    "tinybert",
  ]

  static var folder: String { (environment("STACKLENS_DATA") ?? "../shared") + "/models" }

  static var arePresent: Bool { PathKind(of: folder) == .folder }

  static func path(_ name: String) -> String { "\(folder)/\(name).onnx" }
}
