import Base
import Graphs
import Operators
import Tensors

extension Importer {
  /// How names of a function body or an inner graph are called in the rewritten graph.
  struct Names {
    private var map: [String: String] = [:]
    private let prefix: String

    init(prefix: String = "") { self.prefix = prefix }

    subscript(name: String) -> String {
      get { name.isEmpty ? "" : map[name] ?? (prefix.isEmpty ? name : prefix + name) }
      set { map[name] = newValue }
    }

    func contains(_ name: String) -> Bool { map[name] != nil }

    func prefixed(_ name: String) -> String { name.isEmpty ? "" : prefix + name }
  }

  /// A function where it is called: the body and the attributes of the calling node.
  struct FunctionCall {
    let function: Function
    let attributes: [String: Attribute]
  }

  /// A list of nodes that is being walked through.
  struct Frame {
    let nodes: [Node]
    let names: Names
    let call: FunctionCall?
    /// Nodes of the rewritten graph that follow the last one.
    let epilogue: [Node]
    private var index = 0

    init(nodes: [Node], names: Names, call: FunctionCall?, epilogue: [Node] = []) {
      self.nodes = nodes
      self.names = names
      self.call = call
      self.epilogue = epilogue
    }

    mutating func next() -> Node? {
      guard index < nodes.count else { return nil }
      index += 1
      return nodes[index - 1]
    }

    /// Names that the nodes make.
    var definedNames: [String] {
      nodes.flatMap(\.outputs).filter { !$0.isEmpty }.map { names[$0] }
    }

    /// The node under the names of the rewritten graph, with references to attributes of the
    /// calling node filled in. Its subgraphs stay as they are.
    func resolve(_ source: Node, _ budget: Budget) throws(StackLensError) -> Node {
      var node = source
      if call != nil {
        try budget.spendNode()
        node.name = try budget.spend(names.prefixed(node.name))
      }
      for index in node.inputs.indices {
        node.inputs[index] = try budget.spend(names[node.inputs[index]])
      }
      for index in node.outputs.indices {
        node.outputs[index] = try budget.spend(names[node.outputs[index]])
      }
      for key in OperatorTable.find(node.opType, domain: node.domain)?.nameAttributes ?? [] {
        switch node.attributes[key] {
        case .string(let name)?: node.attributes[key] = .string(try budget.spend(names[name]))
        case .strings(let list)?:
          var renamed: [String] = []
          for name in list { renamed.append(try budget.spend(names[name])) }
          node.attributes[key] = .strings(renamed)
        default: break
        }
      }
      for (key, value) in node.attributes {
        guard case .reference(let name, let kind) = value else { continue }
        guard let call else {
          throw .formatError("attribute '\(key)' refers to '\(name)' outside of a function")
        }
        let given = call.attributes[name] ?? call.function.attributeDefaults[name]
        if let given, kind != 0, given.kindNumber != kind {
          throw .formatError("attribute '\(key)' refers to '\(name)', which is \(given.kindName)")
        }
        node.attributes[key] = given
      }
      return node
    }
  }

  /// What expanding functions may cost, so that a small file cannot fill the memory.
  final class Budget {
    private var nodeCount = 0
    private var nameByteCount = 0
    private static let maximumNodeCount = 200_000
    private static let maximumNameByteCount = 1 << 29

    func spendNode() throws(StackLensError) {
      nodeCount += 1
      guard nodeCount <= Self.maximumNodeCount else {
        throw .limitExceeded("the functions expand to more than \(Self.maximumNodeCount) nodes")
      }
    }

    func spend(_ name: String) throws(StackLensError) -> String {
      nameByteCount += name.utf8.count
      guard nameByteCount <= Self.maximumNameByteCount else {
        throw .limitExceeded("the names take more than \(Self.maximumNameByteCount) bytes")
      }
      return name
    }
  }
}

/// The functions that a model brings along, known to be free of recursion.
final class FunctionLibrary {
  private struct Key: Hashable {
    let domain: String
    let name: String
    let overload: String
  }

  let budget = Importer.Budget()
  private let functions: [Function]
  private var index: [Key: Int] = [:]
  private var callCount = 0

  /// - Throws: `.formatError` for functions of the same name, broken bodies and recursion.
  init(_ source: [Function]) throws(StackLensError) {
    var functions = source
    for (place, function) in functions.enumerated() {
      let key = Key(domain: function.domain, name: function.name, overload: function.overload)
      guard index.updateValue(place, forKey: key) == nil else {
        throw .formatError("two functions are called '\(function.label)'")
      }
      do throws(StackLensError) {
        functions[place].nodes = try Self.checkedBody(function)
      } catch {
        throw error.within("function '\(function.label)'")
      }
    }
    self.functions = functions
    try refuseRecursion()
  }

