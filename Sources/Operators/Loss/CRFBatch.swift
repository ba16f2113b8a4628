import Base
import Graphs
import Tensors

/// One text as a chain takes it.
struct CRFText {
  /// The positions that count, and the tag of each where there are tags.
  var positions: [Int] = []
  var tags: [Int] = []
}

/// What a node of a chain says of its texts. Emissions, transitions, start and end scores are four inputs
/// from `first` on.
struct CRFBatch: Sendable {
  let steps: Int
  let tagCount: Int
  let items: Int
  private let first: Int
  private let tags: Int?
  private let mask: Int
  private let ignored: Int

  init(
    _ preparation: Preparation, first: Int, tags: Int?, mask: Int
  ) throws(StackLensError) {
    let shape = try preparation.input(first).shape
    (items, steps, tagCount) = (shape[0], shape[1], shape[2])
    (self.first, self.tags, self.mask) = (first, tags, mask)
    ignored = try preparation.int("ignore_index")
  }

  /// Checks the types of the inputs.
  /// - Returns: the shape of the emissions, [B, T, K].
  static func check(
    _ context: Inference, first: Int, tags: Int?, mask: Int
  ) throws(StackLensError) -> Shape {
    let emissions = try context.input(first, oneOf: ElementType.reals)
    let shape = emissions.shape
    guard shape.rank == 3, shape[2] > 0 else {
      throw .shapeMismatch("input \(first) has shape \(shape), expected [B, T, K] with K > 0")
    }
    let count = shape[2]
    for (index, dims) in [(1, [count, count]), (2, [count]), (3, [count])]
    where index == 1 || context.hasInput(first + index) {
      let found = try context.input(first + index)
      guard found == TensorType(emissions.elementType, try Shape(dims)) else {
        throw .shapeMismatch(
          "input \(first + index) is \(found), expected \(emissions.elementType.name)\(dims)")
      }
    }
    for (index, types) in [
      (tags, [ElementType.int32, .int64]), (mask, [.int32, .int64, .bool]),
    ] {
      guard let index, index == tags || context.hasInput(index) else { continue }
      let found = try context.input(index, oneOf: types).shape
      guard found.dims == [shape[0], shape[1]] else {
        throw .shapeMismatch(
          "input \(index) has shape \(found), expected [\(shape[0]), \(shape[1])]")
      }
    }
    return shape
  }

  /// - Throws: `.invalidArgument` for a tag that there is not.
  func texts(_ run: Invocation) throws(StackLensError) -> [CRFText] {
    let given = try tags.map { (index) throws(StackLensError) in try run.input(index).integers() }
    let isKept = try kept(run)
    var texts: [CRFText] = []
    for item in 0..<items {
      var text = CRFText()
      for step in 0..<steps where isKept?[item * steps + step] ?? true {
        if let given {
          let tag = given[item * steps + step]
          if tag == ignored { continue }
          guard (0..<tagCount).contains(tag) else {
            throw .invalidArgument(
              "tag \(tag) at [\(item), \(step)] is outside [0, \(tagCount))")
          }
          text.tags.append(tag)
        }
        text.positions.append(step)
      }
      texts.append(text)
    }
    return texts
  }

  private func kept(_ run: Invocation) throws(StackLensError) -> [Bool]? {
    guard mask < run.inputs.count, let tensor = run.inputs[mask] else { return nil }
    if tensor.elementType == .bool { return try tensor.elements(as: Bool.self) }
    return try tensor.integers().map { $0 != 0 }
  }

  func chain(_ text: CRFText, _ item: Int, _ wide: WideRun<Double>) -> CRFChain {
    let inputs = wide.inputs
    guard let emissions = inputs[first], let transitions = inputs[first + 1] else {
      preconditionFailure("a chain has emissions and transitions")
    }
    return CRFChain(
      text.positions,
      CRFChain.Scores(
        tagCount: tagCount, emissions: emissions + item * steps * tagCount,
        transitions: transitions, starts: first + 2 < inputs.count ? inputs[first + 2] : nil,
        ends: first + 3 < inputs.count ? inputs[first + 3] : nil))
  }
}
