import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The values of a map in the order of their keys: side by side, or each at its key's place.
  /// ai.onnx.ml CastMap-1.
  static let castMap = OperatorDefinition(
    "CastMap", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    attributes: [
      .string("cast_to", default: "TO_FLOAT"), .string("map_form", default: "DENSE"),
      .int("max_map", default: 1),
    ],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (evaluation) throws(StackLensError) in
      guard case .map(let keys, let values) = try evaluation.value(0),
        keys.elementType == .int64 || keys.count == 0
      else { throw .typeMismatch("CastMap takes a map with int64 keys") }
      guard values.elementType == .string || values.elementType == .float32 else {
        throw .typeMismatch("CastMap takes strings or float32, found \(values.elementType.name)")
      }
      let numbers = keys.count == 0 ? [] : try keys.integers()
      let order = numbers.indices.sorted { numbers[$0] < numbers[$1] }
      let types: [String: ElementType] = [
        "TO_FLOAT": .float32, "TO_STRING": .string, "TO_INT64": .int64,
      ]
      let name = try evaluation.string("cast_to")
      guard let type = types[name] else {
        throw .invalidArgument("cast_to is '\(name)', expected TO_FLOAT, TO_STRING or TO_INT64")
      }
      let converted = try cast(values, to: type)
      switch try evaluation.string("map_form") {
      case "DENSE":
        return [.tensor(try placed(converted, Array(order.indices), order, numbers.count))]
      case "SPARSE":
        let count = try evaluation.int("max_map")
        guard count > 0, count < Int(Int32.max) else {
          throw .invalidArgument("max_map is \(count), expected 1 to 2³¹ - 2")
        }
        for key in numbers where key < 0 || key >= count {
          throw .invalidArgument("key \(key) is outside [0, \(count)), which max_map allows")
        }
        return [.tensor(try placed(converted, order.map { numbers[$0] }, order, count))]
      case let other:
        throw .invalidArgument("map_form is '\(other)', expected DENSE or SPARSE")
      }
    },
    outline: { (context) throws(StackLensError) in
      let type: ElementType =
        switch try context.string("cast_to") {
        case "TO_STRING": .string
        case "TO_INT64": .int64
        default: .float32
        }
      return [try .tensor(type, [1, context.extent("count")])]
    })

  /// The values of a map, or of each map of a sequence, at the places of their keys in a
  /// vocabulary; nothing where a key is missing, and nothing of keys that it lacks. ai.onnx.ml DictVectorizer-1.
  static let dictVectorizer = OperatorDefinition(
    "DictVectorizer", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    attributes: [
      .optional("int64_vocabulary", .ints), .optional("string_vocabulary", .strings),
    ],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (evaluation) throws(StackLensError) in
      let vocabulary: LabelList
      if let words = try evaluation.strings("string_vocabulary") {
        vocabulary = .strings(words)
      } else if let numbers = try evaluation.ints("int64_vocabulary") {
        vocabulary = .integers(numbers.map { Int64($0) })
      } else {
        throw .invalidArgument("neither string_vocabulary nor int64_vocabulary is given")
      }
      let index = LabelIndex(vocabulary)
      var maps: [Value] = [try evaluation.value(0)]
      if case .sequence(let elements) = maps[0] { maps = elements }
      var rows: [Tensor] = []
      for map in maps {
        guard case .map(let keys, let values) = map else {
          throw .typeMismatch("DictVectorizer takes maps, found \(map.kindName)")
        }
        guard (keys.elementType == .string) == vocabulary.isText || keys.count == 0 else {
          throw .typeMismatch("the keys are \(keys.elementType.name), unlike the vocabulary")
        }
        guard rows.isEmpty || rows[0].elementType == values.elementType else {
          throw .typeMismatch("the maps hold values of different types")
        }
        var places: [Int] = []
        var sources: [Int] = []
        index.forEach(keys) { source, place in
          guard let place else { return }
          places.append(place)
          sources.append(source)
        }
        rows.append(try placed(values, places, sources, vocabulary.count))
      }
      return [.tensor(try stacked(rows))]
    },
    outline: { (context) throws(StackLensError) in
      var map = try context.input(0)
      if case .sequence(let item) = map { map = item }
      guard case .map(_, let value) = map, let type = value.elementType else { return [.unknown] }
      return [try .tensor(type, [context.extent("rows"), context.extent("columns")])]
    })

  private static func cast(
    _ values: Tensor, to type: ElementType
  ) throws(StackLensError) -> Tensor {
    if values.elementType == type { return values }
    let result = try Tensor(uninitialized: type, values.shape)
    if values.elementType == .string {
      try readNumbers(values, result, SmallFloatRounding())
    } else if type == .string {
      try writeNumbers(values, result.texts)
    } else {
      convertElements(values.base, values.elementType, result.base, type, values.count)
    }
    return result
  }

  /// A row with values[sources[i]] at places[i], zeros or empty texts elsewhere.
  private static func placed(
    _ values: Tensor, _ places: [Int], _ sources: [Int], _ count: Int
  ) throws(StackLensError) -> Tensor {
    let row = try Tensor(zeros: values.elementType, Shape([1, count]))
    let size = values.elementType.byteSize
    for (place, source) in zip(places, sources) {
      if values.elementType == .string {
        row.texts[place] = values.texts[source]
      } else {
        (row.base + place * size).copyMemory(from: values.base + source * size, byteCount: size)
      }
    }
    return row
  }

  private static func stacked(_ rows: [Tensor]) throws(StackLensError) -> Tensor {
    guard let first = rows.first else {
      throw .invalidArgument("DictVectorizer was given an empty sequence")
    }
    if rows.count == 1 { return first }
    let width = first.count
    let result = try Tensor(uninitialized: first.elementType, Shape([rows.count, width]))
    for (index, row) in rows.enumerated() {
      try result.rows(index..<index + 1).copyElements(from: row)
    }
    return result
  }
}
