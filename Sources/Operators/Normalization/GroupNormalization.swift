import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Every channel of every item normalised by its own mean and variance.
  /// ONNX InstanceNormalization-22.
  static let instanceNormalization = OperatorDefinition(
    "InstanceNormalization", versions: [1, 6, 22], inputs: 3...3,
    attributes: [.float("epsilon", default: 1e-5)],
    infer: { (context) throws(StackLensError) in
      let type = try channelData(context)
      try checkParameters(context, count: type.shape[1])
      return [type]
    },
    execution: groupKernels { (preparation) throws(StackLensError) in
      GroupLayout(try preparation.input(0).shape, groups: try preparation.input(0).shape[1])
    },
    gradient: .instanceNormalization,
    samples: [
      Sample([.floats(2, 3, 4, 5), .floats(3), .floats(3)]),
      Sample([.floats(1, 2, 7), .floats(2), .floats(2)], ["epsilon": .float(0.01)]),
      Sample([.floats(0, 3, 2), .floats(3), .floats(3)]),
    ])

  /// Groups of neighbouring channels of every item normalised together, then scaled by channel.
  /// ONNX GroupNormalization-21.
  static let groupNormalization = OperatorDefinition(
    "GroupNormalization", versions: [18, 21], inputs: 3...3,
    attributes: [
      .float("epsilon", default: 1e-5), .required("num_groups", .int),
      .int("stash_type", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try channelData(context)
      let groups = try context.int("num_groups")
      guard groups > 0, type.shape[1] % groups == 0 else {
        throw .invalidArgument("\(type.shape[1]) channels cannot form \(groups) groups")
      }
      try checkParameters(context, count: type.shape[1])
      return [type]
    },
    execution: groupKernels { (preparation) throws(StackLensError) in
      GroupLayout(try preparation.input(0).shape, groups: try preparation.int("num_groups"))
    },
    lift: liftGroupNormalization, lower: lowerGroupNormalization, gradient: .groupNormalization,
    samples: [
      Sample([.floats(2, 4, 3, 5), .floats(4), .floats(4)], ["num_groups": .int(2)]),
      Sample([.floats(2, 4, 7), .floats(4), .floats(4)], ["num_groups": .int(1)]),
      Sample([.floats(0, 4, 3), .floats(4), .floats(4)], ["num_groups": .int(4)]),
    ])

  private static func channelData(_ context: Inference) throws(StackLensError) -> TensorType {
    let type = try context.input(0, oneOf: ElementType.reals)
    guard type.rank >= 2 else {
      throw .shapeMismatch("data is \(type), expected at least the axes of batch and channels")
    }
    return type
  }

  private static func checkParameters(
    _ context: Inference, count: Int
  ) throws(StackLensError) {
    for index in 1...2 {
      _ = try context.sameElementType(0, index)
      let shape = try context.input(index).shape
      guard shape.dims == [count] else {
        throw .shapeMismatch("input \(index) has shape \(shape), expected [\(count)]")
      }
    }
  }

  private static func groupKernels(
    _ layout: @escaping @Sendable (Preparation) throws(StackLensError) -> GroupLayout
  ) -> Execution {
    .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        let layout = try layout(preparation)
        let epsilon = Double(try preparation.float("epsilon"))
        return PreparedKernel { (run) throws(StackLensError) in
          let x = UnsafePointer(try run.input(0).base.assumingMemoryBound(to: Float.self))
          let y = run.outputs[0].base.assumingMemoryBound(to: Float.self)
          let (scale, bias) = (try run.input(1), try run.input(2))
          let scales = scale.base.assumingMemoryBound(to: Float.self)
          let biases = bias.base.assumingMemoryBound(to: Float.self)
          layout.forEachGroup(run.parallel) { (start, firstChannel) in
            let moments = Moments(vector: x + start, count: layout.groupSize)
            let inverse = 1 / (moments.variance + epsilon).squareRoot()
            for index in 0..<layout.channelsPerGroup {
              let channel = firstChannel + index
              let factor = inverse * Double(scales[channel])
              let shift = Double(biases[channel])
              let place = start + index * layout.planeSize
              slk_unary_f32(
                Int32(SLK_UNARY_AFFINE.rawValue), x + place, y + place, layout.planeSize,
                Float(factor), Float(shift - moments.mean * factor))
            }
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let layout = try layout(preparation)
        let epsilon = Double(try preparation.float("epsilon"))
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          let (x, y) = (try wide.input(0), wide.outputs[0])
          let (scale, bias) = (try wide.input(1), try wide.input(2))
          layout.forEachGroup(wide.run.parallel) { (start, firstChannel) in
            let moments = Moments(x + start, count: layout.groupSize)
            let inverse = 1 / (moments.variance + epsilon).squareRoot()
            for place in start..<start + layout.groupSize {
              let channel = firstChannel + (place - start) / layout.planeSize
              y[place] =
                (x[place] - moments.mean) * inverse * scale[channel] + bias[channel]
            }
          }
        }
      },
    ])
  }

  /// Before opset 21 scale and bias had one number a group.
  private static let liftGroupNormalization: Convert = {
    (node, opset, rewriter) throws(StackLensError) in
    guard opset < 21, node.inputs.count == 3, case .int(let groups)? = node.attributes["num_groups"]
    else { return [node] }
    var node = node
    var steps = Decomposition(node, opset)
    let channels = steps.apply(
      "Shape", [node.inputs[0]], ["start": .int(1), "end": .int(2)], &rewriter)
    let count = try rewriter.ints([groups], "groups")
    let size = steps.apply("Div", [channels, count], &rewriter)
    let target = steps.apply("Concat", [count, size], ["axis": .int(0)], &rewriter)
    let column = try rewriter.ints([1], "column")
    let flat = try rewriter.ints([-1], "flat")
    for index in 1...2 {
      let single = steps.apply("Unsqueeze", [node.inputs[index], column], &rewriter)
      let repeated = steps.apply("Expand", [single, target], &rewriter)
      node.inputs[index] = steps.apply("Reshape", [repeated, flat], &rewriter)
    }
    return steps.nodes + [node]
  }

  /// In older operators: the groups as the channels of an InstanceNormalization, then scale and
  /// bias by channel.
  private static let lowerGroupNormalization: Convert = {
    (node, opset, rewriter) throws(StackLensError) in
    guard opset < 21 else { return [node] }
    guard opset >= 10, case .int(let groups)? = node.attributes["num_groups"], groups > 0,
      groups <= Int32.max
    else { throw .unsupported("GroupNormalization needs opset 10, not \(opset)") }
    var old = Decomposition(node, opset)
    let x = node.inputs[0]
    let shape = old.apply("Shape", [x], &rewriter)
    let batch = try old.apply("Gather", [shape, rewriter.ints([0], "first")], &rewriter)
    let item = try old.apply(
      "Slice",
      [
        shape, rewriter.ints([1], "start"), rewriter.ints([.max], "end"),
        rewriter.ints([0], "axis"),
      ], &rewriter)
    let size = old.apply("ReduceProd", [item], &rewriter)
    /// The shape [batch, parts, rest]; computed, because -1 cannot stand for it in an empty batch.
    func cut(
      _ count: String, _ old: inout Decomposition, _ rewriter: inout Rewriter
    ) -> String {
      let rest = old.apply("Div", [size, count], &rewriter)
      return old.apply("Concat", [batch, count, rest], ["axis": .int(0)], &rewriter)
    }
    let count = try rewriter.ints([groups], "groups")
    let groupShape = cut(count, &old, &rewriter)
    let grouped = old.apply("Reshape", [x, groupShape], &rewriter)
    var parameters: [String] = []
    for value in [1.0, 0] {
      let scalar = try old.scalar(value, twin: 1, &rewriter)
      parameters.append(old.apply("Expand", [scalar, count], &rewriter))
    }
    var attributes: [String: Attribute] = [:]
    attributes["epsilon"] = node.attributes["epsilon"]
    let normal = old.apply(
      "InstanceNormalization", [grouped] + parameters, attributes, &rewriter)
    let channelCount = try old.apply("Gather", [shape, rewriter.ints([1], "second")], &rewriter)
    let channelShape = cut(channelCount, &old, &rewriter)
    let channels = old.apply("Reshape", [normal, channelShape], &rewriter)
    let column = try rewriter.ints([-1, 1], "column")
    let factor = old.apply("Reshape", [node.inputs[1], column], &rewriter)
    let scaled = old.apply("Mul", [channels, factor], &rewriter)
    let shift = old.apply("Reshape", [node.inputs[2], column], &rewriter)
    let shifted = old.apply("Add", [scaled, shift], &rewriter)
    return old.finish("Reshape", [shifted, shape])
  }
}

/// Items of `groups` groups of channels.
struct GroupLayout: Sendable {
  let items: Int
  let groups: Int
  let channelsPerGroup: Int
  let planeSize: Int
  var groupSize: Int { channelsPerGroup * planeSize }

  init(_ shape: Shape, groups: Int) {
    items = shape[0]
    self.groups = groups
    channelsPerGroup = groups == 0 ? 0 : shape[1] / groups
    planeSize = shape.count(2..<shape.rank)
  }

  func forEachGroup(_ parallel: Parallel, _ body: (_ start: Int, _ firstChannel: Int) -> Void) {
    guard groupSize > 0 else { return }
    parallel.ranges(items * groups, grain: max(1, costlyGrain / groupSize)) { range in
      for index in range { body(index * groupSize, index % groups * channelsPerGroup) }
    }
  }
}
