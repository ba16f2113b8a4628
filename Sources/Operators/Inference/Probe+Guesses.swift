import Base
import Graphs
import Tensors

/// A node with concrete input types, to be held against its operator's rule.
struct Question {
  let node: Node
  let definition: OperatorDefinition
  var types: [TensorType?]
  var values: [Tensor?]

  init(_ node: Node, _ definition: OperatorDefinition, _ inputs: [AbstractValue?]) {
    self.node = node
    self.definition = definition
    types = inputs.map { $0?.type }
    values = inputs.map { $0?.value }
  }

  var inference: Inference {
    Inference(node: node, definition: definition, inputs: types, values: values)
  }

  func answer() throws(StackLensError) -> [TensorType] { try definition.infer(inference) }

  /// The answer for other input types.
  func answer(_ types: [TensorType?]) -> [TensorType]? {
    var other = self
    other.types = types
    for (index, type) in types.enumerated() where type != values[index].map({ TensorType($0) }) {
      other.values[index] = nil
    }
    return try? other.answer()
  }
}

extension Probe {
  // Values that only the data tell -------------------------------------------------------------

  private static let guessCount = 256
  /// Accepted guesses that make an extent believable which is the same for all.
  private static let enoughAnswers = 6

  /// What the rule says for several made-up values of the inputs that it asks for: what is the same
  /// for all of them does not depend on them.
  func guessed(_ question: Question, _ own: String) -> [AbstractValue]? {
    let open = question.types.indices.filter { index in
      guard let type = question.types[index], question.values[index] == nil else { return false }
      return type.rank <= 1 && type.shape.count <= 64
    }
    guard !open.isEmpty else { return nil }
    let extents = Array(question.types.compactMap { $0?.shape.dims }.joined().prefix(16))
    var draw = Draw(numbers: [0, 1, 2, 3, 4, 5, -1, -2, -3] + extents)
    var answers: [[TensorType]] = []
    // Guesses in which several inputs hold the same numbers say nothing about each of them.
    var independent = 0
    let structured = 14 + 2 * extents.count
    for round in 0..<Self.guessCount {
      var asked = question
      for index in open {
        guard let type = asked.types[index] else { continue }
        let count = type.shape.count
        // First all inputs hold the same number, then ones and a -1, then an extent in one place
        // (sizes that add up to it), then anything.
        let numbers: [Int] =
          if round < 6 {
            [Int](repeating: [0, 1, 2, -1, 3, 5][round], count: count)
          } else if round < 14 {
            (0..<count).map { $0 == round - 6 ? -1 : 1 }
          } else if round < structured {
            (0..<count).map { $0 == round % 2 ? extents[(round - 14) / 2] : 0 }
          } else {
            (0..<count).map { _ in draw.next() }
          }
        asked.values[index] = try? Tensor(type, filledWith: numbers.map(Double.init))
      }
      if let answer = try? asked.answer() {
        answers.append(answer)
        if round >= structured || open.count == 1 { independent += 1 }
      }
      if independent == 24 || round == 63 && answers.isEmpty { break }
    }
    guard let first = answers.first else { return nil }
    return first.indices.map { output -> AbstractValue in
      let type = first[output]
      let all = answers.compactMap { output < $0.count ? $0[output] : nil }
      guard all.allSatisfy({ $0.elementType == type.elementType }) else { return .unknown }
      guard all.allSatisfy({ $0.rank == type.rank }) else { return .elements(type.elementType) }
      var dims = type.shape.dims
      for axis in dims.indices
      where independent < Self.enoughAnswers
        || all.contains(where: { $0.shape[axis] != dims[axis] })
      {
        dims[axis] = number(at: "\(own)\(output).\(axis)")
      }
      return (try? .tensor(type.elementType, dims)) ?? .elements(type.elementType)
    }
  }

