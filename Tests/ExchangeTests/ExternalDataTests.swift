import Base
import Glibc
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Exchange

/// Weights in a file of their own: inside the model's folder, and nowhere else.
struct ExternalDataTests {
  private let folder: ScratchFolder

  init() throws { folder = try ScratchFolder() }

  private func external(
    _ entries: [(String, String)], dims: [Int64] = [2]
  ) throws(StackLensError) -> Tensor {
    let bytes = SmallModels.bytes { tensor in
      tensor.integers(1, dims)
      tensor.integer(2, 1)
      tensor.integer(14, 1)
      for (key, value) in entries {
        var entry = WireWriter()
        entry.string(1, key)
        entry.string(2, value)
        tensor.message(13, entry)
      }
    }
    let path = try folder.write(bytes, to: "model.onnx")
    guard let first = try ONNX.decode(path: path).graph.initializers.first else {
      throw .internalError("no initialiser was read")
    }
    return first.tensor
  }

  @Test func readsInPlace() throws {
    try folder.write([0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 9], to: "w.bin")
    let tensor = try external([("location", "w.bin"), ("offset", "4"), ("length", "8")])
    #expect(try tensor.elements(as: Float.self) == [1, 2])
    #expect(try external([("location", "w.bin"), ("offset", "5")]).count == 2)
  }

  @Test func refusesBadEntries() throws {
    try folder.write([UInt8](repeating: 0, count: 16), to: "w.bin")
    let cases: [[(String, String)]] = [
      [], [("location", "")], [("location", "missing.bin")],
      [("location", "w.bin"), ("offset", "-4")],
      [("location", "w.bin"), ("offset", "12")], [("location", "w.bin"), ("offset", "x")],
      [("location", "w.bin"), ("offset", "9223372036854775807")],
      [("location", "w.bin"), ("length", "4")], [("location", "w.bin"), ("length", "-8")],
      [("location", "w.bin"), ("location", "w.bin")], [("location", "w.bin"), ("color", "red")],
      [("location", "w.bin"), ("checksum", "abc")],
    ]
    for entries in cases {
      let error = failure { () throws(StackLensError) in _ = try external(entries) }
      #expect(error.status == .formatError || error.status == .ioError, "\(entries): \(error)")
      #expect(error.message.contains("'w'"), "\(error)")
    }
    let huge = failure { () throws(StackLensError) in
      _ = try external([("location", "w.bin")], dims: [1 << 60])
    }
    #expect(huge.status != .internalError, "\(huge)")
  }

  @Test func staysInsideTheFolder() throws {
    let other = try ScratchFolder()
    let secret = try other.write([UInt8](repeating: 1, count: 8), to: "secret.bin")
    symlink(secret, "\(folder.path)/symbolic.bin")
    link(secret, "\(folder.path)/hard.bin")
    symlink(other.path, "\(folder.path)/elsewhere")
    let name = other.path.split(separator: "/").last ?? ""
    for location in [
      secret, "../\(name)/secret.bin", "./../\(name)/secret.bin", "symbolic.bin", "hard.bin",
      "elsewhere/secret.bin", "/dev/zero", "/etc/passwd", ".", "..", "w\u{0}.bin",
    ] {
      let error = failure { () throws(StackLensError) in
        _ = try external([("location", location)])
      }
      #expect(error.status == .ioError || error.status == .formatError, "\(location): \(error)")
    }
  }

  @Test func needsAFolder() {
    let error = failure { () throws(StackLensError) in
      _ = try SmallModels.tensor { tensor in
        tensor.integers(1, [2])
        tensor.integer(2, 1)
        tensor.integer(14, 1)
        var entry = WireWriter()
        entry.string(1, "location")
        entry.string(2, "w.bin")
        tensor.message(13, entry)
      }
    }
    #expect(error.status == .invalidArgument, "\(error)")
  }

  @Test func writesAndReadsBack() throws {
    var model = try SmallModels.reluThenReshape()
    let weights = try Tensor((0..<600).map(Float.init))
    model.graph.initializers.append(Initializer("w1", weights))
    model.graph.initializers.append(Initializer("w2", try weights.reshaped(to: Shape([2, 300]))))
    let path = "\(folder.path)/out.onnx"
    try ONNX.save(model, to: path, externalData: "out.data")
    #expect(folder.names == ["out.data", "out.onnx"])
    let back = try ONNX.load(path: path)
    for name in ["w1", "w2"] {
      let tensor = try #require(back.graph.initializers.first { $0.name == name }).tensor
      #expect(try tensor.elements(as: Float.self) == weights.elements(as: Float.self))
    }
    try ONNX.save(back, to: path)
    #expect(try ONNX.load(path: path).graph.initializers.count == 3)
    for name in ["", "..", "a/b", "out.onnx"] {
      let error = failure { () throws(StackLensError) in
        try ONNX.save(model, to: path, externalData: name)
      }
      #expect(error.status == .invalidArgument)
    }
  }

  @Test func leavesNothingHalfWritten() throws {
    var model = try SmallModels.reluThenReshape()
    model.graph.nodes.removeFirst()
    let path = "\(folder.path)/out.onnx"
    _ = failure { () throws(StackLensError) in try ONNX.save(model, to: path) }
    #expect(folder.names.isEmpty)
    let error = failure { () throws(StackLensError) in
      try ONNX.save(SmallModels.reluThenReshape(), to: "\(folder.path)/missing/out.onnx")
    }
    #expect(error.status == .ioError)
  }
}
