import Base
import Graphs
import Tensors

/// Values that stand for one another: numbers by their bits' meaning, or strings.
enum LabelList: Sendable {
  case numbers([Double])
  case integers([Int64])
  case strings([String])

  var count: Int {
    switch self {
    case .numbers(let values): values.count
    case .integers(let values): values.count
    case .strings(let values): values.count
    }
  }

  var isText: Bool { if case .strings = self { true } else { false } }

  init(_ tensor: Tensor) throws(StackLensError) {
    switch tensor.elementType {
    case .string: self = .strings(try tensor.elements(as: String.self))
    case .int64: self = .integers(try tensor.elements(as: Int64.self))
    case .int32: self = .integers(try tensor.elements(as: Int32.self).map { Int64($0) })
    case .int16: self = .integers(try tensor.elements(as: Int16.self).map { Int64($0) })
    case .float32: self = .numbers(try tensor.elements(as: Float.self).map { Double($0) })
    case .float64: self = .numbers(try tensor.elements(as: Double.self))
    default: throw .typeMismatch("labels of type \(tensor.elementType.name)")
    }
  }

  /// The keys' or values' list of LabelEncoder, with the type that tensors of it have.
  init?(_ view: some NodeView, _ prefix: String, _ type: inout ElementType) throws(StackLensError) {
    if let tensor = try view.tensor("\(prefix)_tensor") {
      type = tensor.elementType
      self = try LabelList(tensor)
    } else if let values = try view.strings("\(prefix)_strings") {
      type = .string
      self = .strings(values)
    } else if let values = try view.ints("\(prefix)_int64s") {
      type = .int64
      self = .integers(values.map { Int64($0) })
    } else if let values = try view.floats("\(prefix)_floats") {
      type = .float32
      self = .numbers(values.map { Double($0) })
    } else {
      return nil
    }
  }
}

/// From a label to its place in a list; the first of equal labels counts, NaN equals NaN.
struct LabelIndex: Sendable {
  private enum Key: Hashable {
    case number(Double)
    case notANumber
    case integer(Int64)
    case string(ExactText)

    init(_ value: Double) { self = value.isNaN ? .notANumber : .number(value) }
  }
  private let places: [Key: Int]
  private let truncates: Bool

  /// - Parameter truncates: whether fractions of the elements are dropped.
  init(_ labels: LabelList, truncates: Bool = false) {
    self.truncates = truncates
    var places: [Key: Int] = [:]
    func add(_ key: Key, _ index: Int) { if places[key] == nil { places[key] = index } }
    switch labels {
    case .numbers(let values): for (i, value) in values.enumerated() { add(Key(value), i) }
    case .integers(let values): for (i, value) in values.enumerated() { add(.integer(value), i) }
    case .strings(let values):
      for (i, value) in values.enumerated() { add(.string(ExactText(value)), i) }
    }
    self.places = places
  }

  private func read(_ value: Double) -> Double { truncates ? value.rounded(.towardZero) : value }

  /// Calls `body` with each element's place, nil for one that is not listed.
  func forEach(_ x: Tensor, _ body: (Int, Int?) -> Void) {
    switch x.elementType {
    case .string:
      let values = x.base.assumingMemoryBound(to: String.self)
      for i in 0..<x.count { body(i, places[.string(ExactText(values[i]))]) }
    case .float32:
      for i in 0..<x.count { body(i, places[Key(read(Double(x.floats[i])))]) }
    case .float64:
      let values = x.base.assumingMemoryBound(to: Double.self)
      for i in 0..<x.count { body(i, places[Key(read(values[i]))]) }
    case .int64: for i in 0..<x.count { body(i, places[.integer(x.int64s[i])]) }
    case .int32:
      let values = x.base.assumingMemoryBound(to: Int32.self)
      for i in 0..<x.count { body(i, places[.integer(Int64(values[i]))]) }
    default:
      let values = x.base.assumingMemoryBound(to: Int16.self)
      for i in 0..<x.count { body(i, places[.integer(Int64(values[i]))]) }
    }
  }
}

extension OperatorDefinition {
  private static let labelTypes: [ElementType] = [
    .string, .int64, .float32, .int32, .int16, .float64,
  ]