  /// Types and ranks of an operator without a rule: it is run on small tensors of zeros.
  func tried(_ question: Question, _ own: String) -> [AbstractValue]? {
    guard case .evaluate = question.definition.execution, question.definition.isDeterministic
    else { return nil }
    var inputs: [Value?] = []
    for (type, value) in zip(question.types, question.values) {
      guard let type else {
        inputs.append(nil)
        continue
      }
      guard value != nil || type.shape.count <= 1 << 12,
        let tensor = value ?? (try? Tensor(zeros: type.elementType, type.shape))
      else { return nil }
      inputs.append(.tensor(tensor))
    }
    guard let results = try? question.definition.evaluate(question.node, inputs: inputs) else {
      return nil
    }
    return results.enumerated().map { output, result -> AbstractValue in
      let value = AbstractValue(result)
      guard case .tensor(let type, _) = value else { return value.forgetting }
      let dims = (0..<type.rank).map { number(at: "\(own)\(output).\($0)") }
      return (try? .tensor(type.elementType, dims)) ?? .elements(type.elementType)
    }
  }

  // Symbols that must be equal to something -------------------------------------------------------

  /// The answer with a symbol set to what its neighbours ask for, where a node refuses different
  /// numbers: two undeclared extents that are added, one that meets a weight.
  func repaired(_ question: Question, _ own: String) -> [TensorType]? {
    guard question.types.contains(where: { $0?.shape.dims.contains(where: isSymbol) ?? false })
    else { return nil }
    return broadcast(question, own) ?? columns(question) ?? pairs(question)
  }

  /// Extents aligned from the right, as in broadcasting. Two symbols may stand for 1 and something
  /// else: their result is a symbol of its own.
  private func broadcast(_ question: Question, _ own: String) -> [TensorType]? {
    var types = question.types
    let rank = types.reduce(0) { max($0, $1?.rank ?? 0) }
    for place in 0..<rank {
      var extents: [Int] = []
      for case let type? in types where place < type.rank {
        let extent = type.shape[type.rank - 1 - place]
        if extent != 1, !extents.contains(extent) { extents.append(extent) }
      }
      guard extents.count > 1 else { continue }
      let common = extents.first { !isSymbol($0) } ?? number(at: "\(own)b\(place)")
      for index in types.indices {
        guard let type = types[index], place < type.rank else { continue }
        types[index] = type.with(common, at: type.rank - 1 - place) { isSymbol($0) }
      }
    }
    return question.answer(types)
  }

  /// Extents at the same axis, as in joining: all axes but one, or all.
  private func columns(_ question: Question) -> [TensorType]? {
    let ranks = Set(question.types.compactMap { $0?.rank })
    guard let rank = ranks.first, ranks.count == 1, rank > 0, rank <= 8, question.types.count > 1
    else { return nil }
    for free in 0...rank {
      var types = question.types
      for axis in 0..<rank where axis != free {
        let extents = types.compactMap { $0?.shape[axis] }
        guard
          let common = extents.first(where: { !isSymbol($0) })
            ?? extents.first(where: { !isNameless($0) }) ?? extents.first
        else { continue }
        for index in types.indices {
          types[index] = types[index]?.with(common, at: axis) { isSymbol($0) }
        }
      }
      if let answer = question.answer(types) { return answer }
    }
    return nil
  }

  /// One symbol at a time, set to an extent of another input.
  private func pairs(_ question: Question) -> [TensorType]? {
    var attempts = 32
    for (index, type) in question.types.enumerated() {
      guard let type, type.rank <= 8 else { continue }
      for axis in 0..<type.rank where isSymbol(type.shape[axis]) {
        var extents: [Int] = []
        for (other, neighbour) in question.types.enumerated() where other != index {
          extents += neighbour?.shape.dims.prefix(8) ?? []
        }
        var tried: Set<Int> = [type.shape[axis]]
        for extent in extents + [1] where tried.insert(extent).inserted {
          attempts -= 1
          guard attempts >= 0 else { return nil }
          var types = question.types
          types[index] = type.with(extent, at: axis) { _ in true }
          if let answer = question.answer(types) { return answer }
        }
      }
    }
    return nil
  }

  // Element types alone ------------------------------------------------------------------------

