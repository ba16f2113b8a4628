import Base
import Glibc
import Graphs
import Testing

@testable import Exchange

/// Changes bytes of good files at random: every one of them must load or be refused, quickly and
/// with bounded memory.
///
/// `STACKLENS_FUZZ` sets the number of mutations, `STACKLENS_FUZZ_SEED` the sequence.
struct MutationTests {
  private static let count = Int(environment("STACKLENS_FUZZ") ?? "") ?? 2000
  private static let seed = UInt64(environment("STACKLENS_FUZZ_SEED") ?? "") ?? 1
  private static let secondsPerCase = 5.0
  private static let maximumByteCount = 2 << 30

  /// The most memory that the process has held.
  private static var peakByteCount: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }

  /// SplitMix64.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
      return mixed ^ (mixed >> 31)
    }
  }

  private static func mutate(_ bytes: inout [UInt8], _ generator: inout Generator) {
    let extremes: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x22, 0x2a, 0x3a]
    for _ in 0..<Int.random(in: 1...8, using: &generator) {
      guard !bytes.isEmpty else { return }
      // Structure lies mostly at the ends of a model; weights fill the middle.
      let span = Bool.random(using: &generator) ? bytes.count : min(bytes.count, 2048)
      let fromEnd = Bool.random(using: &generator)
      let distance = Int.random(in: 0..<span, using: &generator)
      let place = fromEnd ? bytes.count - 1 - distance : distance
      let length = min(Int.random(in: 1...64, using: &generator), bytes.count - place)
      switch Int.random(in: 0..<7, using: &generator) {
      case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 1: bytes[place] = extremes.randomElement(using: &generator) ?? 0
      case 2: bytes.removeSubrange(place..<place + length)
      case 3: bytes.insert(contentsOf: Array(bytes[place..<place + length]), at: place)
      case 4:
        let other = Int.random(in: 0...bytes.count - length, using: &generator)
        bytes.replaceSubrange(place..<place + length, with: Array(bytes[other..<other + length]))
      case 5: bytes[place] = UInt8.random(in: 0...255, using: &generator)
      default: bytes.removeSubrange(place...)
      }
    }
  }

  /// Runs the mutations of one file; returns how many of them still loaded.
  private func attack(
    _ name: String, _ original: [UInt8], count: Int,
    _ load: ([UInt8]) throws(StackLensError) -> Void
  ) -> Int {
    var loaded = 0
    var generator = Generator(state: Self.seed)
    for index in 0..<count {
      var bytes = original
      Self.mutate(&bytes, &generator)
      let start = monotonicNanoseconds()
      do throws(StackLensError) {
        try load(bytes)
        loaded += 1
      } catch {
        #expect(error.status != .internalError, "\(name), case \(index): \(error)")
        #expect(!error.message.isEmpty)
      }
      let seconds = Double(monotonicNanoseconds() - start) / 1e9
      #expect(seconds < Self.secondsPerCase, "\(name), case \(index) took \(seconds) s")
    }
    #expect(Self.peakByteCount < Self.maximumByteCount)
    return loaded
  }

  @Test func survivesMutatedSmallModels() throws {
    let bytes = SmallModels.bytes(try SmallModels.reluThenReshape())
    let loaded = attack("small model", bytes, count: Self.count) { (bytes) throws(StackLensError) in
      let model = try ONNX.load(bytes: bytes)
      _ = try? ONNX.encode(model)
    }
    #expect(loaded > 0 && loaded < Self.count)
  }

  @Test(.enabled(if: ModelFiles.arePresent), arguments: ModelFiles.names)
  func survivesMutatedPublishedModels(name: String) throws {
    let file = try MappedFile(path: ModelFiles.path(name))
    let count = max(20, Self.count / ModelFiles.names.count)
    _ = attack(name, Array(file.bytes), count: count) { (bytes) throws(StackLensError) in
      _ = try ONNX.load(bytes: bytes)
    }
  }

  @Test func survivesMutatedSafetensors() throws {
    let header = """
      {"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},\
      "b":{"dtype":"I64","shape":[1],"data_offsets":[16,24]}}
      """
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
    let bytes = length + Array(header.utf8) + [UInt8](repeating: 1, count: 24)
    _ = attack("safetensors", bytes, count: Self.count) { (bytes) throws(StackLensError) in
      _ = try SafetensorsFile.load(bytes: bytes)
    }
  }
}
