import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Joins tensors along an axis. ONNX Concat-13.
  static let concat = OperatorDefinition(
    "Concat", versions: [1, 4, 11, 13], inputs: 1...Int(Int32.max),
    attributes: [.required("axis", .int)],
    infer: { (context) throws(StackLensError) in
      let first = try context.input(0)
      let axis = try context.axis("axis", rank: first.rank)
      var shapes: [Shape] = []
      for index in context.inputs.indices {
        _ = try context.sameElementType(0, index)
        shapes.append(try context.input(index).shape)
      }
      return [TensorType(first.elementType, try joined(shapes, axis: axis))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let output = preparation.outputs[0]
        let axis = try preparation.axis("axis", rank: output.rank)
        let whole = output.shape.count(axis..<output.rank)
        var copies: [StridedCopy] = []
        var start = 0
        for index in preparation.inputs.indices {
          let shape = try preparation.input(index).shape
          let part = shape.count(axis..<shape.rank)
          copies.append(
            StridedCopy(
              output.elementType, [shape.count(0..<axis), part], from: [part, 1], to: [whole, 1],
              targetStart: start))
          start += part
        }
        return PreparedKernel { [copies] (run) throws(StackLensError) in
          for (index, copy) in copies.enumerated() {
            copy.run(from: try run.input(index).base, to: run.outputs[0].base, run.parallel)
          }
        }
      }
    ]),
    lift: liftDefault(before: 4, "axis", .int(1)),
    gradient: .concat,
    samples: [
      Sample([.floats(2, 3), .floats(2, 1)], ["axis": .int(-1)]),
      Sample([.floats(2, 3), .floats(0, 3), .floats(1, 3)], ["axis": .int(0)]),
      Sample([.floats(4)], ["axis": .int(0)]),
    ])
}

/// The shape of tensors put behind one another along `axis`.
func joined(_ shapes: [Shape], axis: Int) throws(StackLensError) -> Shape {
  var dims = shapes[0].dims
  for shape in shapes.dropFirst() {
    guard shape.rank == dims.count else {
      throw .shapeMismatch("cannot join \(shapes[0]) and \(shape): the ranks differ")
    }
    for other in dims.indices where other != axis && shape[other] != dims[other] {
      throw .shapeMismatch("cannot join \(shapes[0]) and \(shape) along axis \(axis)")
    }
    dims[axis] = try extentSum([dims[axis], shape[axis]])
  }
  return try Shape(dims)
}

/// Joins tensors of one element type along an axis.
func concatenate(
  _ tensors: [Tensor], axis: Int, _ parallel: Parallel
) throws(StackLensError) -> Tensor {
  let type = tensors[0].elementType
  for tensor in tensors where tensor.elementType != type {
    throw .typeMismatch("cannot join \(type.name) and \(tensor.elementType.name)")
  }
  var shapes: [Shape] = []
  for tensor in tensors { shapes.append(tensor.shape) }
  let shape = try joined(shapes, axis: axis)
  let result = try Tensor(uninitialized: type, shape)
  let whole = shape.count(axis..<shape.rank)
  var start = 0
  for tensor in tensors {
    let part = tensor.shape.count(axis..<tensor.rank)
    StridedCopy(
      type, [tensor.shape.count(0..<axis), part], from: [part, 1], to: [whole, 1],
      targetStart: start
    ).run(from: tensor.base, to: result.base, parallel)
    start += part
  }
  return result
}
