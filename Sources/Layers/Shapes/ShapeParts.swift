import Base
import Graphs
import Tensors

/// Shapes as values, which stay open until a model runs.
extension Network {
  /// Extents of a tensor as a list.
  func extents(_ x: Edge, _ axes: Range<Int>) -> Edge {
    graph.add(
      "Shape", [x], ["start": .int(Int64(axes.lowerBound)), "end": .int(Int64(axes.upperBound))])
  }

  /// One extent of a tensor as a list of one.
  package func extent(_ x: Edge, _ axis: Int) -> Edge { extents(x, axis..<axis + 1) }

  /// Lists of integers as one, tensors along their axis 0.
  package func joined(_ parts: [Edge], axis: Int = 0) -> Edge {
    graph.add("Concat", parts, ["axis": .int(Int64(axis))])
  }

  /// A float32 tensor of one number.
  func filled(_ value: Float, _ shape: Edge) throws(StackLensError) -> Edge {
    graph.add("ConstantOfShape", [shape], ["value": .tensor(try Tensor([value]))])
  }

  /// 0, 1 … below an extent that is given as a list of one.
  package func positions(_ count: Edge) throws(StackLensError) -> Edge {
    let zero = constant(try Tensor(scalar: Int64(0)))
    let one = constant(try Tensor(scalar: Int64(1)))
    return graph.add("Range", [zero, graph.add("Squeeze", [count, try ints([0])]), one])
  }

  package func unsqueezed(_ x: Edge, _ axes: Int...) throws(StackLensError) -> Edge {
    graph.add("Unsqueeze", [x, try ints(axes)])
  }

  package func cast(_ x: Edge, _ type: ElementType) -> Edge {
    graph.add("Cast", [x], ["to": .int(Int64(type.rawValue))])
  }

  func transposed(_ x: Edge, _ order: Int...) -> Edge {
    graph.transpose(x, order.map { Int64($0) })
  }

  func reshaped(_ x: Edge, _ dims: [Int]) throws(StackLensError) -> Edge {
    graph.add("Reshape", [x, try ints(dims)])
  }

  /// Elements `range` of one axis.
  package func sliced(_ x: Edge, axis: Int, _ range: Range<Int>) throws(StackLensError) -> Edge {
    graph.add(
      "Slice",
      [x, try ints([range.lowerBound]), try ints([range.upperBound]), try ints([axis])])
  }

  package func sum(_ x: Edge, axis: Int, keepDims: Bool = false) throws(StackLensError) -> Edge {
    graph.add("ReduceSum", [x, try ints([axis])], ["keepdims": .int(keepDims ? 1 : 0)])
  }
}
