import Base
import Graphs
import Operators
import Tensors

/// What is minimised: a weighted sum of losses over outputs of the model, or an output that is the
/// loss already.
public struct LossPlan: Sendable {
  /// The name of the loss in the training graph.
  static let lossName = "stacklens.loss"
  /// What a single target is called in a batch.
  public static let targetName = "target"

  struct Term: Sendable {
    let loss: Loss
    /// Names of the model's outputs; nil means the first ones, as many as the loss needs.
    let outputs: [String]?
    /// Names of what the outputs are compared with.
    let targets: [String]
    /// Its factor in the sum.
    let scale: Double
  }

  enum Kind: Sendable {
    case terms([Term])
    case output(String)
  }

  let kind: Kind

  /// - Parameter json: the name of a loss, an object with its "name" and options, or a list of them;
  ///   {"output": "loss"} names an output of the model. Beside a loss's own options each may have
  ///   "outputs", "targets" (names) and "scale", a factor of it.
  package init(_ json: JSON) throws(StackLensError) {
    if let output = json["output"] {
      guard let name = output.stringValue, json.objectValue?.count == 1 else {
        throw .invalidArgument("{\"output\": …} takes the name of one output and nothing else")
      }
      kind = .output(name)
      return
    }
    var terms: [Term] = []
    for entry in json.arrayValue ?? [json] {
      terms.append(try Self.term(entry, of: json.arrayValue?.count ?? 1, at: terms.count))
    }
    guard !terms.isEmpty else { throw .invalidArgument("the list of losses is empty") }
    kind = .terms(terms)
  }

  private static func term(
    _ json: JSON, of count: Int, at index: Int
  ) throws(StackLensError) -> Term {
    /// One target, unless the loss knows none.
    func targets(of loss: Loss) -> [String] {
      if loss.targetCount.upperBound == 0 { return [] }
      return [count == 1 ? targetName : "\(targetName)\(index)"]
    }
    if let name = json.stringValue {
      let loss = try Loss(named: name, options: .null)
      return Term(loss: loss, outputs: nil, targets: targets(of: loss), scale: 1)
    }
    guard let object = json.objectValue, let name = object["name"]?.stringValue else {
      throw .invalidArgument("a loss is a name or an object with a \"name\", found \(json.kind)")
    }
    let own = ["name", "outputs", "targets", "scale"]
    var options = try OptionReader(
      .object(JSONObject(object.members.filter { own.contains($0.key) })), of: "loss '\(name)'")
    let rest = JSONObject(object.members.filter { !own.contains($0.key) })
    let loss = try Loss(named: name, options: .object(rest))
    return Term(
      loss: loss, outputs: try options.strings("outputs"),
      targets: try options.strings("targets") ?? targets(of: loss),
      scale: try options.number("scale", default: 1))
  }

  /// Names of all targets that a batch brings.
  public var targets: [String] {
    guard case .terms(let terms) = kind else { return [] }
    var names: [String] = []
    for name in terms.flatMap(\.targets) where !names.contains(name) { names.append(name) }
    return names
  }

  /// Adds the targets as inputs and the nodes that make the loss.
  /// - Parameter types: of the targets, by name.
  func add(to graph: inout Graph, targets types: [String: ElementType]) throws(StackLensError) {
    let builder = GraphBuilder("loss", prefix: "loss")
    var total: Edge
    switch kind {
    case .output(let name):
      guard graph.outputs.contains(where: { $0.name == name }) else {
        throw Self.unknownOutput(name, graph)
      }
      total = builder.existing(name)
    case .terms(let terms):
      for name in targets {
        guard !graph.inputs.contains(where: { $0.name == name }) else { continue }
        guard let type = types[name] else {
          throw .invalidArgument("the batch has no target '\(name)'")
        }
        graph.inputs.append(ValueInfo(name, .tensor(type, nil)))
      }
      // What a target is decides what is built: labels or probabilities.
      let known = GraphTypes(of: graph).values
      var sums: [Edge] = []
      for term in terms {
        sums.append(try Self.value(of: term, in: graph, builder, known))
      }
      total = sums.count == 1 ? sums[0] : builder.add("Sum", sums)
    }
    // A loss is a scalar, also where a model gives it as [1].
    let shape = try builder.ints("shape", [])
    total = builder.add("Reshape", [total, shape])
    graph.nodes += builder.graph.nodes
    graph.initializers += builder.graph.initializers
    graph.nodes.append(
      Node("Identity", inputs: [total.name], outputs: [Self.lossName], name: "loss"))
    graph.outputs = [ValueInfo(Self.lossName, .tensor(.float32, []))]
    graph = try graph.withoutCompositions()
  }

  private static func value(
    of term: Term, in graph: Graph, _ builder: GraphBuilder, _ types: [String: ValueType]
  ) throws(StackLensError) -> Edge {
    let first = graph.outputs.prefix(term.loss.outputCount.lowerBound).map(\.name)
    let names = term.outputs ?? first
    for name in names where !graph.outputs.contains(where: { $0.name == name }) {
      throw unknownOutput(name, graph)
    }
    let loss = try term.loss.build(
      builder, outputs: names.map { builder.existing($0) },
      targets: term.targets.map { builder.existing($0) }, types: { types[$0] })
    guard term.scale != 1 else { return loss }
    return loss * (try builder.scalar("scale", Float(term.scale)))
  }

  private static func unknownOutput(_ name: String, _ graph: Graph) -> StackLensError {
    .invalidArgument(
      "the model has no output '\(name)'; its outputs are "
        + graph.outputs.map { "'\($0.name)'" }.joined(separator: ", "))
  }
}
