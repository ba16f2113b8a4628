import Base
import Tensors

/// A constant of a graph, by name.
public struct Initializer: Sendable {
  public var name: String
  public var tensor: Tensor
  public var documentation: String
  public var metadata: [KeyValue]
  /// Whether a file holds only the elements that are not zero (`SparseTensorProto`).
  public var isSparse: Bool
  /// Whether it is part of the computation, as what a Constant node holds, and no parameter that
  /// training may change.
  public var isConstant: Bool

  public init(
    _ name: String, _ tensor: Tensor, documentation: String = "", metadata: [KeyValue] = [],
    isSparse: Bool = false, isConstant: Bool = false
  ) {
    self.name = name
    self.tensor = tensor
    self.documentation = documentation
    self.metadata = metadata
    self.isSparse = isSparse
    self.isConstant = isConstant
  }
}

extension ValueInfo {
  /// What an initialiser is declared as where it becomes an input.
  public init(_ constant: Initializer) {
    self.init(
      constant.name,
      .tensor(constant.tensor.elementType, constant.tensor.shape.dims.map { .fixed($0) }))
  }
}

/// The tensors that hold the scale and zero point of a quantised tensor (`TensorAnnotation`).
public struct QuantizationAnnotation: Sendable, Hashable {
  public var tensorName: String
  public var parameters: [KeyValue]

  public init(_ tensorName: String, _ parameters: [KeyValue]) {
    self.tensorName = tensorName
    self.parameters = parameters
  }
}

/// A computation: nodes in an order in which every value is made before it is read (`GraphProto`).
public struct Graph: Sendable {
  public var name: String
  public var inputs: [ValueInfo]
  public var outputs: [ValueInfo]
  public var initializers: [Initializer]
  public var nodes: [Node]
  /// Declared types of inner values.
  public var valueInfo: [ValueInfo]
  public var quantization: [QuantizationAnnotation]
  public var documentation: String
  public var metadata: [KeyValue]

  public init(
    name: String = "graph", inputs: [ValueInfo] = [], outputs: [ValueInfo] = [],
    initializers: [Initializer] = [], nodes: [Node] = [], valueInfo: [ValueInfo] = [],
    quantization: [QuantizationAnnotation] = [], documentation: String = "",
    metadata: [KeyValue] = []
  ) {
    self.name = name
    self.inputs = inputs
    self.outputs = outputs
    self.initializers = initializers
    self.nodes = nodes
    self.valueInfo = valueInfo
    self.quantization = quantization
    self.documentation = documentation
    self.metadata = metadata
  }

  /// Inputs that a caller must give: those without a default among the initialisers.
  public var requiredInputs: [ValueInfo] {
    let defaults = Set(initializers.map(\.name))
    return inputs.filter { !defaults.contains($0.name) }
  }

  /// Names that the graph reads from an enclosing graph.
  public var captures: [String] {
    var known = Set(inputs.map(\.name))
    known.formUnion(initializers.map(\.name))
    var captured: [String] = []
    var seen: Set<String> = []
    func read(_ name: String) {
      if !name.isEmpty, !known.contains(name), seen.insert(name).inserted { captured.append(name) }
    }
    for node in nodes {
      for name in node.reads { read(name) }
      known.formUnion(node.outputs)
    }
    for output in outputs { read(output.name) }
    return captured
  }
}

/// A function that a model brings along (`FunctionProto`).
public struct Function: Sendable {
  public var name: String
  public var domain: String
  public var overload: String
  public var inputs: [String]
  public var outputs: [String]
  /// Attributes without a default.
  public var attributeNames: [String]
  /// Attributes with a default.
  public var attributeDefaults: [String: Attribute]
  public var nodes: [Node]
  public var opsetImports: [String: Int]
  public var valueInfo: [ValueInfo]
  public var documentation: String
  public var metadata: [KeyValue]

  public init(
    name: String, domain: String, overload: String = "", inputs: [String], outputs: [String],
    attributeNames: [String] = [], attributeDefaults: [String: Attribute] = [:], nodes: [Node],
    opsetImports: [String: Int] = [:], valueInfo: [ValueInfo] = [], documentation: String = "",
    metadata: [KeyValue] = []
  ) {
    self.name = name
    self.domain = domain
    self.overload = overload
    self.inputs = inputs
    self.outputs = outputs
    self.attributeNames = attributeNames
    self.attributeDefaults = attributeDefaults
    self.nodes = nodes
    self.opsetImports = opsetImports
    self.valueInfo = valueInfo
    self.documentation = documentation
    self.metadata = metadata
  }
}

/// How a model is trained (`TrainingInfoProto`): kept for those who do, not looked at here. Its
/// graphs may read what the model's graph names.
public struct TrainingInfo: Sendable {
  public var initialization: Graph?
  public var algorithm: Graph?
  /// Which output of `initialization` becomes the value of which initialiser.
  public var initializationBinding: [KeyValue]
  public var updateBinding: [KeyValue]

  public init(
    initialization: Graph? = nil, algorithm: Graph? = nil, initializationBinding: [KeyValue] = [],
    updateBinding: [KeyValue] = []
  ) {
    self.initialization = initialization
    self.algorithm = algorithm
    self.initializationBinding = initializationBinding
    self.updateBinding = updateBinding
  }
}

/// A message of a file that is kept as it is.
public struct OpaqueMessage: Sendable, Hashable {
  public var bytes: [UInt8]

  public init(bytes: [UInt8]) { self.bytes = bytes }
}

/// A graph with what travels beside it in a file (`ModelProto`). In memory every node has the
/// newest form of its operator; `opsetImports` says what the file declared.
public struct Model: Sendable {
  public var graph: Graph
  public var functions: [Function]
  public var irVersion: Int64
  public var opsetImports: [String: Int]
  public var producerName: String
  public var producerVersion: String
  public var domain: String
  public var modelVersion: Int64
  public var documentation: String
  public var metadata: [KeyValue]
  public var training: [TrainingInfo]
  /// Devices that the nodes' configurations speak of (`DeviceConfigurationProto`).
  public var deviceConfigurations: [OpaqueMessage]

  public init(
    graph: Graph, functions: [Function] = [], irVersion: Int64 = 8,
    opsetImports: [String: Int] = ["": 17], producerName: String = "stacklens",
    producerVersion: String = "", domain: String = "", modelVersion: Int64 = 0,
    documentation: String = "", metadata: [KeyValue] = [], training: [TrainingInfo] = [],
    deviceConfigurations: [OpaqueMessage] = []
  ) {
    self.graph = graph
    self.functions = functions
    self.irVersion = irVersion
    self.opsetImports = opsetImports
    self.producerName = producerName
    self.producerVersion = producerVersion
    self.domain = domain
    self.modelVersion = modelVersion
    self.documentation = documentation
    self.metadata = metadata
    self.training = training
    self.deviceConfigurations = deviceConfigurations
  }
}