  /// Element types, and ranks where they follow from those of the inputs, of outputs whose extents
  /// are not known: the rule is asked with plain shapes.
  func elementTypes(
    _ node: Node, _ definition: OperatorDefinition, _ inputs: [AbstractValue?], _ own: String
  ) -> [AbstractValue] {
    guard inputs.allSatisfy({ $0 == nil || $0?.elementType != nil }), definition.outline == nil
    else { return [] }
    if inputs.allSatisfy({ $0 == nil || $0?.type != nil }) {
      let answers = [1, 4, 64].compactMap { plainAnswer(node, definition, inputs, $0, rank: nil) }
      if let first = answers.first {
        return first.indices.map { output -> AbstractValue in
          guard let elementType = first[output].elementType else { return .unknown }
          let ranks = Set(answers.map { output < $0.count ? $0[output].type?.rank : nil })
          // Made-up extents would look like contradictions there.
          guard kind != .tiny, ranks.count == 1, let rank = first[output].type?.rank else {
            return .elements(elementType)
          }
          let dims = (0..<rank).map { number(at: "\(own)\(output).\($0)") }
          return (try? .tensor(elementType, dims)) ?? .elements(elementType)
        }
      }
    }
    for rank in [2, 1, 3, 4, 0, 5] {
      if let found = plainAnswer(node, definition, inputs, 1, rank: rank) {
        return found.map { $0.elementType.map { .elements($0) } ?? .unknown }
      }
    }
    return []
  }

  /// The rule's answer when all extents of what is not known are `extent`.
  /// - Parameter rank: nil leaves each input its own.
  private func plainAnswer(
    _ node: Node, _ definition: OperatorDefinition, _ inputs: [AbstractValue?], _ extent: Int,
    rank: Int?
  ) -> [AbstractValue]? {
    var asked = Question(node, definition, inputs)
    for (index, input) in inputs.enumerated() {
      guard let input, input.value == nil, let elementType = input.elementType else { continue }
      // A list of integers may be axes, whose number decides about a rank.
      if rank == nil, elementType.isInteger, let type = input.type, type.rank <= 1 { continue }
      let dims = [Int](repeating: extent, count: rank ?? input.type?.rank ?? 1)
      asked.types[index] = (try? Shape(dims)).map { TensorType(elementType, $0) }
    }
    return (try? asked.answer())?.map { .tensor($0, value: nil) } ?? guessed(asked, "?")
  }
}

/// A reproducible row of made-up numbers.
private struct Draw {
  let numbers: [Int]
  private var state: UInt64 = 1

  init(numbers: [Int]) { self.numbers = numbers }

  mutating func next() -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return numbers[Int(state >> 33) % numbers.count]
  }
}

extension TensorType {
  /// The type with another extent at an axis, if the one there is to be replaced.
  fileprivate func with(_ extent: Int, at axis: Int, if replaces: (Int) -> Bool) -> TensorType {
    guard replaces(shape[axis]) else { return self }
    var dims = shape.dims
    dims[axis] = extent
    return (try? Shape(dims)).map { TensorType(elementType, $0) } ?? self
  }
}

extension Tensor {
  /// A small tensor of numbers; texts are empty.
  fileprivate init(_ type: TensorType, filledWith numbers: [Double]) throws(StackLensError) {
    switch type.elementType {
    case .int64: try self.init(numbers.map { Int64($0) }, shape: type.shape)
    case .int32: try self.init(numbers.map { Int32(clamping: Int($0)) }, shape: type.shape)
    case .float32: try self.init(numbers.map { Float($0) }, shape: type.shape)
    case .float64: try self.init(numbers, shape: type.shape)
    case .float16: try self.init(numbers.map { Float16($0) }, shape: type.shape)
    case .bfloat16: try self.init(numbers.map { BFloat16(Float($0)) }, shape: type.shape)
    case .int16: try self.init(numbers.map { Int16(clamping: Int($0)) }, shape: type.shape)
    case .uint8: try self.init(numbers.map { UInt8(clamping: Int($0)) }, shape: type.shape)
    case .bool: try self.init(numbers.map { $0 != 0 }, shape: type.shape)
    default: try self.init(zeros: type.elementType, type.shape)
    }
  }
}
