import Testing

@testable import Models

@Suite struct EntityTests {
  private let tags = TagSet(types: ["A", "B"])

  @Test func tagsAreCountedTypeByType() {
    #expect(tags.names == ["O", "B-A", "I-A", "B-B", "I-B"])
    #expect(tags.startPenalties.map { $0 < 0 } == [false, false, true, false, true])
    let penalties = tags.transitionPenalties
    for from in 0..<5 {
      for to in 0..<5 {
        let isForbidden =
          (to == 2 && ![1, 2].contains(from)) || (to == 4 && ![3, 4].contains(from))
        #expect((penalties[from * 5 + to] < 0) == isForbidden)
      }
    }
  }

  @Test(
    arguments: [
      ([], []), ([0, 0], []), ([1], ["0:0-1"]), ([1, 2, 0, 3], ["0:0-2", "1:3-4"]),
      ([1, 1], ["0:0-1", "0:1-2"]), ([2, 4, 4], ["0:0-1", "1:1-3"]), ([3, 2], ["1:0-1", "0:1-2"]),
    ] as [([Int], [String])])
  func runsOfTags(_ tags: [Int], _ expected: [String]) {
    let found = TagSet.runs(tags).map { "\($0.type):\($0.words.lowerBound)-\($0.words.upperBound)" }
    #expect(found == expected)
  }

  private func entity(_ bytes: Range<Int>) -> FoundEntity {
    FoundEntity(row: 0, type: 0, bytes: bytes, score: 1)
  }

  private func merged(_ candidates: [[Range<Int>]]) -> [Range<Int>] {
    FoundEntity.merged(
      [0..<10, 6..<16, 12..<20],
      candidates.map { $0.map { .init(entity: entity($0), pieces: $0) } }, pieceCount: 20
    ).map(\.bytes)
  }

  @Test func entitiesComeFromTheWindowInWhichTheyAreFartherFromTheBorder() {
    // The whole of 6..<7 is one piece from the border of the second window, three from the first's.
    #expect(merged([[6..<7], [], []]) == [6..<7])
    #expect(merged([[], [6..<7], []]) == [])
    #expect(merged([[9..<10], [], []]) == [])
    #expect(merged([[], [9..<10], []]) == [9..<10])
    // Equally far: the first one.
    #expect(merged([[7..<9], [7..<9], []]) == [7..<9])
    #expect(merged([[], [7..<9], []]) == [])
    // The text itself ends there, nothing is cut off.
    #expect(merged([[0..<1], [], [19..<20]]) == [0..<1, 19..<20])
  }

  @Test func ofEntitiesThatOverlapTheLongerStays() {
    let ranges = [0..<3, 2..<6, 5..<7, 7..<8, 7..<8, 10..<12, 11..<13]
    let kept = FoundEntity.withoutOverlaps(ranges.map(entity)).map(\.bytes)
    #expect(kept == [2..<6, 7..<8, 10..<12])
  }

  @Test func rangesTakeWholeCharacters() {
    let bytes = Array("aé😀b".utf8)
    #expect(bytes.wholeCharacters(0..<1) == 0..<1)
    #expect(bytes.wholeCharacters(2..<4) == 1..<7)
    #expect(bytes.wholeCharacters(5..<6) == 3..<7)
    #expect(bytes.wholeCharacters(7..<99) == 7..<8)
  }

  @Test func bucketsFollowFromTheWord() {
    func rows(_ text: String) -> [Int32] { ShapedText(text, buckets: 1000).words[0].buckets }
    #expect(rows("parse") == rows("(parse)") && rows("parse").count == WordBuckets.width)
    let (small, capital) = (rows("parse"), rows("Parse"))
    // The same but for the word as it is and its signs.
    let areEqual = [false, true, true, true, true, true, true, false]
    #expect(zip(small, capital).map { $0 == $1 } == areEqual)
    #expect(rows("x").allSatisfy { (1..<1000).contains($0) })
    #expect(ShapedText("x", buckets: 2).words[0].buckets.allSatisfy { $0 == 1 })
  }
}
