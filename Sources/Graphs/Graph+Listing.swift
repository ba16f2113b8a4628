import Tensors

extension Graph {
  /// The graph as text: inputs, constants by type, one line a node, outputs; subgraphs indented.
  public func listing(indent: Int = 0) -> String {
    let margin = String(repeating: "  ", count: indent)
    var lines = ["\(margin)graph \(name) {"]
    for input in inputs { lines.append("\(margin)  input \(input.name): \(input.type)") }
    for constant in initializers {
      let tensor = constant.tensor
      lines.append(
        "\(margin)  constant \(constant.name): \(tensor.elementType.name)\(tensor.shape)")
    }
    var types: [String: ValueType] = [:]
    for info in valueInfo { types[info.name] = info.type }
    for node in nodes {
      let outputs = node.outputs.map { name in
        name.isEmpty ? "_" : types[name].map { "\(name): \($0)" } ?? name
      }.joined(separator: ", ")
      let inputs = node.inputs.map { $0.isEmpty ? "_" : $0 }.joined(separator: ", ")
      let operation = node.domain.isEmpty ? node.opType : "\(node.domain).\(node.opType)"
      let settings = node.attributes.keys.sorted().compactMap { key in
        node.attributes[key].map { "\(key)=\($0.listing)" }
      }
      let suffix = settings.isEmpty ? "" : " {" + settings.joined(separator: ", ") + "}"
      lines.append("\(margin)  \(outputs) = \(operation)(\(inputs))\(suffix)")
      for (attribute, graph) in node.subgraphs {
        lines.append("\(margin)    \(attribute):")
        lines.append(graph.listing(indent: indent + 3))
      }
    }
    for output in outputs { lines.append("\(margin)  output \(output.name): \(output.type)") }
    lines.append("\(margin)}")
    return lines.joined(separator: "\n")
  }
}

extension Attribute {
  /// A short form for listings.
  var listing: String {
    switch self {
    case .int(let value): "\(value)"
    case .float(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    case .tensor(let tensor): "\(tensor.elementType.name)\(tensor.shape)"
    case .graph(let graph): "graph \(graph.name)"
    case .type(let type): "\(type)"
    case .ints(let values): "\(values)"
    case .floats(let values): "\(values)"
    case .strings(let values): "\(values)"
    case .tensors(let values): "\(values.count) tensors"
    case .graphs(let values): "\(values.count) graphs"
    case .types(let values): "\(values)"
    case .reference(let name, _): "@\(name)"
    }
  }
}
