import Base
import Graphs
import Tensors

extension LayerDefinition {
  static let linear = LayerDefinition(
    "linear", "x Wᵀ + b along the last axis. Parameters: weight [out, in], bias [out].",
    options: [
      .size("in_features", "Width of the input; found out where it is known."),
      .size("out_features", "Width of the output.", isRequired: true),
      .flag("bias", default: true, "Whether b is added."),
      .initializer("weight_initializer", "Of the weight; uniform within ± 1/√in otherwise."),
      .initializer("bias_initializer", "Of the bias; uniform within ± 1/√in otherwise."),
    ]
  ) { (network, name, inputs, options) throws(StackLensError) in
    [
      try network.linear(
        name, inputs.required(0), from: options.integerIfAny("in_features"),
        to: options.integer("out_features"), bias: options.flag("bias"),
        weight: options.initializer("weight_initializer"),
        biasStart: options.initializer("bias_initializer"))
    ]
  }
}

extension Network {
  /// x Wᵀ + b along the last axis: a Gemm for matrices, a product and a sum otherwise.
  /// - Parameters:
  ///   - from: the width of x, needed where it is not known.
  ///   - weight: what W [to, from] starts with, PyTorch's default if nil.
  ///   - biasStart: what b [to] starts with.
  public func linear(
    _ name: String, _ x: Edge, from: Int? = nil, to: Int, bias: Bool = true,
    weight: WeightInitializer? = nil, biasStart: WeightInitializer? = nil
  ) throws(StackLensError) -> Edge {
    let width = try self.width(of: x, axis: -1, given: from, "in_features")
    return try scope(name) { () throws(StackLensError) in
      let w = try parameter("weight", [to, width], weight ?? .standard)
      let b = bias ? try parameter("bias", [to], biasStart ?? .bias(fan: width)) : nil
      return project(x, w, b)
    }
  }

  /// x Wᵀ + b for parameters that are there.
  func project(_ x: Edge, _ weight: Edge, _ bias: Edge?) -> Edge {
    if dims(of: x)?.count == 2 {
      return graph.add("Gemm", bias.map { [x, weight, $0] } ?? [x, weight], ["transB": .int(1)])
    }
    let product = graph.matMul(x, graph.transpose(weight, [1, 0]))
    return bias.map { product + $0 } ?? product
  }
}
