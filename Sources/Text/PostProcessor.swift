/// What stands around the tokens of one text or two.
struct PostProcessor: Sendable, Equatable {
  enum Piece: Sendable, Equatable {
    case special(id: Int32, typeID: Int32)
    case first(typeID: Int32)
    case second(typeID: Int32)
  }

  var single: [Piece] = [.first(typeID: 0)]
  var pair: [Piece] = [.first(typeID: 0), .second(typeID: 1)]
  /// Whether type ids hold without special tokens too; else they are then 0 and 1.
  var keepsTypeIDsWithoutSpecials = true

  /// `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`, type id 1 from B on.
  static func bert(start: Int32, end: Int32) -> PostProcessor {
    let head: [Piece] = [
      .special(id: start, typeID: 0), .first(typeID: 0), .special(id: end, typeID: 0),
    ]
    return PostProcessor(
      single: head, pair: head + [.second(typeID: 1), .special(id: end, typeID: 1)],
      keepsTypeIDsWithoutSpecials: false)
  }

  /// `<s> A </s>`, `<s> A </s> </s> B </s>`, all type ids 0.
  static func roberta(start: Int32, end: Int32) -> PostProcessor {
    let close = Piece.special(id: end, typeID: 0)
    let head: [Piece] = [.special(id: start, typeID: 0), .first(typeID: 0), close]
    return PostProcessor(
      single: head, pair: head + [close, .second(typeID: 0), close],
      keepsTypeIDsWithoutSpecials: true)
  }

  func pieces(isPair: Bool, addsSpecialTokens: Bool) -> [Piece] {
    let all = isPair ? pair : single
    if addsSpecialTokens { return all }
    guard keepsTypeIDsWithoutSpecials else {
      return isPair ? [.first(typeID: 0), .second(typeID: 1)] : [.first(typeID: 0)]
    }
    return all.filter {
      if case .special = $0 { return false }
      return true
    }
  }

  static func specialCount(_ pieces: [Piece]) -> Int {
    pieces.reduce(0) { count, piece in
      if case .special = piece { return count + 1 }
      return count
    }
  }
}
