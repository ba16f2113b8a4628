import Base
import TestSupport
import Testing

@testable import Insight

struct SimilarityTests {
  private func nearest(
    _ query: [Float], _ rows: [[Float]], topK: Int = 5, threshold: Float = -1
  ) throws -> [Neighbor] {
    try Similarity.nearest(
      to: query, in: rows.flatMap { $0 }, count: rows.count, dimension: query.count, topK: topK,
      threshold: threshold)
  }

  @Test func ranksByCosineAndTiesByPlace() throws {
    let rows: [[Float]] = [[0, 1], [2, 0], [1, 1], [-1, 0], [5, 0], [0, 0]]
    #expect(try nearest([3, 0], rows).map(\.index) == [1, 4, 2, 0, 5])
    #expect(try nearest([3, 0], rows, topK: 1).map(\.index) == [1])
    #expect(try nearest([3, 0], rows, topK: 100).map(\.index) == [1, 4, 2, 0, 5, 3])
    #expect(try nearest([3, 0], rows, threshold: 0.5).map(\.index) == [1, 4, 2])
    #expect(try nearest([3, 0], rows, threshold: 1).map(\.index) == [1, 4])
    #expect(try nearest([3, 0], []) == [])
    let scores = try nearest([3, 0], rows).map(\.score)
    #expect(zip(scores, [1, 1, 0.70710677, 0, 0]).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  @Test func agreesWithSorting() throws {
    var numbers = SeededNumbers(2)
    let rows = try (0..<500).map { _ in try numbers.floats(7).elements(as: Float.self) }
    let query = rows[17]
    let all = try nearest(query, rows, topK: 500)
    #expect(all.first?.index == 17)
    #expect(zip(all, all.dropFirst()).allSatisfy { $0.score >= $1.score })
    for count in [1, 2, 33, 499] {
      #expect(try nearest(query, rows, topK: count) == Array(all.prefix(count)))
    }
  }

  @Test func refusesWhatMakesNoSense() throws {
    let rows: [[Float]] = [[0, 1], [.nan, 0]]
    for topK in [0, -1, .min] {
      #expect(failure { _ = try nearest([1, 0], rows, topK: topK) }?.status == .invalidArgument)
    }
    for threshold in [Float(1.01), -1.01, .nan] {
      let error = failure { _ = try nearest([1, 0], rows, threshold: threshold) }
      #expect(error?.status == .invalidArgument)
    }
    let broken = failure { _ = try nearest([1, 0], rows) }
    #expect(broken?.status == .nonFinite && broken?.message.contains("row 1") == true)
  }

  @Test func findsTextsLikeAnother() throws {
    let embedder = try Embedder(TinyEncoder(), in: ScratchFolder())
    let corpus = ["error on host", "disk full", "the", "disk full"]
    let found = try embedder.neighbors("disk full", corpus, threshold: 0.999)
    #expect(found.map(\.index) == [1, 3])
    #expect(try embedder.neighbors("disk full", []) == [])
    #expect(try embedder.neighbors("disk full", corpus, topK: 100, threshold: -1).count == 4)
    #expect(try embedder.neighbors("disk full", corpus, topK: 2, threshold: -1).count == 2)
    for text in ["", "  \n\t"] {
      #expect(failure { _ = try embedder.neighbors(text, corpus) }?.status == .invalidArgument)
    }
    #expect(
      failure { _ = try embedder.neighbors("a", corpus, topK: 0) }?.status == .invalidArgument)
    #expect(
      failure { _ = try embedder.neighbors("a", corpus, threshold: 2) }?.status == .invalidArgument)
  }
}
