import Base
import Graphs
import Tensors

/// Element type and extents of a tensor, all known.
public struct TensorType: Sendable, Hashable, CustomStringConvertible {
  public let elementType: ElementType
  public let shape: Shape

  public init(_ elementType: ElementType, _ shape: Shape) {
    self.elementType = elementType
    self.shape = shape
  }

  public init(_ tensor: Tensor) { self.init(tensor.elementType, tensor.shape) }

  public var rank: Int { shape.rank }
  public var description: String { elementType.name + shape.description }
}

/// An attribute that an operator understands.
public struct AttributeSpec: Sendable {
  public enum Kind: String, Sendable {
    case int, float, string, tensor, graph, type, ints, floats, strings, tensors, graphs, types
  }
  public let name: String
  public let kind: Kind
  public let isRequired: Bool
  public let fallback: Attribute?

  public static func int(_ name: String, default value: Int64) -> Self {
    Self(name: name, kind: .int, isRequired: false, fallback: .int(value))
  }
  public static func float(_ name: String, default value: Float) -> Self {
    Self(name: name, kind: .float, isRequired: false, fallback: .float(value))
  }
  public static func string(_ name: String, default value: String) -> Self {
    Self(name: name, kind: .string, isRequired: false, fallback: .string(value))
  }
  public static func optional(_ name: String, _ kind: Kind) -> Self {
    Self(name: name, kind: kind, isRequired: false, fallback: nil)
  }
  public static func required(_ name: String, _ kind: Kind) -> Self {
    Self(name: name, kind: kind, isRequired: true, fallback: nil)
  }
}

/// Everything the library knows about one operator: the eager call, import, export, the executor
/// and the tests that sweep the table all read this one entry.
public struct OperatorDefinition: Sendable {
  public typealias Infer = @Sendable (Inference) throws(StackLensError) -> [TensorType]
  public typealias ValueOfTypes = @Sendable (Inference) throws(StackLensError) -> [Tensor]
  public typealias Outline = @Sendable (Outlining) throws(StackLensError) -> [AbstractValue]
  public typealias Convert =
    @Sendable (Node, _ opset: Int, inout Rewriter) throws(StackLensError) -> [Node]
  public typealias Expand =
    @Sendable (ComposedNode, inout Rewriter) throws(StackLensError) -> [Node]

  public let name: String
  public let domain: String
  /// Opsets at which the standard changed the operator, ascending; the last is the form in memory.
  public let versions: [Int]
  /// The oldest opset in whose files a node is read: ONNX Runtime writes some operators into files
  /// of opsets that do not have them.
  public let oldestRead: Int
  /// How many inputs and outputs a node may have.
  public let inputCount: ClosedRange<Int>
  public let outputCount: ClosedRange<Int>
  public let attributes: [AttributeSpec]
  /// Attributes that name values of the graph around the node.
  public let nameAttributes: [String]
  /// Output types from input types; asks `Inference.value` for the values it depends on.
  public let infer: Infer
  public let execution: Execution
  /// Outputs that follow from the input types alone (Shape, Size); nil otherwise.
  public let valueOfTypes: ValueOfTypes?
  /// What is known of the outputs before a run, for operators that make their outputs themselves;
  /// nil: found by running the operator on zeros.
  public let outline: Outline?
  /// Inputs of which only the types matter.
  public let typeInputs: Set<Int>
  /// Random or stateful: never folded, never shared between equal nodes.
  public let isDeterministic: Bool
  /// Turns a node written for `opset` into nodes of the newest form. Nil: all forms read alike.
  /// `consumed_inputs` of the oldest files is gone before.
  public let lift: Convert?
  /// Turns a node of the newest form into nodes that `opset` allows. Nil: all forms write alike.
  /// For operators of our own domain: the standard's nodes, in newest forms, that files get.
  public let lower: Convert?
  /// What can stand for a node in files that cannot have it: nodes of other operators in their
  /// newest forms.
  public let expand: Expand?
  /// How gradients flow back through the operator. Nil: it cannot be differentiated.
  public let gradient: GradientRule?
  public let samples: [Sample]

  public init(
    _ name: String, domain: String = "", versions: [Int], inputs: ClosedRange<Int>,
    outputs: ClosedRange<Int> = 1...1, attributes: [AttributeSpec] = [],
    nameAttributes: [String] = [],
    infer: @escaping Infer, execution: Execution, valueOfTypes: ValueOfTypes? = nil,
    outline: Outline? = nil, typeInputs: Set<Int> = [], isDeterministic: Bool = true,
    oldestRead: Int? = nil, lift: Convert? = nil, lower: Convert? = nil, expand: Expand? = nil,
    gradient: GradientRule? = nil, samples: [Sample] = []
  ) {
    self.name = name
    self.domain = domain
    self.versions = versions
    self.oldestRead = oldestRead ?? versions[0]
    inputCount = inputs
    outputCount = outputs
    self.attributes = attributes
    self.nameAttributes = nameAttributes
    self.infer = infer
    self.execution = execution
    self.valueOfTypes = valueOfTypes
    self.outline = outline
    self.typeInputs = typeInputs
    self.isDeterministic = isDeterministic
    self.lift = lift
    self.lower = lower
    self.expand = expand
    self.gradient = gradient
    self.samples = samples
  }
}

