import Base
import Graphs
import Tensors

extension Transform {
  /// A convolution with constant weights takes in a batch normalisation of fixed statistics: the
  /// weights are scaled, the rest becomes its bias.
  static func foldBatchNormalization(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let convolution = graph.nodes[place]
      guard convolution.opType == "Conv", convolution.domain.isEmpty,
        let weight = index.constant(convolution.inputs[1]), weight.elementType == .float32,
        weight.rank >= 3,
        let reader = index.onlyReader(of: convolution.outputs[0]),
        reader.node.opType == "BatchNormalization", reader.node.domain.isEmpty,
        reader.node.inputs[0] == convolution.outputs[0],
        reader.node.outputs.dropFirst().allSatisfy(\.isEmpty),
        let folded = fold(reader.node, into: convolution, weight, index)
      else { return nil }
      let name = reader.node.outputs[0]
      var node = convolution
      node.inputs = [convolution.inputs[0], name + "__weight", name + "__bias"]
      node.outputs = [name]
      return Replacement(
        at: reader.index, removed: [place, reader.index], nodes: [node],
        initializers: [
          Initializer(name + "__weight", folded.weight), Initializer(name + "__bias", folded.bias),
        ])
    }
  }

  private static func fold(
    _ norm: Node, into convolution: Node, _ weight: Tensor, _ index: GraphIndex
  ) -> (weight: Tensor, bias: Tensor)? {
    if case .int(let mode)? = norm.attributes["training_mode"], mode != 0 { return nil }
    var epsilon: Float = 1e-5
    if case .float(let value)? = norm.attributes["epsilon"] { epsilon = value }
    let channels = weight.shape[0]
    func vector(_ name: String) -> [Float]? {
      guard let tensor = index.constant(name), tensor.shape.dims == [channels] else { return nil }
      return try? tensor.elements(as: Float.self)
    }
    guard norm.inputs.count == 5, let scale = vector(norm.inputs[1]),
      let shift = vector(norm.inputs[2]), let mean = vector(norm.inputs[3]),
      let variance = vector(norm.inputs[4])
    else { return nil }
    var bias = [Float](repeating: 0, count: channels)
    if convolution.inputs.count > 2, !convolution.inputs[2].isEmpty {
      guard let given = vector(convolution.inputs[2]) else { return nil }
      bias = given
    }
    guard let scaled = try? weight.copied() else { return nil }
    let values = scaled.base.assumingMemoryBound(to: Float.self)
    let step = channels == 0 ? 0 : weight.count / channels
    for channel in 0..<channels {
      let factor = scale[channel] / (variance[channel] + epsilon).squareRoot()
      for offset in channel * step..<(channel + 1) * step { values[offset] *= factor }
      bias[channel] = (bias[channel] - mean[channel]) * factor + shift[channel]
    }
    guard let biasTensor = try? Tensor(bias) else { return nil }
    return (scaled, biasTensor)
  }

  /// A convolution takes in the activation that follows it.
  static func fuseConvolution(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let convolution = graph.nodes[place]
      guard convolution.opType == "Conv", convolution.domain.isEmpty,
        let weight = index.constant(convolution.inputs[1]), weight.elementType == .float32,
        let reader = index.onlyReader(of: convolution.outputs[0]), reader.node.domain.isEmpty,
        let activation = activationName(reader.node, index)
      else { return nil }
      var node = convolution
      node.opType = "FusedConv"
      node.domain = "ai.stacklens"
      node.attributes["activation"] = .string(activation)
      node.outputs = reader.node.outputs
      return Replacement(at: reader.index, removed: [place, reader.index], nodes: [node])
    }
  }
}
