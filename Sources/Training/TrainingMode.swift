import Base
import Graphs
import Operators
import Tensors

/// A graph whose layers behave as in training.
struct TrainingMode {
  /// The name of the input that random layers take their seed from: an int64 scalar.
  static let seedName = "stacklens.seed"
  var graph: Graph
  /// Running statistics that a step updates: their name and that of their next value.
  private(set) var statistics: [(name: String, next: String)] = []
  private(set) var isRandom = false

  /// Dropout drops and noise is drawn by a seed that is an input, batch normalisation normalises by
  /// the batch and gives its next statistics, recurrent layers keep what their gradients need.
  /// - Parameters:
  ///   - reach: last steps that gradients flow back through in recurrent layers; 0: all.
  ///   - isFrozen: tells by name which statistics stay; their layers stay as they are.
  init(_ source: Graph, reach: Int, isFrozen: (String) -> Bool) throws(StackLensError) {
    graph = source
    let constants = Set(source.initializers.map(\.name))
    let owned = source.runningStatistics.intersection(constants)
    var taken = Set(source.inputs.map(\.name)).union(constants)
    for node in source.nodes { taken.formUnion(node.outputs) }
    func fresh(_ hint: String) -> String {
      var name = "train/\(hint)"
      var count = 0
      while !taken.insert(name).inserted {
        count += 1
        name = "train/\(hint)_\(count)"
      }
      return name
    }
    let read = source.readNames
    var salt: Int64 = 0
    var added: [Initializer] = []
    var replaced: [Int: [Node]] = [:]
    for index in graph.nodes.indices {
      var node = graph.nodes[index]
      if node.isBatchNormalization {
        let names = Array(node.inputs.dropFirst(3).prefix(2))
        guard names.count == 2, names.allSatisfy({ owned.contains($0) && !isFrozen($0) })
        else { continue }
        node.attributes["training_mode"] = .int(1)
        while node.outputs.count < 3 { node.outputs.append("") }
        for (place, name) in names.enumerated() {
          if node.outputs[place + 1].isEmpty { node.outputs[place + 1] = fresh(name) }
          // A layer that is applied twice sees its statistics of before the step each time.
          statistics.removeAll { $0.name == name }
          statistics.append((name, node.outputs[place + 1]))
        }
        let unbiased = try UnbiasedVariance(node, fresh)
        statistics[statistics.count - 1].next = unbiased.result
        added += unbiased.constants
        replaced[index] = [node] + unbiased.nodes
        continue
      } else if node.isDropout, node.readOutputs(read) <= 1 {
        salt += 1
        if source.dropsNothing(node) {
          graph.nodes[index] = Node(
            "Identity", inputs: [node.inputs[0]], outputs: [node.outputs[0]], name: node.name)
          continue
        }
        var ratio = node.inputs.count > 1 ? node.inputs[1] : ""
        if ratio.isEmpty {
          ratio = fresh("ratio")
          added.append(Initializer(ratio, try Tensor(scalar: Float(0.5)), isConstant: true))
        }
        node = Node(
          "SeededDropout", inputs: [node.inputs[0], ratio, Self.seedName],
          outputs: [node.outputs[0]], attributes: ["salt": .int(salt)], name: node.name,
          domain: "ai.stacklens")
        isRandom = true
      } else if let noise = try Noise(node) {
        salt += 1
        var parts: [Node] = []
        var like = node.inputs.first ?? ""
        if let shape = noise.shape {
          let extents = fresh("shape")
          added.append(Initializer(extents, shape, isConstant: true))
          like = fresh("like")
          parts.append(Node("ConstantOfShape", inputs: [extents], outputs: [like]))
        }
        parts.append(
          Node(
            "SeededNoise", inputs: [like, Self.seedName], outputs: node.outputs,
            attributes: noise.attributes.merging(["salt": .int(salt)]) { $1 }, name: node.name,
            domain: "ai.stacklens"))
        replaced[index] = parts
        isRandom = true
        continue
      }
      graph.nodes[index] = node
    }
    graph.nodes = graph.nodes.enumerated().flatMap { replaced[$0] ?? [$1] }
    graph.initializers += added
    graph.nodes = Differentiation.trainingForm(of: graph.nodes, reach: reach, fresh: fresh)
  }
}

