import Graphs
import Operators
import Tensors

extension Transform {
  /// A product whose operands were rounded to bfloat16 by casts there and back takes them as they are,
  /// where the processor has such products.
  static func fuseBFloat16Product(_ graph: Graph) -> Graph {
    guard Precision.bf16.isSupported else { return graph }
    return rewrite(graph) { index, place in
      let product = graph.nodes[place]
      guard product.domain.isEmpty, product.opType == "MatMul", product.outputs.count == 1,
        let narrow = widened(product.inputs[0], index),
        let weightName = widened(product.inputs[1], index),
        let weight = index.constant(weightName), weight.elementType == .bfloat16, weight.rank == 2,
        let cast = index.producer(of: narrow, "Cast"),
        case .int(16)? = cast.node.attributes["to"]
      else { return nil }
      var last = (index: place, name: product.outputs[0])
      var removed = [place]
      var bias = ""
      if let add = index.onlyReader(of: last.name, "Add"),
        let other = add.node.inputs.first(where: { $0 != last.name }),
        let vector = index.constant(other), vector.elementType == .float32,
        vector.shape.dims == [weight.shape[1]]
      {
        bias = other
        last = (add.index, add.node.outputs[0])
        removed.append(add.index)
      }
      var activation = "none"
      if let next = index.onlyReader(of: last.name), next.node.domain.isEmpty,
        let name = activationName(next.node, index)
      {
        activation = name
        last = (next.index, next.node.outputs[0])
        removed.append(next.index)
      }
      let node = Node(
        "BFloat16MatMul", inputs: [cast.node.inputs[0], weightName, bias], outputs: [last.name],
        attributes: ["activation": .string(activation)], name: product.name, domain: "ai.stacklens")
      return Replacement(at: last.index, removed: removed, nodes: [node])
    }
  }

  /// What a cast to float32 reads.
  private static func widened(_ name: String, _ index: GraphIndex) -> String? {
    guard let cast = index.producer(of: name, "Cast"), case .int(1)? = cast.node.attributes["to"]
    else { return nil }
    return cast.node.inputs[0]
  }
}