extension OperatorDefinition {
  /// An operator that is another one under a new name, or a composition of others.
  /// - Parameter lift: gives the nodes that it stands for, from any of its versions.
  init(
    composing name: String, domain: String = "", versions: [Int], inputs: ClosedRange<Int>,
    outputs: ClosedRange<Int> = 1...1, attributes: [AttributeSpec] = [],
    isDeterministic: Bool = true, samples: [Sample], lift: @escaping Convert
  ) {
    self.init(
      name, domain: domain, versions: versions, inputs: inputs, outputs: outputs,
      attributes: attributes, infer: { (_) throws(StackLensError) in throw Inference.needsValue },
      execution: .lifted, isDeterministic: isDeterministic, lift: lift, samples: samples)
  }

  /// Whether nodes of it are always replaced by those that `lift` gives.
  public var isComposition: Bool {
    if case .lifted = execution { true } else { false }
  }

  /// The opset at which the operator got the form it has in memory.
  public var newestVersion: Int { versions[versions.count - 1] }
}

/// How an operator runs.
public enum Execution: Sendable {
  /// Writes into outputs whose types `infer` gave. The first kernel that accepts runs; the last is
  /// the plain reference and accepts everything that `infer` lets through.
  case kernels([Kernel])
  /// Output 0 is input 0 under the type that `infer` gave: no data moves.
  case view
  /// Output 0 is input 0, a value of any kind.
  case pass
  /// Makes its outputs itself: their sizes depend on the data, they are no tensors, or it runs
  /// subgraphs. `infer` is not called.
  case evaluate(@Sendable (Evaluation) throws(StackLensError) -> [Value])
  /// Always stands for other operators, which `lift` gives: import and export never leave such a
  /// node in a graph, and the eager call runs what it stands for. `infer` is not called.
  case lifted

  /// Whether an output tensor is the input's memory.
  public var sharesInput: Bool {
    switch self {
    case .view, .pass: true
    case .kernels, .evaluate, .lifted: false
    }
  }
}

/// One implementation of an operator.
public struct Kernel: Sendable {
  public typealias Prepare =
    @Sendable (Preparation) throws(StackLensError) -> PreparedKernel?

  public let name: String
  /// Called once for a node and concrete input types; nil when this kernel does not handle them.
  /// Checks everything that could go wrong with the node here, and packs constant weights.
  public let prepare: Prepare

  public init(_ name: String, prepare: @escaping Prepare) {
    self.name = name
    self.prepare = prepare
  }

  /// The plain implementation that every operator has.
  public static func reference(_ prepare: @escaping Prepare) -> Kernel {
    Kernel("reference", prepare: prepare)
  }
}

/// A kernel bound to a node and to concrete types, ready to run any number of times, from any
/// thread.
public struct PreparedKernel: Sendable {
  public typealias Body = @Sendable (Invocation) throws(StackLensError) -> Void
  /// Bytes of work space that each run gets, aligned to 64.
  public let scratchByteCount: Int
  /// Whether the only output is input 0, at most under another shape: who runs the node may share
  /// the memory and leave the body out.
  public let isIdentity: Bool
  public let body: Body

  public init(
    scratchByteCount: Int = 0, isIdentity: Bool = false, _ body: @escaping Body
  ) {
    self.scratchByteCount = scratchByteCount
    self.isIdentity = isIdentity
    self.body = body
  }
}

/// What a kernel sees of one run.
public struct Invocation {
  /// Nil where the node leaves an optional input out.
  public let inputs: [Tensor?]
  /// Memory to fill, of the types that `infer` gave. A tensor for every output, used or not.
  public let outputs: [Tensor]
  public let scratch: UnsafeMutableRawPointer
  public let parallel: Parallel

  public init(
    inputs: [Tensor?], outputs: [Tensor], scratch: UnsafeMutableRawPointer, parallel: Parallel
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.scratch = scratch
    self.parallel = parallel
  }

  /// An input that `inputCount` guarantees.
  public func input(_ index: Int) throws(StackLensError) -> Tensor {
    guard index < inputs.count, let tensor = inputs[index] else {
      throw .invalidArgument("input \(index) is missing")
    }
    return tensor
  }
}
