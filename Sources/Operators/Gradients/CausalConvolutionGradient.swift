import Base
import Graphs
import Tensors

extension GradientRule {
  /// Products of the taps with the windows that end at each input.
  static let causalConvolution = composed { (scope) throws(StackLensError) in
    let (x, weight) = (try scope.input(0), try scope.input(1))
    func extents(_ edge: Edge, _ start: Int64, _ end: Int64) -> Edge {
      scope.apply("Shape", edge, attributes: ["start": .int(start), "end": .int(end)])
    }
    let (one, last) = (try scope.ints([1]), try scope.ints([2]))
    let (length, taps) = (extents(x, 2, 3), extents(weight, 2, 3))
    var past = scope.hasInput(3) ? scope.inputs[3] : nil
    if past == nil {
      let shape = scope.graph.add(
        "Concat", [extents(x, 0, 2), taps - one], ["axis": .int(0)])
      past = scope.apply("Expand", try scope.scalar(0, like: x), shape)
    }
    let line = scope.graph.add("Concat", [past, x], ["axis": .int(2)])
    func counted(_ count: Edge) throws(StackLensError) -> Edge {
      let scalar = scope.apply("Reshape", count, try scope.ints([]))
      return scope.apply(
        "Range", scope.graph.constant(try Tensor(scalar: Int64(0))), scalar,
        scope.graph.constant(try Tensor(scalar: Int64(1))))
    }
    let places = scope.apply("Unsqueeze", try counted(length), one) + (try counted(taps))
    let windows = scope.graph.add("Gather", [line, places], ["axis": .int(2)])
    var y = scope.apply(
      "ReduceSum", windows * weight, try scope.ints([-1]), attributes: ["keepdims": .int(0)])
    if scope.hasInput(2) { y = y + scope.apply("Unsqueeze", try scope.input(2), one) }
    if try scope.string("activation") != "none" { y = scope.apply("Swish", y) }
    let state = scope.apply("Slice", line, length, try scope.ints([.max]), last)
    return [y, state]
  }
}
