import Base
import Glibc
import TestSupport
import Testing

struct FileTests {
  private func bytes(_ file: MappedFile) -> [UInt8] { Array(file.bytes) }

  private func write(_ text: String, _ file: inout AtomicFile) throws {
    let bytes = Array(text.utf8)
    try bytes.withUnsafeBytes { try file.write($0) }
  }

  @Test func doesNotReplaceWhatIsNoFile() throws {
    let folder = try ScratchFolder()
    let pipe = folder.path + "/pipe"
    #expect(mkfifo(pipe, 0o600) == 0)
    folder.makeFolder("folder")
    for path in [pipe, folder.path + "/folder"] {
      let error = failure { _ = try AtomicFile(path: path) }
      #expect(error?.status == .ioError)
      #expect(error?.message.contains(path) ?? false)
    }
    #expect(PathKind(of: pipe) == .other)
  }

  @Test func mapsWholeFiles() throws {
    let folder = try ScratchFolder()
    let content = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
    #expect(try bytes(MappedFile(path: folder.write(content, to: "a"))) == content)
    let empty = try MappedFile(path: folder.write([], to: "empty"))
    #expect(empty.bytes.count == 0)
    let file = try MappedFile(path: folder.path + "/a")
    file.dropPages()
    #expect(bytes(file) == content)
  }

  @Test(arguments: ["missing", "", "folder", "a\u{0}b"]) func namesWhatCannotBeRead(
    name: String
  ) throws {
    let folder = try ScratchFolder()
    folder.makeFolder("folder")
    let error = failure { _ = try MappedFile(path: folder.path + "/" + name) }
    #expect(error?.status == .ioError)
    #expect(error?.message.contains(folder.path) == true)
  }

  @Test func mapsPartsOfFilesInAFolder() throws {
    let folder = try ScratchFolder()
    let content = (0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    folder.makeFolder("sub")
    try folder.write(content, to: "sub/weights")
    for (offset, length) in [(0, 10), (4095, 4), (4096, 100), (8999, 1), (9000, 0)] {
      let file = try MappedFile(
        folder: folder.path, relative: "sub/weights", offset: offset, length: length)
      #expect(bytes(file) == Array(content[offset..<offset + length]))
    }
    let rest = try MappedFile(folder: folder.path, relative: "sub/weights", offset: 5000)
    #expect(bytes(rest) == Array(content[5000...]))
    for (offset, length) in [(9001, 0), (8999, 2), (0, 9001), (-1, 2), (2, -1), (.max, .max)] {
      #expect(
        failure {
          _ = try MappedFile(
            folder: folder.path, relative: "sub/weights", offset: offset, length: length)
        } != nil)
    }
  }

  @Test(arguments: [
    "../outside", "sub/../../outside", "/etc/hostname", "link", "sub/link/file",
    "linkedFolder/file",
    "hard", "", ".", "sub", "missing", "a\u{0}b",
  ]) func refusesToLeaveTheFolder(name: String) throws {
    let outer = try ScratchFolder()
    try outer.write("secret", to: "outside")
    outer.makeFolder("inner")
    outer.makeFolder("inner/sub")
    outer.makeFolder("elsewhere")
    try outer.write("secret", to: "elsewhere/file")
    outer.link("inner/link", to: "../outside")
    outer.link("inner/linkedFolder", to: "../elsewhere")
    outer.hardLink("inner/hard", to: "outside")
    let error = failure {
      _ = try MappedFile(folder: outer.path + "/inner", relative: name)
    }
    #expect(error?.status == .ioError || error?.status == .formatError)
  }

  @Test func atomicFilesAppearWhole() throws {
    let folder = try ScratchFolder()
    let path = folder.path + "/target"
    do {
      var file = try AtomicFile(path: path)
      try write("first ", &file)
      #expect(PathKind(of: path) == .nothing)
      try write("half", &file)
      try file.commit()
    }
    #expect(try bytes(MappedFile(path: path)) == Array("first half".utf8))
    do {
      var file = try AtomicFile(path: path)
      try write("abandoned", &file)
    }
    #expect(try bytes(MappedFile(path: path)) == Array("first half".utf8))
    #expect(folder.names == ["target"])
    try folder.write("second", to: "target")
    #expect(try bytes(MappedFile(path: path)) == Array("second".utf8))
    #expect(folder.names == ["target"])
  }

  @Test func namesWhatCannotBeWritten() throws {
    let folder = try ScratchFolder()
    for name in ["missing/a", ""] {
      let error = failure { _ = try folder.write("x", to: name) }
      #expect(error?.status == .ioError)
    }
    #expect(folder.names == [])
  }

  @Test func tellsFilesFromFolders() throws {
    let folder = try ScratchFolder()
    try folder.write("x", to: "file")
    #expect(PathKind(of: folder.path) == .folder)
    #expect(PathKind(of: folder.path + "/file") == .file)
    #expect(PathKind(of: folder.path + "/none") == .nothing)
    #expect(PathKind(of: "/dev/null") == .other)
    #expect(Base.folder(of: "models/a.onnx") == "models")
    #expect(Base.folder(of: "a.onnx") == ".")
    #expect(Base.folder(of: "/a.onnx") == "/")
  }

  @Test func errorsKeepTheirStatusOnTheWayUp() {
    let error = StackLensError.shapeMismatch("2 is not 3").within("node 'a'")
    #expect(error == StackLensError(.shapeMismatch, "node 'a': 2 is not 3"))
    #expect(error.description == "shapeMismatch: node 'a': 2 is not 3")
    #expect(Status.allCases.map(\.rawValue) == Array(0...12))
    #expect(usableMemoryByteCount > 1 << 20)
    #expect(environment("STACKLENS_SURELY_NOT_SET") == nil)
  }
}
