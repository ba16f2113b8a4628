import Base
import Tensors
import Testing

@testable import Exchange

/// How the data fields of a tensor in a file are read, and what they may not say.
struct TensorDataTests {
  @Test func readsRawDataInPlaceOrCopied() throws {
    for padding in 0..<8 {
      let tensor = try SmallModels.tensor { writer in
        writer.integer(1, 2)
        writer.integer(2, 1, padding: padding)
        writer.floatElements(9, [1.5, -2])
      }
      #expect(try tensor.elements(as: Float.self) == [1.5, -2])
    }
  }

  @Test func readsTypedFields() throws {
    let floats = try SmallModels.tensor { writer in
      writer.integer(2, 1)
      writer.integers(1, [2])
      writer.floats(4, [0.5, 3])
    }
    #expect(try floats.elements(as: Float.self) == [0.5, 3])
    let bytes = try SmallModels.tensor { writer in
      writer.integer(2, 3)
      writer.integers(1, [3])
      writer.integers(5, [-128, 0, 127])
    }
    #expect(try bytes.elements(as: Int8.self) == [-128, 0, 127])
    let halves = try SmallModels.tensor { writer in
      writer.integer(2, 10)
      writer.integers(1, [1])
      writer.integers(5, [0x3c00])
    }
    #expect(try halves.elements(as: Float16.self) == [1])
    let flags = try SmallModels.tensor { writer in
      writer.integer(2, 9)
      writer.integers(1, [3])
      writer.integers(5, [0, 1, 7])
    }
    #expect(try flags.elements(as: Bool.self) == [false, true, true])
    let unsigned = try SmallModels.tensor { writer in
      writer.integer(2, 13)
      writer.integers(11, [-1])
    }
    #expect(try unsigned.elements(as: UInt64.self) == [UInt64.max])
    let texts = try SmallModels.tensor { writer in
      writer.integer(2, 8)
      writer.integers(1, [2])
      writer.string(6, "")
      writer.string(6, "héllo")
    }
    #expect(try texts.elements(as: String.self) == ["", "héllo"])
  }

  @Test func normalisesRawBooleans() throws {
    let tensor = try SmallModels.tensor { writer in
      writer.integer(2, 9)
      writer.integers(1, [3])
      writer.string(9, "\u{0}\u{1}\u{7}")
    }
    #expect(Array(tensor.bytes) == [0, 1, 1])
  }

  @Test func readsEmptyTensorsAndScalars() throws {
    let empty = try SmallModels.tensor { writer in
      writer.integer(2, 1)
      writer.integers(1, [0, 3])
    }
    #expect(empty.shape.dims == [0, 3])
    let scalar = try SmallModels.tensor { writer in
      writer.integer(2, 7)
      writer.integers(7, [42])
    }
    #expect(try scalar.elements(as: Int64.self) == [42] && scalar.rank == 0)
  }

  @Test(
    arguments: [
      ([-1], 4), ([Int64.max, Int64.max], 4), ([1 << 40, 1 << 40], 0), ([3], 8), ([2], 9), ([], 0),
      ([1 << 61], 8), ([Int64.min], 0),
    ] as [([Int64], Int)])
  func refusesRawDataOfAnotherSize(dims: [Int64], byteCount: Int) {
    let error = failure { () throws(StackLensError) in
      _ = try SmallModels.tensor { writer in
        writer.integer(2, 1)
        writer.integers(1, dims)
        writer.string(9, String(repeating: "a", count: byteCount))
      }
    }
    #expect(error.status == .formatError || error.status == .shapeMismatch, "\(error)")
    #expect(error.message.contains("'w'"), "\(error)")
  }

  @Test func refusesWrongCountsAndPlaces() {
    let cases: [(inout WireWriter) -> Void] = [
      {
        $0.integers(1, [3])
        $0.integer(2, 1)
        $0.floats(4, [1, 2])
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 1)
        $0.integers(7, [1])
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 1)
        $0.floats(4, [1])
        $0.string(9, "abcd")
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 3)
        $0.integers(5, [300])
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 12)
        $0.integers(11, [-1])
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 8)
        $0.string(9, "a")
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 1)
        $0.integer(4, 1)
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 0)
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 99)
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 1)
        $0.integer(14, 2)
      },
      {
        $0.integers(1, [1])
        $0.integer(2, 1)
        $0.string(4, "abc")
      },
      {
        $0.integers(1, Array(repeating: 1, count: 65))
        $0.integer(2, 1)
        $0.floats(4, [1])
      },
    ]
    for (index, fields) in cases.enumerated() {
      let error = failure { () throws(StackLensError) in _ = try SmallModels.tensor(fields) }
      #expect(
        error.status == .formatError || error.status == .limitExceeded, "case \(index): \(error)")
    }
  }

  @Test func readsPackedEntriesOfSmallTypes() throws {
    let int4 = try SmallModels.tensor { writer in
      writer.integer(2, 22)
      writer.integers(1, [3])
      writer.integers(5, [0xe7, -1])
    }
    #expect(int4.elementType == .int4 && Array(int4.bytes) == [7, 14, 15])
    let float6 = try SmallModels.tensor { writer in
      writer.integer(2, 27)
      writer.integers(1, [2])
      writer.integers(5, [0x3f, 0x41])
    }
    #expect(Array(float6.bytes) == [0x3f, 1])
    let complex = try SmallModels.tensor { writer in
      writer.integer(2, 14)
      writer.integers(1, [1])
      writer.floats(4, [1, -2])
    }
    #expect(try complex.elements(as: Complex64.self) == [Complex64(1, -2)])
  }

  @Test(arguments: [
    (22, [Int64(3)], 5, [Int64(1)]), (22, [1], 5, [1, 2]), (22, [1], 5, [256]),
    (17, [1], 5, [-129]), (14, [2], 4, []), (25, [5], 5, [0]), (23, [Int64(1) << 56], 5, [0]),
  ])
  func refusesWrongEntriesOfSmallTypes(
    type: Int64, dims: [Int64], field: Int, entries: [Int64]
  ) {
    let error = failure { () throws(StackLensError) in
      _ = try SmallModels.tensor { writer in
        writer.integer(2, type)
        writer.integers(1, dims)
        writer.integers(field, entries)
      }
    }
    #expect(error.status == .formatError || error.status == .shapeMismatch, "\(error)")
  }

  @Test(arguments: [-1, 29, 1 << 20]) func refusesUnknownElementTypes(number: Int64) {
    let error = failure { () throws(StackLensError) in
      _ = try SmallModels.tensor { $0.integer(2, number) }
    }
    #expect(error.status == .formatError)
    #expect(error.message.contains("'w'") && error.message.contains("element type"), "\(error)")
  }
}

extension WireWriter {
  /// Floats as one run of bytes.
  mutating func floatElements(_ field: Int, _ values: [Float]) {
    if let tensor = try? Tensor(values) { elements(field, tensor) }
  }
}
