import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Removes axes of extent 1: those given, else all. ONNX Squeeze-25.
  static let squeeze = OperatorDefinition(
    "Squeeze", versions: [1, 11, 13, 21, 23, 24, 25], inputs: 1...2,
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      var removed = input.shape.dims.indices.filter { input.shape[$0] == 1 }
      if let axes = try context.optionalValue(1) {
        removed = try checkedAxes(try axes.integers(), rank: input.rank)
      }
      for axis in removed where input.shape[axis] != 1 {
        throw .shapeMismatch("axis \(axis) of \(input.shape) is not 1")
      }
      let dims = input.shape.dims.indices.filter { !removed.contains($0) }
      return [TensorType(input.elementType, try Shape(dims.map { input.shape[$0] }))]
    },
    execution: .view, lift: liftAttributes(before: 13, ["axes"]),
    lower: lowerAxes { (rank, _) in rank },
    gradient: .sameElements,
    samples: [
      Sample([.floats(1, 3, 1, 4), .ints([-2])]), Sample([.floats(1, 3, 1)]),
      Sample([.floats(1, 0), .ints([0])]),
    ])

  /// Inserts axes of extent 1 at places of the result. ONNX Unsqueeze-25.
  static let unsqueeze = OperatorDefinition(
    "Unsqueeze", versions: [1, 11, 13, 21, 23, 24, 25], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let axes = try context.value(1).integers()
      let places = Set(try checkedAxes(axes, rank: input.rank + axes.count))
      var rest = input.shape.dims.makeIterator()
      var dims: [Int] = []
      for axis in 0..<input.rank + axes.count {
        dims.append(places.contains(axis) ? 1 : rest.next() ?? 1)
      }
      return [TensorType(input.elementType, try Shape(dims))]
    },
    execution: .view, lift: liftAttributes(before: 13, ["axes"]),
    lower: lowerAxes { (rank, listed) in rank + listed },
    gradient: .sameElements,
    samples: [
      Sample([.floats(3, 4), .ints([0, -1])]), Sample([.floats(), .ints([0])]),
      Sample([.floats(0, 2), .ints([1])]),
    ])

  /// A matrix: the axes before `axis` become rows, the others columns. ONNX Flatten-25.
  static let flatten = OperatorDefinition(
    "Flatten", versions: [1, 9, 11, 13, 21, 23, 24, 25], inputs: 1...1,
    attributes: [.int("axis", default: 1)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let axis = try context.int("axis")
      guard axis >= -input.rank, axis <= input.rank else {
        throw .invalidArgument(
          "attribute 'axis' is \(axis), outside [-\(input.rank), \(input.rank)]")
      }
      let split = axis < 0 ? axis + input.rank : axis
      let shape = try Shape([
        input.shape.count(0..<split), input.shape.count(split..<input.rank),
      ])
      return [TensorType(input.elementType, shape)]
    },
    execution: .view,
    lower: { (node, opset, _) throws(StackLensError) in
      if opset < 11, case .int(let axis)? = node.attributes["axis"], axis < 0 {
        throw .unsupported("Flatten with axis \(axis) needs opset 11, not \(opset)")
      }
      return [node]
    },
    gradient: .sameElements,
    samples: [
      Sample([.floats(2, 3, 4)]), Sample([.floats(2, 3, 4)], ["axis": .int(-1)]),
      Sample([.floats()], ["axis": .int(0)]), Sample([.floats(2, 0, 4)], ["axis": .int(3)]),
    ])
}
