import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// An operator that is a composition of others, the same in all its versions.
  /// - Parameter parts: the nodes that stand for one, in their newest forms.
  static func composed(
    _ name: String, domain: String = "", versions: [Int] = [1], inputs: ClosedRange<Int>,
    outputs: ClosedRange<Int> = 1...1, attributes: [AttributeSpec] = [], samples: [Sample],
    parts: @escaping Expand
  ) -> OperatorDefinition {
    let bare = OperatorDefinition(
      composing: name, domain: domain, versions: versions, inputs: inputs, outputs: outputs,
      attributes: attributes, samples: [], lift: { (node, _, _) throws(StackLensError) in [node] })
    return OperatorDefinition(
      composing: name, domain: domain, versions: versions, inputs: inputs, outputs: outputs,
      attributes: attributes, samples: samples,
      lift: { (node, _, rewriter) throws(StackLensError) in
        try parts(ComposedNode(node: node, definition: bare), &rewriter)
      })
  }
}

extension OperatorDefinition {
  /// The nodes that can stand for `node` in a file; nil where there are none.
  package func expansion(
    of node: Node, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node]? {
    try expand?(ComposedNode(node: node, definition: self), &rewriter)
  }
}

/// A node that others stand for, read with the defaults of its attributes.
public struct ComposedNode: NodeView {
  public let node: Node
  public let definition: OperatorDefinition

  /// The name of an input, nil where it is left out.
  func input(_ index: Int) -> String? {
    index < node.inputs.count && !node.inputs[index].isEmpty ? node.inputs[index] : nil
  }

  /// The name of an input that must be there.
  func required(_ index: Int, _ what: String) throws(StackLensError) -> String {
    guard let name = input(index) else {
      throw .invalidArgument("input \(index) (\(what)) is missing")
    }
    return name
  }

  /// Whether an output is wanted.
  func makes(_ index: Int) -> Bool {
    index < node.outputs.count && !node.outputs[index].isEmpty
  }
}
