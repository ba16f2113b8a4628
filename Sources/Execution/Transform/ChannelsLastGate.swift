import Graphs

extension Transform {
  /// Squeeze and excitation: a 1 x 1 convolution takes in the product before it of an image and factors
  /// of its channels that were made of the image's mean.
  static func fuseGate(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let convolution = graph.nodes[place]
      guard let channels = pointwiseChannels(convolution, index)?.inputs,
        convolution.inputs.count < 5,
        let product = index.producer(of: convolution.inputs[0], "Mul"),
        index.onlyReader(of: convolution.inputs[0]) != nil, product.node.inputs.count == 2
      else { return nil }
      for (image, gate) in [(0, 1), (1, 0)] {
        let (image, gate) = (product.node.inputs[image], product.node.inputs[gate])
        guard isGate(gate, of: image, channels, index) else { continue }
        var node = convolution
        node.inputs[0] = image
        while node.inputs.count < 4 { node.inputs.append("") }
        node.inputs.append(gate)
        return Replacement(at: place, removed: [product.index, place], nodes: [node])
      }
      return nil
    }
  }

  /// Whether a value has one number for each of `channels` channels of each image: 1 x 1 convolutions and
  /// activations of the mean over the image.
  private static func isGate(
    _ name: String, of image: String, _ channels: Int, _ index: GraphIndex
  ) -> Bool {
    var (name, made): (String, Int?) = (name, nil)
    var read: Int?
    for _ in 0..<16 {
      guard let node = index.producer(of: name), let first = node.inputs.first else { return false }
      if let extents = pointwiseChannels(node, index) {
        guard node.inputs.count < 4 else { return false }
        if made == nil { made = extents.outputs }
        read = extents.inputs
        name = first
        continue
      }
      guard node.domain.isEmpty else { return false }
      switch node.opType {
      case "Relu", "Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Clip": name = first
      case "ReduceMean":
        guard first == image, made == channels, read == channels, node.inputs.count == 2,
          let axes = index.constant(node.inputs[1]), (try? axes.integers()) == [1, 2]
        else { return false }
        return node.attributes["keepdims"]?.isTrue ?? true
      default: return false
      }
    }
    return false
  }

  /// The channels of a 1 x 1 convolution that leaves the pixels where they are.
  private static func pointwiseChannels(
    _ node: Node, _ index: GraphIndex
  ) -> (inputs: Int, outputs: Int)? {
    guard node.opType == "ChannelsLastConv", node.domain == "ai.stacklens",
      let weight = index.floatDims(node.inputs[1]), weight.count == 4, weight[2] == 1,
      weight[3] == 1
    else { return nil }
    for (name, plain) in [("strides", 1), ("pads", 0), ("group", 1)] as [(String, Int64)] {
      switch node.attributes[name] {
      case .ints(let values)? where !values.allSatisfy({ $0 == plain }): return nil
      case .int(let value)? where value != plain: return nil
      default: continue
      }
    }
    return (weight[1], weight[0])
  }
}
