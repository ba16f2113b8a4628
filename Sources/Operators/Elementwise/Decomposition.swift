import Base
import Graphs
import Tensors

/// Collects the nodes that stand for one node, in a lower opset or of an older one.
struct Decomposition {
  let node: Node
  let targetOpset: Int
  var nodes: [Node] = []

  init(_ node: Node, _ opset: Int) {
    self.node = node
    targetOpset = opset
  }

  /// Adds a node and returns the name of its output.
  mutating func apply(
    _ opType: String, _ inputs: [String], _ rewriter: inout Rewriter
  ) -> String {
    apply(opType, inputs, [:], &rewriter)
  }

  /// Adds a node with attributes and returns the name of its output.
  mutating func apply(
    _ opType: String, _ inputs: [String], _ attributes: [String: Attribute],
    _ rewriter: inout Rewriter
  ) -> String {
    let output = rewriter.fresh(opType.lowercased())
    nodes.append(Node(opType, inputs: inputs, outputs: [output], attributes: attributes))
    return output
  }

  /// Adds a node whose outputs have names already.
  mutating func apply(
    _ opType: String, _ inputs: [String], _ attributes: [String: Attribute] = [:],
    domain: String = "", to outputs: [String]
  ) {
    nodes.append(
      Node(opType, inputs: inputs, outputs: outputs, attributes: attributes, domain: domain))
  }

  /// Cuts a value into equal parts and returns their names.
  mutating func split(
    _ input: String, into count: Int, axis: Int64, _ rewriter: inout Rewriter
  ) -> [String] {
    let parts = (0..<count).map { _ in rewriter.fresh("split") }
    apply(
      "Split", [input], ["axis": .int(axis), "num_outputs": .int(Int64(count))], to: parts)
    return parts
  }

  /// Adds a finished node.
  mutating func add(_ node: Node) { nodes.append(node) }

  /// Adds the node that makes output `index` of the original.
  mutating func output(
    _ index: Int = 0, _ opType: String, _ inputs: [String], _ attributes: [String: Attribute] = [:]
  ) {
    var last = Node(opType, inputs: inputs, outputs: [node.outputs[index]], attributes: attributes)
    if index == 0 {
      last.name = node.name
      last.documentation = node.documentation
      last.metadata = node.metadata
      last.deviceConfigurations = node.deviceConfigurations
    }
    nodes.append(last)
  }

  /// All nodes, the last one making the original's only output.
  consuming func finish(
    _ opType: String, _ inputs: [String], _ attributes: [String: Attribute] = [:]
  ) -> [Node] {
    output(0, opType, inputs, attributes)
    return nodes
  }

  /// A scalar of the element type of input 0: a constant where the type is known, else a cast.
  /// - Parameter twin: another input that has the same type, and may be known where input 0 is not.
  /// - Throws: `.unsupported` before opset 15, which brought CastLike.
  mutating func scalar(
    _ value: Double, twin: Int = 0, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let type =
      rewriter.elementType(of: node.inputs[0]) ?? rewriter.elementType(of: node.inputs[twin])
    switch type {
    case .float32?: return rewriter.constant(try Tensor(scalar: Float(value)), "scalar")
    case .float64?: return rewriter.constant(try Tensor(scalar: value), "scalar")
    case .float16?: return rewriter.constant(try Tensor(scalar: Float16(value)), "scalar")
    case .bfloat16?: return rewriter.constant(try Tensor(scalar: BFloat16(Float(value))), "scalar")
    default:
      guard targetOpset >= 15 else {
        throw .unsupported(
          "\(node.opType) on an unknown element type cannot be written for opset \(targetOpset)")
      }
      let constant = rewriter.constant(try Tensor(scalar: value), "scalar")
      return apply("CastLike", [constant, node.inputs[0]], &rewriter)
    }
  }
}