  /// Replaces each key by its value, others by a default. ai.onnx.ml LabelEncoder-4.
  static let labelEncoder = OperatorDefinition(
    "LabelEncoder", domain: machineLearningDomain, versions: [1, 2, 4], inputs: 1...1,
    attributes: [
      .float("default_float", default: -0.0), .int("default_int64", default: -1),
      .string("default_string", default: "_Unused"), .optional("default_tensor", .tensor),
      .optional("keys_floats", .floats), .optional("keys_int64s", .ints),
      .optional("keys_strings", .strings), .optional("keys_tensor", .tensor),
      .optional("values_floats", .floats), .optional("values_int64s", .ints),
      .optional("values_strings", .strings), .optional("values_tensor", .tensor),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: labelTypes)
      var (from, to) = (ElementType.float32, ElementType.float32)
      guard let keys = try LabelList(context, "keys", &from),
        let values = try LabelList(context, "values", &to)
      else { throw .invalidArgument("LabelEncoder needs keys and values") }
      guard keys.count == values.count else {
        throw .invalidArgument("\(keys.count) keys for \(values.count) values")
      }
      guard from == x.elementType else {
        throw .typeMismatch("the keys are \(from.name), the input is \(x.elementType.name)")
      }
      return [TensorType(to, x.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        var (from, to) = (ElementType.float32, ElementType.float32)
        guard let keys = try LabelList(preparation, "keys", &from),
          var values = try LabelList(preparation, "values", &to)
        else { throw .invalidArgument("LabelEncoder needs keys and values") }
        let given = try preparation.tensor("default_tensor")
        if let given, given.elementType != to || given.count != 1 {
          throw .typeMismatch("default_tensor is \(TensorType(given)), expected one \(to.name)")
        }
        let fallback = try given.map { (tensor) throws(StackLensError) in try LabelList(tensor) }
        // The default stands behind the last value.
        switch (values, fallback) {
        case (.strings(let list), .strings(let last)?): values = .strings(list + last)
        case (.integers(let list), .integers(let last)?): values = .integers(list + last)
        case (.numbers(let list), .numbers(let last)?): values = .numbers(list + last)
        case (.strings(let list), _):
          values = .strings(list + [try preparation.string("default_string")])
        case (.integers(let list), _):
          values = .integers(list + [Int64(try preparation.int("default_int64"))])
        case (.numbers(let list), _):
          values = .numbers(list + [Double(try preparation.float("default_float"))])
        }
        return lookup(LabelIndex(keys), values)
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 2 else { return [node] }
      let type = node.inputs.first.flatMap { rewriter.elementType(of: $0) }
      return [try liftedClasses(node, toTexts: type == .int64)]
    },
    lower: { (node, opset, _) throws(StackLensError) in
      if opset < 2 { throw .unsupported("LabelEncoder with keys needs ai.onnx.ml 2") }
      return [opset < 4 ? try withoutTensors(node) : node]
    },
    samples: [
      Sample(
        [.random(.int64, [2, 3], low: 0, high: 4)],
        [
          "keys_int64s": .ints([1, 2]), "values_strings": .strings(["one", "two"]),
          "default_string": .string("many"),
        ]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a", "b", "c"]) }],
        ["keys_strings": .strings(["a", "c"]), "values_floats": .floats([0.5, 1.5])]),
    ])

  /// The form of ai.onnx.ml 1: strings become their place in a list, or places the strings there.
  private static func liftedClasses(
    _ node: Node, toTexts: Bool
  ) throws(StackLensError) -> Node {
    guard case .strings(let classes)? = node.attributes["classes_strings"] else {
      throw .unsupported("LabelEncoder of ai.onnx.ml 1 without classes_strings")
    }
    var node = node
    node.attributes["classes_strings"] = nil
    let places = Attribute.ints(classes.indices.map { Int64($0) })
    node.attributes[toTexts ? "values_strings" : "keys_strings"] = .strings(classes)
    node.attributes[toTexts ? "keys_int64s" : "values_int64s"] = places
    return node
  }

  /// Before ai.onnx.ml 4 keys, values and default were lists of three types.
  private static func withoutTensors(_ node: Node) throws(StackLensError) -> Node {
    var node = node
    for role in ["keys", "values", "default"] {
      guard case .tensor(let tensor)? = node.attributes.removeValue(forKey: "\(role)_tensor") else {
        continue
      }
      let isDefault = role == "default"
      guard !isDefault || tensor.count == 1 else {
        throw .unsupported("LabelEncoder with \(tensor.count) defaults needs ai.onnx.ml 4")
      }
      switch tensor.elementType {
      case .float32:
        let values = try tensor.elements(as: Float.self)
        node.attributes[isDefault ? "default_float" : "\(role)_floats"] =
          isDefault ? .float(values[0]) : .floats(values)
      case .int64:
        let values = try tensor.elements(as: Int64.self)
        node.attributes[isDefault ? "default_int64" : "\(role)_int64s"] =
          isDefault ? .int(values[0]) : .ints(values)
      case .string:
        let values = try tensor.elements(as: String.self)
        node.attributes[isDefault ? "default_string" : "\(role)_strings"] =
          isDefault ? .string(values[0]) : .strings(values)
      case let type:
        throw .unsupported("LabelEncoder with a \(role)_tensor of \(type.name) needs ai.onnx.ml 4")
      }
    }
    return node
  }

  /// Strings to integers or integers to strings by two lists. ai.onnx.ml CategoryMapper-1.
  static let categoryMapper = OperatorDefinition(
    "CategoryMapper", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    attributes: [
      .optional("cats_int64s", .ints), .optional("cats_strings", .strings),
      .int("default_int64", default: -1), .string("default_string", default: "_Unused"),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.string, .int64])
      return [TensorType(x.elementType == .string ? .int64 : .string, x.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let integers = (try preparation.ints("cats_int64s") ?? []).map { Int64($0) }
        let strings = try preparation.strings("cats_strings") ?? []
        guard integers.count == strings.count else {
          throw .invalidArgument("\(integers.count) cats_int64s for \(strings.count) cats_strings")
        }
        if try preparation.input(0).elementType == .string {
          let last = Int64(try preparation.int("default_int64"))
          return lookup(LabelIndex(.strings(strings)), .integers(integers + [last]))
        }
        let last = try preparation.string("default_string")
        return lookup(LabelIndex(.integers(integers)), .strings(strings + [last]))
      }
    ]),
    samples: [
      Sample(
        [.random(.int64, [2, 3], low: 0, high: 4)],
        ["cats_int64s": .ints([1, 2]), "cats_strings": .strings(["one", "two"])]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a", "b", "c"]) }],
        ["cats_int64s": .ints([1, 2]), "cats_strings": .strings(["a", "c"])]),
    ])

  /// Stores the value at each element's place, the last value for those that are not listed.
  private static func lookup(_ index: LabelIndex, _ values: LabelList) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      let y = run.outputs[0]
      let x = try run.input(0)
      switch values {
      case .strings(let list):
        let target = y.base.assumingMemoryBound(to: String.self)
        index.forEach(x) { target[$0] = list[$1 ?? list.count - 1] }
      case .integers(let list):
        if y.elementType == .int64 {
          index.forEach(x) { y.int64s[$0] = list[$1 ?? list.count - 1] }
        } else {
          index.forEach(x) { y.set($0, toNumber: Double(list[$1 ?? list.count - 1])) }
        }
      case .numbers(let list):
        index.forEach(x) { y.set($0, toNumber: list[$1 ?? list.count - 1]) }
      }
    }
  }

  /// A new last axis with a one at the place of each element's category, fractions dropped. An
  /// unknown category gives zeros, or an error where `zeros` is 0. ai.onnx.ml OneHotEncoder-1.
  static let oneHotEncoder = OperatorDefinition(
    "OneHotEncoder", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    attributes: [
      .optional("cats_int64s", .ints), .optional("cats_strings", .strings),
      .int("zeros", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: FeatureRows.types + [.string])
      let count = try categories(context, x.elementType).count
      return [TensorType(.float32, try Shape(x.shape.dims + [count]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let type = try preparation.input(0).elementType
        let list = try categories(preparation, type)
        let index = LabelIndex(list, truncates: true)
        let allowsUnknown = try preparation.flag("zeros")
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0)
          let y = run.outputs[0].floats
          var unknown: Int?
          index.forEach(x) { if $1 == nil, unknown == nil { unknown = $0 } }
          if let unknown, !allowsUnknown {
            throw .invalidArgument("element \(unknown) is none of the \(list.count) categories")
          }
          y.update(repeating: 0, count: run.outputs[0].count)
          index.forEach(x) { if let place = $1 { y[$0 * list.count + place] = 1 } }
        }
      }
    ]),
    samples: [
      Sample([.random(.int64, [2, 3], low: 0, high: 4)], ["cats_int64s": .ints([1, 2, 3])]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a", "b"]) }],
        ["cats_strings": .strings(["b", "a"])]),
    ])

  private static func categories(
    _ view: some NodeView, _ type: ElementType
  ) throws(StackLensError) -> LabelList {
    if type == .string {
      if let list = try view.strings("cats_strings") { return .strings(list) }
    } else if let list = try view.ints("cats_int64s") {
      return type.isFloat
        ? .numbers(list.map { Double($0) }) : .integers(list.map { Int64($0) })
    }
    throw .invalidArgument("OneHotEncoder has no categories for an input of \(type.name)")
  }
}
