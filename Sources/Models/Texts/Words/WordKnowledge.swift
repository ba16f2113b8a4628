import Base
import Insight
import Tensors

/// What a model of words learned, as questions need it.
struct WordKnowledge {
  let words: [String]
  let counts: [Int64]
  private let table: Tensor
  private let buckets: Tensor?
  private let subwords: Subwords?

  private var width: Int { table.shape[1] }

  /// - Throws: `.formatError` where words and vectors do not fit each other.
  init(_ knowledge: Knowledge, _ subwords: Subwords?) throws(StackLensError) {
    let (words, counts) = (
      (knowledge.facts["vocabulary"]?.arrayValue ?? []).compactMap(\.stringValue),
      (knowledge.facts["counts"]?.arrayValue ?? []).compactMap(\.integerValue)
    )
    guard let table = knowledge.tensors["words"], words.count == table.shape[0],
      counts.count == words.count
    else { throw .formatError("the model's words do not fit its vectors") }
    buckets = knowledge.tensors["subwords"]
    guard subwords == nil || buckets?.shape[0] == subwords?.bucketCount else {
      throw .formatError("the model has another number of subwords than its options say")
    }
    (self.words, self.counts, self.table, self.subwords) = (words, counts, table, subwords)
  }

  /// The vectors of words: learned ones, or means of n-grams for words that were not seen.
  /// - Throws: `.invalidArgument` naming the first word that is not known.
  func vectors(of asked: [String]) throws(StackLensError) -> Tensor {
    let result = try Tensor(zeros: .float32, Shape([asked.count, width]))
    let to = result.base.assumingMemoryBound(to: Float.self)
    let ids = ids(of: asked)
    let from = table.base.assumingMemoryBound(to: Float.self)
    for (row, word) in asked.enumerated() {
      if let id = ids[word] {
        (to + row * width).update(from: from + id * width, count: width)
      } else {
        try compose(word, into: to + row * width)
      }
    }
    return result
  }

  /// The ids of those words that are known, in one walk over all of them.
  private func ids(of asked: [String]) -> [String: Int] {
    let wanted = Set(asked)
    var ids: [String: Int] = [:]
    for (id, word) in words.enumerated() where wanted.contains(word) { ids[word] = id }
    return ids
  }

  private func compose(
    _ word: String, into target: UnsafeMutablePointer<Float>
  ) throws(StackLensError) {
    let places = subwords?.buckets(of: word) ?? []
    guard let buckets, !places.isEmpty else {
      throw .invalidArgument("the word '\(word)' is none of the \(words.count) that were learned")
    }
    let from = buckets.base.assumingMemoryBound(to: Float.self)
    for place in places {
      for column in 0..<width { target[column] += from[place * width + column] }
    }
    for column in 0..<width { target[column] /= Float(places.count) }
  }

  /// Answers "most_similar".
  func nearest(_ call: Call) throws(StackLensError) -> [Value] {
    func texts(_ name: String) throws(StackLensError) -> [String] {
      call.arguments.has(name) ? try call.arguments.texts(name) : []
    }
    let (positive, negative) = (try texts("positive"), try texts("negative"))
    var sum = [Float](repeating: 0, count: width)
    func add(_ vectors: Tensor, _ sign: Float) {
      let base = vectors.base.assumingMemoryBound(to: Float.self)
      for start in stride(from: 0, to: vectors.count, by: width) {
        var square = 0.0
        for column in 0..<width { square += Double(base[start + column] * base[start + column]) }
        let factor = sign / Float(max(square.squareRoot(), 1e-12))
        for column in 0..<width { sum[column] += factor * base[start + column] }
      }
    }
    add(try vectors(of: positive), 1)
    add(try vectors(of: negative), -1)
    var isAsked = !positive.isEmpty || !negative.isEmpty
    if call.arguments.has("vector") {
      add(try call.arguments.reals("vector", [width]), 1)
      isAsked = true
    }
    guard isAsked else {
      throw .invalidArgument("nothing is asked: give 'positive', 'negative' or 'vector'")
    }
    let asked = Set(ids(of: positive + negative).values)
    let most = try call.options.integer("top_k")
    let found = try Similarity.nearest(
      to: sum, in: table.base.assumingMemoryBound(to: Float.self), count: words.count,
      dimension: width, topK: min(most, words.count) + asked.count, threshold: -1
    ).filter { !asked.contains($0.index) }.prefix(most)
    return [
      .tensor(try Tensor(found.map { words[$0.index] })), .tensor(try Tensor(found.map(\.score))),
    ]
  }
}