extension Graph {
  /// The graph whose layers behave as in use: what a file that was written for training has in training
  /// mode is turned back.
  func inInferenceMode() throws(StackLensError) -> Graph {
    var graph = self
    let read = readNames
    for (index, node) in nodes.enumerated() where node.readOutputs(read) <= 1 {
      if node.isBatchNormalization {
        graph.nodes[index].attributes["training_mode"] = .int(0)
        graph.nodes[index].outputs = Array(node.outputs.prefix(1))
      } else if node.isDropout {
        graph.nodes[index].inputs = Array(node.inputs.prefix(2))
        graph.nodes[index].outputs = Array(node.outputs.prefix(1))
      }
    }
    return graph
  }

  /// Whether a Dropout has a constant ratio of 0.
  fileprivate func dropsNothing(_ node: Node) -> Bool {
    guard node.inputs.count > 1,
      let ratio = initializers.first(where: { $0.name == node.inputs[1] })?.tensor
    else { return false }
    // Zero is zero in every float type.
    return UnsafeRawBufferPointer(start: ratio.base, count: ratio.byteCount).allSatisfy { $0 == 0 }
  }

  /// Everything that a node or the caller reads.
  fileprivate var readNames: Set<String> {
    Set(nodes.flatMap(\.reads)).union(outputs.map(\.name))
  }
}

extension Node {
  fileprivate var isDropout: Bool { domain.isEmpty && opType == "Dropout" }

  /// How many of the first outputs anybody reads.
  fileprivate func readOutputs(_ read: Set<String>) -> Int {
    (outputs.lastIndex { read.contains($0) } ?? -1) + 1
  }
}

/// The next running variance as PyTorch has it. The standard's holds the variance of the batch as its n
/// elements' mean square, PyTorch's as its estimate for what they were drawn from: n / (n - 1) of it.
private struct UnbiasedVariance {
  private(set) var nodes: [Node] = []
  private(set) var constants: [Initializer] = []
  let result: String

  init(_ node: Node, _ fresh: (String) -> String) throws(StackLensError) {
    var momentum: Float = 0.9
    if case .float(let value)? = node.attributes["momentum"] { momentum = value }
    let (old, next) = (node.inputs[4], node.outputs[2])
    var nodes: [Node] = []
    var constants: [Initializer] = []
    func apply(
      _ opType: String, _ inputs: [String], _ attributes: [String: Attribute] = [:]
    ) -> String {
      let output = fresh("\(old).\(opType)")
      nodes.append(Node(opType, inputs: inputs, outputs: [output], attributes: attributes))
      return output
    }
    func number(_ value: Float) throws(StackLensError) -> String {
      let name = fresh("\(old).number")
      constants.append(Initializer(name, try Tensor(scalar: value), isConstant: true))
      return name
    }
    let count = apply("Div", [apply("Size", [node.inputs[0]]), apply("Size", [old])])
    let one = try number(1)
    let others = apply(
      "Max", [apply("Sub", [apply("Cast", [count], ["to": .int(1)]), one]), one])
    // What the batch added is (1 - momentum) times its variance.
    let added = apply("Sub", [next, apply("Mul", [old, try number(momentum)])])
    result = apply("Add", [next, apply("Div", [added, others])])
    self.nodes = nodes
    self.constants = constants
  }
}

/// A node that draws float32 numbers of the standard's two distributions, where it has no seed of its
/// own.
private struct Noise {
  let attributes: [String: Attribute]
  /// The extents; nil: those of the node's input.
  var shape: Tensor?

  init?(_ node: Node) throws(StackLensError) {
    guard node.domain.isEmpty, node.attributes["seed"] == nil else { return nil }
    let names: (String, String)
    switch node.opType {
    case "RandomNormal", "RandomNormalLike": names = ("mean", "scale")
    case "RandomUniform", "RandomUniformLike": names = ("low", "high")
    default: return nil
    }
    if case .int(let code)? = node.attributes["dtype"], code != 1 { return nil }
    func number(_ name: String, _ fallback: Float) -> Float {
      if case .float(let value)? = node.attributes[name] { return value }
      return fallback
    }
    attributes = [
      "normal": .int(names.0 == "mean" ? 1 : 0), "first": .float(number(names.0, 0)),
      "second": .float(number(names.1, 1)),
    ]
    if node.inputs.isEmpty {
      guard case .ints(let dims)? = node.attributes["shape"] else { return nil }
      shape = try Tensor(dims)
    }
  }
}
