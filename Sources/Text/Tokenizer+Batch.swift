import Base

/// The ids of many texts in one row, without padding.
public struct PackedTokens: Sendable, Equatable {
  /// Ids of all texts, one after another, in the order of the texts.
  public internal(set) var ids: [Int32] = []
  /// Text i has the ids `starts[i]..<starts[i + 1]`; one element more than there are texts.
  public internal(set) var starts: [Int] = [0]
  /// Whether tokens of a text were left out because of the length limit.
  public internal(set) var isTruncated: [Bool] = []
  /// Words of each text that was read, and how many of them the vocabulary cannot spell.
  public internal(set) var wordCounts: [Int32] = []
  public internal(set) var unknownCounts: [Int32] = []

  public init() {}
}

extension Tokenizer {
  /// Appends the ids of one text to a row of texts: the least work from text to model input.
  /// - Parameters:
  ///   - maxLength: most ids of a text, special ones included; nil for no limit.
  ///   - scratch: memory to use; one for each thread.
  /// - Throws: as `encode(_:pair:options:)`; the row is then as before.
  public func appendIDs(
    utf8 text: UnsafeRawBufferPointer, maxLength: Int?, addsSpecialTokens: Bool = true,
    to row: inout PackedTokens, scratch: inout TokenizerScratch
  ) throws(StackLensError) {
    let pieces = configuration.postProcessor.pieces(
      isPair: false, addsSpecialTokens: addsSpecialTokens)
    let length = maxLength.map { EncodingOptions.Length.truncated(Truncation(maxLength: $0)) }
    let kept = try scratch.fill(
      text, configuration, length ?? .unlimited, pieces, wantsOffsets: false)
    for piece in pieces {
      if case .special(let id, _) = piece {
        row.ids.append(id)
      } else {
        for range in kept.ranges {
          row.ids.append(
            contentsOf: UnsafeBufferPointer(
              start: scratch.run.ids.base + range.lowerBound, count: range.count))
        }
      }
    }
    row.starts.append(row.ids.count)
    row.isTruncated.append(kept.isTruncated)
    row.wordCounts.append(Int32(truncatingIfNeeded: scratch.run.wordCount))
    row.unknownCounts.append(Int32(truncatingIfNeeded: scratch.run.unknownCount))
  }

  /// The ids of many texts in one row.
  /// - Parameters:
  ///   - texts: UTF-8; the bytes must stay where they are during the call.
  ///   - maxLength: most ids of a text, special ones included; nil for no limit.
  ///   - parallel: the threads to work on.
  /// - Throws: the error of the first text that has one, naming it.
  public func packedIDs(
    utf8 texts: [UnsafeRawBufferPointer], maxLength: Int?, addsSpecialTokens: Bool = true,
    on parallel: Parallel = .serial
  ) throws(StackLensError) -> PackedTokens {
    let rows = try Self.inChunks(texts.count, parallel) {
      (range: Range<Int>) throws(StackLensError) in
      var row = PackedTokens()
      var scratch = TokenizerScratch()
      for index in range {
        do throws(StackLensError) {
          try appendIDs(
            utf8: texts[index], maxLength: maxLength, addsSpecialTokens: addsSpecialTokens,
            to: &row, scratch: &scratch)
        } catch {
          throw error.within("text \(index)")
        }
      }
      return row
    }
    var all = PackedTokens()
    all.ids.reserveCapacity(rows.reduce(0) { $0 + $1.ids.count })
    all.starts.reserveCapacity(texts.count + 1)
    for row in rows {
      let offset = all.ids.count
      all.ids += row.ids
      all.starts += row.starts.dropFirst().map { $0 + offset }
      all.isTruncated += row.isTruncated
      all.wordCounts += row.wordCounts
      all.unknownCounts += row.unknownCounts
    }
    return all
  }

  /// The encodings of many texts or pairs of texts, padded as one batch.
  /// - Parameters:
  ///   - texts: UTF-8; the bytes must stay where they are during the call.
  ///   - pairs: the second text of each; empty, or as many as there are texts.
  ///   - parallel: the threads to work on.
  /// - Throws: the error of the first text that has one, naming it; `.invalidArgument` if the
  ///   number of pairs is wrong.
  public func encodeBatch(
    utf8 texts: [UnsafeRawBufferPointer], pairs: [UnsafeRawBufferPointer] = [],
    options: EncodingOptions = EncodingOptions(), on parallel: Parallel = .serial
  ) throws(StackLensError) -> [Encoding] {
    guard pairs.isEmpty || pairs.count == texts.count else {
      throw .invalidArgument("\(texts.count) texts, but \(pairs.count) second texts")
    }
    let parts = try Self.inChunks(texts.count, parallel) {
      (range: Range<Int>) throws(StackLensError) in
      var encodings: [Encoding] = []
      encodings.reserveCapacity(range.count)
      var scratch = TokenizerScratch()
      for index in range {
        do throws(StackLensError) {
          encodings.append(
            try encode(
              utf8: texts[index], pair: pairs.isEmpty ? nil : pairs[index], options: options,
              scratch: &scratch))
        } catch {
          throw error.within("text \(index)")
        }
      }
      return encodings
    }
    var encodings = parts.flatMap { $0 }
    if let padding = padding(options) {
      let target = padding.target(longest: encodings.reduce(0) { max($0, $1.count) })
      for index in encodings.indices { encodings[index].pad(to: target, padding) }
    }
    return encodings
  }

  /// Texts that one call of a loop's body encodes.
  private static let chunk = 64

  /// Cuts 0..<count into ranges, makes a value of each, and returns the values in order.
  private static func inChunks<Value>(
    _ count: Int, _ parallel: Parallel,
    _ make: (Range<Int>) throws(StackLensError) -> Value
  ) throws(StackLensError) -> [Value] {
    let chunks = (count + chunk - 1) / chunk
    var results = [Result<Value, StackLensError>?](repeating: nil, count: chunks)
    results.withUnsafeMutableBufferPointer { slots in
      guard let base = slots.baseAddress else { return }
      // Each slot is written by one call only.
      parallel.forEach(chunks) { index in
        let range = index * chunk..<min((index + 1) * chunk, count)
        base[index] = result { () throws(StackLensError) in try make(range) }
      }
    }
    var values: [Value] = []
    values.reserveCapacity(chunks)
    for result in results {
      guard let result else {
        throw .internalError("the parallel loop left out a part of the texts")
      }
      values.append(try result.get())
    }
    return values
  }
}
