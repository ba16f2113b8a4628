import Base
import Graphs
import Tensors

/// The n-grams of a TfIdfVectorizer as a tree of tokens.
struct NgramPool: Sendable {
  private struct Edge: Hashable {
    let node: Int32
    let token: Int32
  }
  let isText: Bool
  private var texts: [ExactText: Int32] = [:]
  private var integers: [Int64: Int32] = [:]
  private var edges: [Edge: Int32] = [:]
  /// The n-gram that ends at each node of the tree, -1 for none.
  private var ngrams: [Int32] = [-1]
  /// For each n-gram its place in the output and what it is worth.
  private let places: [Int]
  private let weights: [Float]
  /// Whether an n-gram counts once however often it occurs.
  private let isPresence: Bool
  private let minimum: Int
  private let maximum: Int
  private let skips: Int

  init(_ view: some NodeView, isText: Bool) throws(StackLensError) {
    self.isText = isText
    minimum = try view.int("min_gram_length")
    maximum = try view.int("max_gram_length")
    skips = try view.int("max_skip_count")
    let starts = try view.ints("ngram_counts") ?? []
    guard minimum > 0, maximum >= minimum, maximum <= starts.count, skips >= 0 else {
      throw .invalidArgument(
        "n-grams of \(minimum) to \(maximum) with up to \(skips) skips, ngram_counts has "
          + "\(starts.count) entries")
    }
    let mode = try view.string("mode")
    guard mode == "TF" || mode == "IDF" || mode == "TFIDF" else {
      throw .invalidArgument("attribute 'mode' is '\(mode)', expected TF, IDF or TFIDF")
    }
    isPresence = mode == "IDF"
    places = try view.ints("ngram_indexes") ?? []
    let given = try view.floats("weights") ?? []
    guard given.isEmpty || given.count == places.count else {
      throw .invalidArgument("\(given.count) weights for \(places.count) ngram_indexes")
    }
    weights = given.isEmpty || mode == "TF" ? Array(repeating: 1, count: places.count) : given
    let tokens = try Self.tokens(view, isText: isText, &texts, &integers)
    var ngram = 0
    for (length, start) in zip(1..., starts) {
      let end = length < starts.count ? starts[length] : tokens.count
      guard start >= 0, end >= start, end <= tokens.count, (end - start) % length == 0 else {
        throw .invalidArgument(
          "ngram_counts gives \(length)-grams from \(start) to \(end) of "
            + "\(tokens.count) pool entries")
      }
      for first in stride(from: start, to: end, by: length) {
        guard ngram < places.count else {
          throw .invalidArgument("the pool has more n-grams than ngram_indexes, \(places.count)")
        }
        if length >= minimum, length <= maximum {
          try add(tokens[first..<first + length], ngram: ngram)
        }
        ngram += 1
      }
    }
  }

  /// The pool with a number for each distinct entry.
  private static func tokens(
    _ view: some NodeView, isText: Bool, _ texts: inout [ExactText: Int32],
    _ integers: inout [Int64: Int32]
  ) throws(StackLensError) -> [Int32] {
    let words = try view.strings("pool_strings") ?? []
    let numbers = try view.ints("pool_int64s") ?? []
    guard words.isEmpty || numbers.isEmpty else {
      throw .invalidArgument("pool_strings and pool_int64s are both given")
    }
    guard isText ? !words.isEmpty : !numbers.isEmpty else {
      throw .typeMismatch(
        "the input holds \(isText ? "strings" : "integers"), the pool is empty or of another type")
    }
    guard max(words.count, numbers.count) < Int(Int32.max) else {
      throw .limitExceeded("a pool of \(max(words.count, numbers.count)) entries")
    }
    var result: [Int32] = []
    result.reserveCapacity(words.count + numbers.count)
    for word in words {
      let next = Int32(texts.count)
      result.append(texts[ExactText(word), default: next])
      texts[ExactText(word)] = result[result.count - 1]
    }
    for number in numbers {
      let next = Int32(integers.count)
      result.append(integers[Int64(number), default: next])
      integers[Int64(number)] = result[result.count - 1]
    }
    return result
  }

  private mutating func add(_ tokens: ArraySlice<Int32>, ngram: Int) throws(StackLensError) {
    var node: Int32 = 0
    for token in tokens {
      let edge = Edge(node: node, token: token)
      if let next = edges[edge] {
        node = next
      } else {
        node = Int32(ngrams.count)
        edges[edge] = node
        ngrams.append(-1)
      }
    }
    guard ngrams[Int(node)] < 0 else {
      throw .invalidArgument("the pool holds a \(tokens.count)-gram twice")
    }
    ngrams[Int(node)] = Int32(ngram)
  }

  /// The number of an element, -1 for one that no n-gram has.
  func token(_ x: Tensor, _ index: Int) -> Int32 {
    switch x.elementType {
    case .string: texts[ExactText(x.texts[index])] ?? -1
    case .int32: integers[Int64(x.base.assumingMemoryBound(to: Int32.self)[index])] ?? -1
    default: integers[x.int64s[index]] ?? -1
    }
  }

  /// Adds the n-grams of a row to the counts. Single elements count once, however many skips
  /// there are.
  func count(_ tokens: [Int32], into counts: UnsafeMutablePointer<Float>) {
    var shortest = minimum
    for step in 1...min(skips, tokens.count) + 1 {
      for start in tokens.indices {
        let (reach, overflow) = step.multipliedReportingOverflow(by: shortest - 1)
        if overflow || reach >= tokens.count - start { break }
        var (node, item, length): (Int32, Int, Int) = (0, start, 1)
        while length <= maximum, item < tokens.count, tokens[item] >= 0,
          let next = edges[Edge(node: node, token: tokens[item])]
        {
          node = next
          let ngram = Int(ngrams[Int(node)])
          if length >= shortest, ngram >= 0 {
            counts[places[ngram]] = weights[ngram] + (isPresence ? 0 : counts[places[ngram]])
          }
          length += 1
          item += step
        }
      }
      if shortest == 1 {
        shortest = 2
        if maximum < 2 { break }
      }
    }
  }
}
