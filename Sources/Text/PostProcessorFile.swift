import Base

/// Reads the section `post_processor` of `tokenizer.json`.
enum PostProcessorFile {
  static func postProcessor(_ value: JSON) throws(StackLensError) -> PostProcessor {
    if value.isNull { return PostProcessor() }
    switch value["type"]?.stringValue {
    case "TemplateProcessing": return try template(value)
    case "BertProcessing":
      return .bert(start: try token(value, "cls"), end: try token(value, "sep"))
    case "RobertaProcessing":
      return .roberta(start: try token(value, "cls"), end: try token(value, "sep"))
    case let type:
      throw .unsupported(
        "tokenizer.json: post_processor \"\((type ?? "without type").prefix(80))\"; this tokenizer"
          + " reads TemplateProcessing, BertProcessing and RobertaProcessing")
    }
  }

  /// The id in `["[CLS]", 101]`.
  private static func token(_ value: JSON, _ name: String) throws(StackLensError) -> Int32 {
    try TokenizerFile.id(value[name]?[1] ?? .null, "post_processor \(name) id")
  }

  private static func template(_ value: JSON) throws(StackLensError) -> PostProcessor {
    let specials = value["special_tokens"] ?? .null
    let single = try pieces(value["single"] ?? .null, specials)
    let usesSecond = single.contains {
      if case .second = $0 { return true }
      return false
    }
    if usesSecond { throw .formatError("tokenizer.json: template for one text names sequence B") }
    return PostProcessor(
      single: single, pair: try pieces(value["pair"] ?? .null, specials),
      keepsTypeIDsWithoutSpecials: true)
  }

  private static func pieces(
    _ value: JSON, _ specials: JSON
  ) throws(StackLensError) -> [PostProcessor.Piece] {
    guard let elements = value.arrayValue else {
      throw .formatError("tokenizer.json: template is \(value.kind), not an array")
    }
    guard elements.count <= 1_000 else {
      throw .limitExceeded("tokenizer.json: template has \(elements.count) pieces")
    }
    var pieces: [PostProcessor.Piece] = []
    for element in elements {
      if let sequence = element["Sequence"] {
        let typeID = try TokenizerFile.id(sequence["type_id"] ?? .null, "template type_id")
        switch sequence["id"]?.stringValue {
        case "A": pieces.append(.first(typeID: typeID))
        case "B": pieces.append(.second(typeID: typeID))
        default: throw .formatError("tokenizer.json: template sequence is neither A nor B")
        }
      } else if let special = element["SpecialToken"] {
        let typeID = try TokenizerFile.id(special["type_id"] ?? .null, "template type_id")
        let name = try TokenizerFile.string(special["id"] ?? .null, "template token")
        guard let ids = specials[name]?["ids"]?.arrayValue, ids.count <= 1_000 else {
          throw .formatError("tokenizer.json: template token \"\(name)\" has no ids")
        }
        for id in ids {
          pieces.append(
            .special(id: try TokenizerFile.id(id, "id of \"\(name)\""), typeID: typeID))
        }
      } else {
        throw .formatError("tokenizer.json: template piece is neither Sequence nor SpecialToken")
      }
    }
    return pieces
  }
}
