import Base
import Graphs
import Tensors

extension GraphTypes {
  /// The types by name, in the order in which the graph makes the values.
  package func json(_ graph: Graph) -> [UInt8] {
    var members: [JSONObject.Member] = []
    list(graph, "", &members)
    return JSON.object(JSONObject(members)).encoded()
  }

  private func list(_ graph: Graph, _ prefix: String, _ members: inout [JSONObject.Member]) {
    func add(_ name: String) {
      guard !name.isEmpty, let type = values[name] else { return }
      members.append(JSONObject.Member(key: prefix + name, value: type.json))
    }
    let inputs = Set(graph.inputs.map(\.name))
    for input in graph.inputs { add(input.name) }
    for constant in graph.initializers where !inputs.contains(constant.name) { add(constant.name) }
    for (index, node) in graph.nodes.enumerated() {
      for name in node.outputs { add(name) }
      guard node.hasSubgraphs else { continue }
      let own = node.name.isEmpty ? node.outputs.first { !$0.isEmpty } ?? "\(index)" : node.name
      var positions: [String: Int] = [:]
      for (attribute, inner) in node.subgraphs {
        let position = positions[attribute, default: 0]
        positions[attribute] = position + 1
        let place = SubgraphPlace(node: index, attribute: attribute, index: position)
        subgraphs[place]?.list(inner, "\(prefix)\(own).\(attribute)/", &members)
      }
    }
  }
}

extension ValueType {
  /// Kind, element type and extents; of a nested type those of its tensors.
  package var json: JSON {
    let (elementType, dims) = elements
    let kind =
      switch self {
      case .tensor: "tensor"
      case .sequence: "sequence"
      case .map: "map"
      case .optional: "optional"
      case .unknown: "unknown"
      }
    return .object(
      JSONObject([
        .init(key: "kind", value: .string(kind)),
        .init(key: "type", value: .integer(Int64(elementType?.rawValue ?? 0))),
        .init(
          key: "dims",
          value: dims.map { .array($0.map(\.json)) } ?? .null),
      ]))
  }

  private var elements: (ElementType?, [Dimension]?) {
    switch self {
    case .tensor(let type, let dims): (type, dims)
    case .sequence(let inner), .optional(let inner), .map(_, let inner): inner.elements
    case .unknown: (nil, nil)
    }
  }
}

extension Dimension {
  fileprivate var json: JSON {
    switch self {
    case .fixed(let extent): .integer(Int64(extent))
    case .named(let name): .string(name)
    case .unknown: .null
    }
  }
}
