import Graphs
import Tensors

/// What a step of training does with images that have their channels last.
extension ChannelsLastMove {
  static func isGradientOfConvolution(_ node: Node) -> Bool {
    node.domain == "ai.stacklens"
      && ["ConvInputGradient", "ConvWeightGradient"].contains(node.opType)
  }

  /// Whether a convolution with weights that change has kernels with its channels last, forwards and
  /// back: those of depthwise ones need constant weights.
  func isPlainTrained(_ node: Node, _ weight: [Int]) -> Bool {
    var group: Int64 = 1
    if case .int(let value)? = node.attributes["group"] { group = value }
    return weight.count == 4 && group == 1
  }

  /// The nodes that do the same with the channels last; nil where the node reads no image that has them
  /// so.
  mutating func followGradient(_ node: Node) -> [Node]? {
    guard isTraining else { return nil }
    switch (node.domain, node.opType) {
    case ("ai.stacklens", "ConvInputGradient"): return inputGradient(node)
    case ("ai.stacklens", "ConvWeightGradient"): return weightGradient(node)
    case ("ai.stacklens", "MaxPoolGradient"), ("ai.stacklens", "AveragePoolGradient"):
      return poolGradient(node)
    case ("ai.stacklens", "ActivationGradient"):
      guard let image = moved[node.inputs[1]] else { return nil }
      return [following(node, [turned(node.inputs[0]), image])]
    case ("", "BatchNormalization"):
      guard let image = moved[node.inputs[0]] else { return nil }
      return overRows(node, [image] + node.inputs.dropFirst(), images: 1)
    case ("ai.stacklens", "BatchNormalizationGradient"):
      guard let image = moved[node.inputs[1]] else { return nil }
      return overRows(
        node, [turned(node.inputs[0]), image] + node.inputs.dropFirst(2), images: 2)
    case ("", "Shape"):
      guard let image = moved[node.inputs[0]], node.attributes.isEmpty else { return nil }
      return shape(of: image, as: node)
    case ("", "Size"):
      guard let image = moved[node.inputs[0]] else { return nil }
      var result = node
      result.inputs = [image]
      return [result]
    default: return nil
    }
  }

  /// The node with other inputs, whose first output is an image with its channels last.
  private mutating func following(
    _ node: Node, _ inputs: [String], _ opType: String? = nil
  ) -> Node {
    var result = node
    result.inputs = inputs
    if let opType {
      result.opType = opType
      result.domain = "ai.stacklens"
    }
    result.outputs[0] = lastName(node.outputs[0])
    markMoved(node.outputs[0])
    return result
  }

  private mutating func inputGradient(_ node: Node) -> [Node]? {
    guard isPlainBack(node), let weight = index.floatDims(node.inputs[1]),
      isPlainTrained(node, weight)
    else { return nil }
    let extents = existing(node.inputs[2])
    countConvolution()
    return [
      following(
        node, [turned(node.inputs[0]), node.inputs[1], extents], "ChannelsLastConvInputGradient")
    ]
  }

  private mutating func weightGradient(_ node: Node) -> [Node]? {
    guard isPlainBack(node), let image = moved[node.inputs[1]],
      let weight = weightExtents(node.inputs[2]), isPlainTrained(node, weight)
    else { return nil }
    var result = node
    result.opType = "ChannelsLastConvWeightGradient"
    result.inputs = [turned(node.inputs[0]), image, node.inputs[2]]
    countConvolution()
    return [result]
  }

  private func weightExtents(_ name: String) -> [Int]? {
    if let shape = index.producer(of: name, "Shape") {
      return index.floatDims(shape.node.inputs[0])
    }
    return index.constant(name).flatMap { try? $0.integers() }
  }

  /// Whether a gradient belongs to a Conv, none to a ConvTranspose.
  private func isPlainBack(_ node: Node) -> Bool {
    if case .int(let flag)? = node.attributes["transposed"] { flag == 0 } else { true }
  }

  private mutating func poolGradient(_ node: Node) -> [Node]? {
    let isMaximum = node.opType == "MaxPoolGradient"
    if case .int(let order)? = node.attributes["storage_order"], order != 0 { return nil }
    var source = node.inputs[1]
    if isMaximum {
      guard let image = moved[source] else { return nil }
      source = image
    } else {
      guard let shape = index.producer(of: source, "Shape"), moved[shape.node.inputs[0]] != nil
      else {
        return nil
      }
    }
    var result = following(node, [turned(node.inputs[0]), source], "ChannelsLastPoolGradient")
    result.attributes["storage_order"] = nil
    result.attributes["maximum"] = .int(isMaximum ? 1 : 0)
    return [result]
  }

  /// An operator over the channels of images as one over the columns of a matrix.
  private mutating func overRows(_ node: Node, _ inputs: [String], images: Int) -> [Node]? {
    guard let channels = index.floatDims(node.inputs[images == 1 ? 1 : 2])?.first, channels > 0,
      let rows = try? Tensor([Int64(-1), Int64(channels)])
    else { return nil }
    let name = lastName(node.outputs[0])
    let (shape, extents) = (name + "__rows", name + "__extents")
    addInitializer(Initializer(shape, rows))
    var result = node
    result.inputs = inputs
    var made = [
      Node("Shape", inputs: [inputs[images - 1]], outputs: [extents], name: extents)
    ]
    for place in 0..<images {
      let matrix = "\(name)__matrix\(place)"
      made.append(Node("Reshape", inputs: [inputs[place], shape], outputs: [matrix], name: matrix))
      result.inputs[place] = matrix
    }
    result.outputs[0] = name + "__result"
    made.append(result)
    made.append(
      Node("Reshape", inputs: [result.outputs[0], extents], outputs: [name], name: name))
    markMoved(node.outputs[0])
    return made
  }

  /// The extents of an image in the order that they had.
  private mutating func shape(of image: String, as node: Node) -> [Node]? {
    guard let order = try? Tensor([Int64(0), 3, 1, 2]) else { return nil }
    let (extents, places) = (node.outputs[0] + "__last", node.outputs[0] + "__order")
    addInitializer(Initializer(places, order))
    return [
      Node("Shape", inputs: [image], outputs: [extents], name: extents),
      Node("Gather", inputs: [extents, places], outputs: node.outputs, name: node.name),
    ]
  }
}

extension Transform {
  /// A gradient that goes back through pooling and then through the Relu that made its input goes back
  /// through both at once.
  static func fusePoolGradient(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let pool = graph.nodes[place]
      guard pool.opType == "ChannelsLastPoolGradient", pool.domain == "ai.stacklens",
        pool.attributes["maximum"]?.isTrue ?? true,
        let reader = index.onlyReader(of: pool.outputs[0]),
        reader.node.opType == "ActivationGradient", reader.node.domain == "ai.stacklens",
        case .string("Relu")? = reader.node.attributes["function"],
        reader.node.inputs == [pool.outputs[0], pool.inputs[1]]
      else { return nil }
      var node = pool
      node.attributes["positive"] = .int(1)
      node.outputs = reader.node.outputs
      return Replacement(at: reader.index, removed: [place, reader.index], nodes: [node])
    }
  }
}
