import Base
import Tensors

/// The value of an attribute (`AttributeProto`).
public enum Attribute: Sendable {
  case int(Int64)
  case float(Float)
  case string(String)
  case tensor(Tensor)
  case graph(Graph)
  case type(ValueType)
  case ints([Int64])
  case floats([Float])
  case strings([String])
  case tensors([Tensor])
  case graphs([Graph])
  case types([ValueType])
  /// In a function body: the attribute of that name of the calling node.
  case reference(String, kind: Int32)

  public var kindName: String {
    switch self {
    case .int: "int"
    case .float: "float"
    case .string: "string"
    case .tensor: "tensor"
    case .graph: "graph"
    case .type: "type"
    case .ints: "ints"
    case .floats: "floats"
    case .strings: "strings"
    case .tensors: "tensors"
    case .graphs: "graphs"
    case .types: "types"
    case .reference: "reference"
    }
  }
}

/// The application of one operator (`NodeProto`). An empty input or output name means "left out".
public struct Node: Sendable {
  public var name: String
  public var domain: String
  public var opType: String
  public var overload: String
  public var inputs: [String]
  public var outputs: [String]
  public var attributes: [String: Attribute]
  public var documentation: String
  public var metadata: [KeyValue]
  /// Where the node runs and how its tensors are cut (`NodeDeviceConfigurationProto`).
  public var deviceConfigurations: [OpaqueMessage] = []

  public init(
    _ opType: String, inputs: [String], outputs: [String], attributes: [String: Attribute] = [:],
    name: String = "", domain: String = "", overload: String = "", documentation: String = "",
    metadata: [KeyValue] = []
  ) {
    self.name = name
    self.domain = domain
    self.opType = opType
    self.overload = overload
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
    self.documentation = documentation
    self.metadata = metadata
  }

  /// How messages call the node: "node 'conv1' (Conv)", with its first output when it has no name.
  public var label: String {
    let operation = domain.isEmpty ? opType : "\(domain).\(opType)"
    if !name.isEmpty { return "node '\(name)' (\(operation))" }
    let output = outputs.first { !$0.isEmpty } ?? "nothing"
    return "node producing '\(output)' (\(operation))"
  }

  /// Names of the subgraphs' attributes with the graphs, in the order of the names.
  public var subgraphs: [(attribute: String, graph: Graph)] {
    attributes.keys.sorted().flatMap { key -> [(attribute: String, graph: Graph)] in
      switch attributes[key] {
      case .graph(let graph): [(key, graph)]
      case .graphs(let graphs): graphs.map { (key, $0) }
      default: []
      }
    }
  }

  /// Every outer value the node reads: its inputs and what its subgraphs capture.
  public var reads: [String] {
    var names = inputs.filter { !$0.isEmpty }
    for (_, graph) in subgraphs { names += graph.captures }
    return names
  }
}

extension Node {
  /// Whether it has an attribute that is an integer other than 0.
  public func isSet(_ attribute: String) -> Bool { attributes[attribute]?.isTrue ?? false }
}

extension Attribute {
  /// Whether it is an integer other than 0.
  public var isTrue: Bool {
    if case .int(let value) = self { value != 0 } else { false }
  }
  public func isInt(_ value: Int64) -> Bool {
    if case .int(value) = self { true } else { false }
  }
  public func isString(_ value: String) -> Bool {
    if case .string(value) = self { true } else { false }
  }
}
