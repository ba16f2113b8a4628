import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The parts of each text between delimiters, filled up with empty texts to a common count, and
  /// how many there are. Without a delimiter the parts are what white space separates.
  /// ONNX StringSplit-20.
  static let stringSplit = OperatorDefinition(
    "StringSplit", versions: [20], inputs: 1...1, outputs: 1...2,
    attributes: [.optional("delimiter", .string), .optional("maxsplit", .int)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (evaluation) throws(StackLensError) in
      let x = try evaluation.tensor(0)
      guard x.elementType == .string else {
        throw .typeMismatch("input 0 is \(x.elementType.name), expected string")
      }
      let delimiter = evaluation.has("delimiter") ? try evaluation.string("delimiter") : ""
      let given = evaluation.has("maxsplit") ? try evaluation.int("maxsplit") : -1
      let limit = given < 0 ? Int.max : given
      let separator = Array(delimiter.utf8)
      var parts: [[String]] = []
      parts.reserveCapacity(x.count)
      for index in 0..<x.count {
        let text = x.texts[index]
        parts.append(
          separator.isEmpty ? words(text, limit) : pieces(Array(text.utf8), separator, limit))
      }
      let width = parts.reduce(0) { max($0, $1.count) }
      let shape = try Shape(x.shape.dims + [width])
      try evaluation.requireRoom(shape.count, byteCount: MemoryLayout<String>.stride, "parts")
      let y = try Tensor(uninitialized: .string, shape)
      for (index, parts) in parts.enumerated() {
        for (place, part) in parts.enumerated() { y.texts[index * width + place] = part }
      }
      let counts = try Tensor(parts.map { Int64($0.count) }, shape: x.shape)
      return [.tensor(y), .tensor(counts)]
    },
    outline: { (context) throws(StackLensError) in
      guard let dims = try context.input(0).type?.shape.dims else {
        return [.elements(.string), .elements(.int64)]
      }
      return [
        try .tensor(.string, dims + [context.extent("parts")]), try .tensor(.int64, dims),
      ]
    },
    samples: [
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a-b--", "", "-"]) }],
        ["delimiter": .string("-")], outputs: 2),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(scalar: " one two  three ") }],
        ["maxsplit": .int(1)], outputs: 2),
    ])

  /// What stands between separators, byte by byte; what follows the last split is one part.
  private static func pieces(_ text: [UInt8], _ separator: [UInt8], _ limit: Int) -> [String] {
    var parts: [String] = []
    var (start, position) = (0, 0)
    while parts.count < limit, position + separator.count <= text.count {
      if text[position..<position + separator.count].elementsEqual(separator) {
        parts.append(String(decoding: text[start..<position], as: UTF8.self))
        position += separator.count
        start = position
      } else {
        position += 1
      }
    }
    parts.append(String(decoding: text[start...], as: UTF8.self))
    return parts
  }

  /// What white space separates; what follows the last split keeps its inner and last spaces.
  private static func words(_ text: String, _ limit: Int) -> [String] {
    let scalars = text.unicodeScalars
    var parts: [String] = []
    var start = scalars.startIndex
    while let first = scalars[start...].firstIndex(where: { !$0.properties.isWhitespace }) {
      guard parts.count < limit else {
        parts.append(String(scalars[first...]))
        break
      }
      let end =
        scalars[first...].firstIndex { $0.properties.isWhitespace } ?? scalars.endIndex
      parts.append(String(scalars[first..<end]))
      start = end
    }
    return parts
  }
}
