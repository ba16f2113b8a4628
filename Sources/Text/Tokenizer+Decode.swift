extension Tokenizer {
  /// The text that ids stand for, as far as tokens keep it. Ids that nothing has are left out.
  public func decode(_ ids: [Int32], skipsSpecialTokens: Bool = true) -> String {
    var tokens: [[UInt8]] = []
    for id in ids {
      guard var bytes = tokenBytes(id) else { continue }
      if let added = addedToken(id), added.isNormalized {
        bytes = configuration.model.normalized(bytes)
      }
      if skipsSpecialTokens, isSpecial(bytes) { continue }
      tokens.append(bytes)
    }
    var text: [UInt8] = []
    switch configuration.decoder {
    case .spaces:
      for (index, token) in tokens.enumerated() {
        if index > 0 { text.append(0x20) }
        text += token
      }
    case .wordPiece(let prefix, let cleansUp):
      for (index, token) in tokens.enumerated() {
        var piece = token
        if index > 0 {
          if token.starts(with: prefix) {
            piece.removeFirst(prefix.count)
          } else {
            piece.insert(0x20, at: 0)
          }
        }
        text += cleansUp ? Self.cleanedUp(piece) : piece
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// What the clean-up replaces, in this order.
  private static let cleanUps: [(StaticString, StaticString)] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ]

  private static func cleanedUp(_ piece: [UInt8]) -> [UInt8] {
    var piece = piece
    for (pattern, replacement) in cleanUps {
      piece = replaced(piece, pattern, replacement)
    }
    return piece
  }

  private static func replaced(
    _ text: [UInt8], _ pattern: StaticString, _ replacement: StaticString
  ) -> [UInt8] {
    let wanted = UnsafeBufferPointer(start: pattern.utf8Start, count: pattern.utf8CodeUnitCount)
    let put = UnsafeBufferPointer(
      start: replacement.utf8Start, count: replacement.utf8CodeUnitCount)
    var result: [UInt8] = []
    var position = 0
    while position < text.count {
      if text.count - position >= wanted.count,
        text[position..<(position + wanted.count)].elementsEqual(wanted)
      {
        result += put
        position += wanted.count
      } else {
        result.append(text[position])
        position += 1
      }
    }
    return result
  }
}
