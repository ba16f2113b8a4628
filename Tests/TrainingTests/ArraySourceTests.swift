import Base
import Tensors
import Testing

@testable import Training

struct ArraySourceTests {
  private func source(_ change: (inout ArraySource.Options) -> Void) throws -> ArraySource {
    var options = ArraySource.Options()
    options.batchSize = 4
    change(&options)
    let rows = (0..<10).map { Int64($0) }
    return try ArraySource(["row": Tensor(rows), "twice": Tensor(rows.map { 2 * $0 })], options)
  }

  private func rows(_ source: ArraySource, epoch: Int) throws -> [[Int64]] {
    var batches: [[Int64]] = []
    while let batch = try source.batch(batches.count, ofEpoch: epoch) {
      let rows = try #require(batch["row"]).elements(as: Int64.self)
      #expect(try #require(batch["twice"]).elements(as: Int64.self) == rows.map { 2 * $0 })
      batches.append(rows)
    }
    return batches
  }

  @Test func givesEveryRowOnceInAnOrderOfTheEpoch() throws {
    let shuffled = try source { _ in }
    let (first, second) = (try rows(shuffled, epoch: 0), try rows(shuffled, epoch: 1))
    #expect(first.map(\.count) == [4, 4, 2])
    #expect(shuffled.batchCount == 3)
    #expect(first.flatMap { $0 }.sorted() == (0..<10).map { Int64($0) })
    #expect(first != second)
    // The same epoch again, and from another source with the same seed.
    #expect(try rows(shuffled, epoch: 0) == first)
    #expect(try rows(source { _ in }, epoch: 1) == second)
    #expect(try rows(source { $0.seed = 1 }, epoch: 0) != first)
  }

  @Test func keepsTheOrderAndDropsTheRestWhereAsked() throws {
    let plain = try source {
      $0.isShuffled = false
      $0.dropsLast = true
    }
    #expect(try rows(plain, epoch: 3) == [[0, 1, 2, 3], [4, 5, 6, 7]])
    #expect(plain.batchCount == 2)
  }

  @Test func bringsSimilarLengthsTogetherAndCutsPadding() throws {
    let lengths = [5, 1, 4, 2, 3, 5, 1, 2]
    let mask = lengths.flatMap { length in (0..<6).map { Int64($0 < length ? 1 : 0) } }
    var options = ArraySource.Options()
    options.batchSize = 2
    options.lengthMask = "mask"
    let source = try ArraySource(
      [
        "mask": Tensor(mask, shape: Shape([8, 6])),
        "ids": Tensor((0..<48).map { Int32($0) }, shape: Shape([8, 6])),
        "label": Tensor((0..<8).map { Int64($0) }),
      ], options)
    var widths: [Int] = []
    var seen: [Int64] = []
    while let batch = try source.batch(widths.count, ofEpoch: 0) {
      let ids = try #require(batch["ids"])
      let labels = try #require(batch["label"]).elements(as: Int64.self)
      let width = ids.shape.dims[1]
      #expect(width == labels.map { lengths[Int($0)] }.max())
      #expect(batch["mask"]?.shape == ids.shape)
      let expected = labels.flatMap { row in (0..<width).map { Int32(Int(row) * 6 + $0) } }
      #expect(try ids.elements(as: Int32.self) == expected)
      widths.append(width)
      seen += labels
    }
    #expect(widths.sorted() == [1, 2, 4, 5])
    #expect(seen.sorted() == (0..<8).map { Int64($0) })
  }
}