  /// The body as a graph must be sound; outputs may be inputs passed through.
  private static func checkedBody(_ function: Function) throws(StackLensError) -> [Node] {
    var body = Graph(
      name: function.name, inputs: function.inputs.map { ValueInfo($0, .unknown) },
      outputs: function.outputs.map { ValueInfo($0, .unknown) }, nodes: function.nodes)
    try body.sortNodes()
    try body.verify()
    return body.nodes
  }

  /// The function that a node calls, nil when it is an operator.
  func find(_ node: Node) -> Function? {
    guard !index.isEmpty else { return nil }
    return place(node).map { functions[$0] }
  }

  private func place(_ node: Node) -> Int? {
    index[Key(domain: node.domain, name: node.opType, overload: node.overload)]
  }

  /// Depth-first over the calls with a work list of its own.
  private func refuseRecursion() throws(StackLensError) {
    enum Mark { case new, open, done }
    let calls = functions.map { self.calls($0.nodes) }
    var marks = [Mark](repeating: .new, count: functions.count)
    for root in functions.indices where marks[root] == .new {
      var work = [(function: root, next: 0)]
      marks[root] = .open
      while let (function, next) = work.last {
        guard next < calls[function].count else {
          marks[function] = .done
          work.removeLast()
          continue
        }
        work[work.count - 1].next += 1
        let callee = calls[function][next]
        switch marks[callee] {
        case .done: break
        case .new:
          marks[callee] = .open
          work.append((callee, 0))
        case .open:
          throw .formatError(
            "function '\(functions[callee].label)' calls itself by way of "
              + "'\(functions[function].label)'")
        }
      }
    }
  }

  private func calls(_ nodes: [Node]) -> [Int] {
    var found: [Int] = []
    var work = [nodes]
    while let nodes = work.popLast() {
      for node in nodes {
        if let place = place(node) { found.append(place) }
        for (_, graph) in node.subgraphs { work.append(graph.nodes) }
      }
    }
    return found
  }

  /// The body of a function for one call, and Identity nodes for outputs that are inputs.
  func expand(
    _ function: Function, at node: Node, in importer: Importer
  ) throws(StackLensError) -> Importer.Frame {
    guard node.inputs.count <= function.inputs.count else {
      throw .formatError("\(node.inputs.count) inputs, the function has \(function.inputs.count)")
    }
    guard node.outputs.count <= function.outputs.count else {
      throw .formatError(
        "\(node.outputs.count) outputs, the function has \(function.outputs.count)")
    }
    for name in function.attributeNames where node.attributes[name] == nil {
      throw .formatError("attribute '\(name)' of the function is missing")
    }
    try budget.spendNode()
    callCount += 1
    var names = Importer.Names(prefix: "\(function.name.prefix(64))_\(callCount)__")
    while function.nodes.contains(where: { node in
      node.outputs.contains { importer.taken.contains(names.prefixed($0)) }
    }) {
      callCount += 1
      names = Importer.Names(prefix: "\(function.name.prefix(64))_\(callCount)__")
    }
    for (place, formal) in function.inputs.enumerated() {
      names[formal] = place < node.inputs.count ? node.inputs[place] : ""
    }
    var identities: [Node] = []
    for (formal, actual) in zip(function.outputs, node.outputs) where !actual.isEmpty {
      guard names.contains(formal) else {
        names[formal] = actual
        continue
      }
      // The output is an input passed through, or a second name of an output.
      guard !names[formal].isEmpty else {
        throw .formatError("output '\(formal)' of the function is an input that is left out")
      }
      identities.append(
        Node(
          "Identity", inputs: [names[formal]], outputs: [actual], name: names.prefixed("identity")))
    }
    let call = Importer.FunctionCall(function: function, attributes: node.attributes)
    return Importer.Frame(nodes: function.nodes, names: names, call: call, epilogue: identities)
  }
}

extension Function {
  /// How messages call the function: "domain.name", with the overload where there is one.
  var label: String {
    (domain.isEmpty ? name : "\(domain).\(name)") + (overload.isEmpty ? "" : ":\(overload)")
  }
}

extension Attribute {
  /// Its number in `AttributeProto.AttributeType`.
  var kindNumber: Int32 {
    switch self {
    case .float: 1
    case .int: 2
    case .string: 3
    case .tensor: 4
    case .graph: 5
    case .floats: 6
    case .ints: 7
    case .strings: 8
    case .tensors: 9
    case .graphs: 10
    case .type: 13
    case .types: 14
    case .reference(_, let kind): kind
    }
  }
}
