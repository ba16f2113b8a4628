import Base
import Graphs
import Tensors

/// The three recurrent cells of ONNX.
enum RecurrentCell: Sendable {
  case rnn, gru, lstm

  /// Gates in the order of the weights: LSTM i o f c, GRU z r h.
  var gateCount: Int {
    switch self {
    case .rnn: 1
    case .gru: 3
    case .lstm: 4
    }
  }

  /// LSTM f g h, GRU f g, RNN f.
  var defaultActivations: [RecurrentActivation] {
    switch self {
    case .rnn: [.tanh]
    case .gru: [.sigmoid, .tanh]
    case .lstm: [.sigmoid, .tanh, .tanh]
    }
  }
}

/// A recurrent node over concrete shapes, checked once.
struct RecurrentLayer: Sendable {
  let cell: RecurrentCell
  let elementType: ElementType
  let steps: Int
  let batch: Int
  let inputSize: Int
  let hiddenSize: Int
  /// For each direction, whether it reads the steps from the last to the first.
  let isReversed: [Bool]
  let activations: [[RecurrentActivation]]
  /// Bound of the gates' sums; infinite for none.
  let clip: Float
  let isBatchFirst: Bool
  let couplesForgetToInput: Bool
  let appliesLinearBeforeReset: Bool
  /// Whether the last output keeps what gradients need of every step.
  let keepsSteps: Bool
  /// Which of Y, Y_h and Y_c the node names.
  let wanted: [Bool]

  var directions: Int { isReversed.count }
  /// Columns of the gates of one direction.
  var gateColumns: Int { cell.gateCount * hiddenSize }

  enum Input {
    static let (x, w, r, b, lengths, h, c, p) = (0, 1, 2, 3, 4, 5, 6, 7)
  }

  init(
    _ cell: RecurrentCell, _ view: some NodeView, inputs: [TensorType?], keepsSteps: Bool = false
  ) throws(StackLensError) {
    self.keepsSteps = keepsSteps
    func input(_ index: Int) -> TensorType? { index < inputs.count ? inputs[index] : nil }
    guard let x = input(Input.x), let w = input(Input.w), let r = input(Input.r) else {
      throw .invalidArgument("inputs X, W and R are needed")
    }
    guard x.elementType.isFloat else {
      throw .typeMismatch("input X is \(x.elementType.name), expected a float type")
    }
    self.cell = cell
    elementType = x.elementType
    switch try view.string("direction").lowercased() {
    case "forward": isReversed = [false]
    case "reverse": isReversed = [true]
    case "bidirectional": isReversed = [false, true]
    case let other:
      throw .invalidArgument(
        "attribute 'direction' is '\(other)', expected forward, reverse or bidirectional")
    }
    let layout = try view.int("layout")
    guard layout == 0 || layout == 1 else {
      throw .invalidArgument("attribute 'layout' is \(layout), expected 0 or 1")
    }
    isBatchFirst = layout == 1
    guard x.rank == 3, w.rank == 3, r.rank == 3 else {
      throw .shapeMismatch("X \(x.shape), W \(w.shape) and R \(r.shape) must have rank 3")
    }
    steps = isBatchFirst ? x.shape[1] : x.shape[0]
    batch = isBatchFirst ? x.shape[0] : x.shape[1]
    inputSize = x.shape[2]
    hiddenSize = r.shape[2]
    if view.has("hidden_size"), try view.int("hidden_size") != hiddenSize {
      throw .shapeMismatch(
        "attribute 'hidden_size' is \(try view.int("hidden_size")) but R is \(r.shape)")
    }
    let (columns, overflow) = hiddenSize.multipliedReportingOverflow(by: 8)
    guard !overflow, columns < Int.max / 8 else {
      throw .shapeMismatch("R \(r.shape) is too large")
    }
    activations = try RecurrentActivation.read(
      view, gates: cell.defaultActivations, directions: isReversed.count)
    clip = view.has("clip") ? try view.float("clip") : .infinity
    guard clip > 0 else { throw .invalidArgument("attribute 'clip' is \(clip), expected above 0") }
    couplesForgetToInput = cell == .lstm ? try view.flag("input_forget") : false
    appliesLinearBeforeReset = cell == .gru ? try view.flag("linear_before_reset") : false
    wanted = (0..<3).map { $0 < view.node.outputs.count && !view.node.outputs[$0].isEmpty }
    try check(inputs)
  }

  private func check(_ inputs: [TensorType?]) throws(StackLensError) {
    let gates = cell.gateCount
    let state =
      isBatchFirst
      ? [batch, directions, hiddenSize] : [directions, batch, hiddenSize]
    let expected: [(name: String, dims: [Int])] = [
      ("X", isBatchFirst ? [batch, steps, inputSize] : [steps, batch, inputSize]),
      ("W", [directions, gates * hiddenSize, inputSize]),
      ("R", [directions, gates * hiddenSize, hiddenSize]),
      ("B", [directions, 2 * gates * hiddenSize]), ("sequence_lens", [batch]),
      ("initial_h", state), ("initial_c", state), ("P", [directions, 3 * hiddenSize]),
    ]
    for (index, type) in inputs.enumerated() {
      guard let type else { continue }
      let (name, dims) = expected[index]
      guard type.shape.dims == dims else {
        throw .shapeMismatch("input \(name) has shape \(type.shape), expected \(dims)")
      }
      let wantedType = index == Input.lengths ? ElementType.int32 : elementType
      guard type.elementType == wantedType else {
        throw .typeMismatch(
          "input \(name) is \(type.elementType.name), expected \(wantedType.name)")
      }
    }
  }

  /// Y, Y_h and, for LSTM, Y_c.
  func outputTypes() throws(StackLensError) -> [TensorType] {
    let all =
      isBatchFirst
      ? [batch, steps, directions, hiddenSize] : [steps, directions, batch, hiddenSize]
    let last = isBatchFirst ? [batch, directions, hiddenSize] : [directions, batch, hiddenSize]
    let state = TensorType(elementType, try Shape(last))
    let kept = TensorType(
      elementType, try Shape([directions, steps, batch, keptColumns]))
    return [TensorType(elementType, try Shape(all)), state] + (cell == .lstm ? [state] : [])
      + (keepsSteps ? [kept] : [])
  }

  /// What is kept of one item in one step: the gates after their activations, the cell state of an
  /// LSTM or what GRU's reset gate meets (r h, or R h + b where it comes after the product), and
  /// the hidden state.
  var keptColumns: Int { gateColumns + (cell == .rnn ? 1 : 2) * hiddenSize }

  /// Offset among what is kept.
  func keptOffset(step: Int, direction: Int, item: Int) -> Int {
    ((direction * steps + step) * batch + item) * keptColumns
  }

  /// Index of the first element of a row of X, counted in rows.
  func xRow(step: Int, item: Int) -> Int {
    isBatchFirst ? item * steps + step : step * batch + item
  }

  /// Offset in Y.
  func outputOffset(step: Int, direction: Int, item: Int) -> Int {
    let row =
      isBatchFirst
      ? (item * steps + step) * directions + direction
      : (step * directions + direction) * batch + item
    return row * hiddenSize
  }

  /// Offset in the initial and final states.
  func stateOffset(direction: Int, item: Int) -> Int {
    (isBatchFirst ? item * directions + direction : direction * batch + item) * hiddenSize
  }

  /// Steps of every item, held against the steps there are.
  func lengths(_ inputs: [Tensor?]) throws(StackLensError) -> [Int] {
    guard Input.lengths < inputs.count, let tensor = inputs[Input.lengths] else {
      return Array(repeating: steps, count: batch)
    }
    let lengths = try tensor.integers()
    for (item, length) in lengths.enumerated() where length < 0 || length > steps {
      throw .invalidArgument("sequence_lens[\(item)] is \(length), X has \(steps) steps")
    }
    return lengths
  }
}

/// Whether there are zeros only.
func isZero<T: Equatable & ExpressibleByIntegerLiteral>(
  _ values: UnsafePointer<T>, count: Int
) -> Bool {
  UnsafeBufferPointer(start: values, count: count).allSatisfy { $0 == 0 }
}

extension RecurrentLayer {
  /// Copies the states of all items, in the tensor's order, to one matrix for each direction: zeros
  /// where there are none, and for items without steps.
  func gatherStates<T: AdditiveArithmetic>(
    _ source: UnsafePointer<T>?, _ lengths: [Int], _ target: UnsafeMutablePointer<T>
  ) {
    for direction in 0..<directions {
      for item in 0..<batch {
        let row = target + (direction * batch + item) * hiddenSize
        if let source, lengths[item] > 0 {
          row.update(
            from: source + stateOffset(direction: direction, item: item), count: hiddenSize)
        } else {
          row.update(repeating: .zero, count: hiddenSize)
        }
      }
    }
  }

  /// Copies them back; zeros for items without steps.
  func scatterStates<T: AdditiveArithmetic>(
    _ source: UnsafePointer<T>, _ lengths: [Int], _ target: UnsafeMutablePointer<T>
  ) {
    for direction in 0..<directions {
      for item in 0..<batch {
        let row = target + stateOffset(direction: direction, item: item)
        if lengths[item] == 0 {
          row.update(repeating: .zero, count: hiddenSize)
        } else {
          row.update(from: source + (direction * batch + item) * hiddenSize, count: hiddenSize)
        }
      }
    }
  }
}

extension OperatorTable {
  static let recurrent: [OperatorDefinition] = [
    .rnn, .gru, .lstm, .rnnTraining, .gruTraining, .lstmTraining, .rnnGradient, .gruGradient,
    .lstmGradient,
  ]
}

extension OperatorDefinition {
  /// What the three recurrent operators share.
  static func recurrent(
    _ name: String, _ cell: RecurrentCell, versions: [Int], attributes: [AttributeSpec],
    samples: [Sample]
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: versions, inputs: 3...(cell == .lstm ? 8 : 6),
      outputs: 0...(cell == .lstm ? 3 : 2),
      attributes: recurrentAttributes + attributes,
      infer: { (context) throws(StackLensError) in
        try RecurrentLayer(cell, context, inputs: context.inputs).outputTypes()
      },
      execution: recurrentExecution(cell, keepsSteps: false),
      lift: { (node, opset, rewriter) throws(StackLensError) in
        var node = node
        // The standard's first GRU misspelt its default.
        if opset < 3, node.attributes["direction"]?.isString("foward") == true {
          node.attributes["direction"] = .string("forward")
        }
        return try liftWithout(before: 7, ["output_sequence"])(node, opset, &rewriter)
      },
      lower: { (node, opset, rewriter) throws(StackLensError) in
        guard opset < 14 else { return [node] }
        var node = node
        let isBatchFirst = node.attributes.removeValue(forKey: "layout")?.isTrue ?? false
        return isBatchFirst ? stepsFirst(node, opset, &rewriter) : [node]
      },
      gradient: .recurrent(cell), samples: samples)
  }

  static let recurrentAttributes: [AttributeSpec] = [
    .optional("activation_alpha", .floats), .optional("activation_beta", .floats),
    .optional("activations", .strings), .optional("clip", .float),
    .string("direction", default: "forward"), .optional("hidden_size", .int),
    .int("layout", default: 0),
  ]

  static func recurrentExecution(_ cell: RecurrentCell, keepsSteps: Bool) -> Execution {
    .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        let layer = try RecurrentLayer(
          cell, preparation, inputs: preparation.inputs, keepsSteps: keepsSteps)
        return try PackedRecurrence(layer, preparation)?.prepared
      },
      .reference { (preparation) throws(StackLensError) in
        let layer = try RecurrentLayer(
          cell, preparation, inputs: preparation.inputs, keepsSteps: keepsSteps)
        return layer.elementType == .float64
          ? try layer.reference(Double.self, preparation)
          : try layer.reference(Float.self, preparation)
      },
    ])
  }

  /// The node between transpositions: before opset 14 the steps came before the batch.
  private static func stepsFirst(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) -> [Node] {
    let swapped: [String: Attribute] = ["perm": .ints([1, 0, 2])]
    var steps = Decomposition(node, opset)
    var inner = node
    for index in [RecurrentLayer.Input.x, RecurrentLayer.Input.h, RecurrentLayer.Input.c]
    where index < node.inputs.count && !node.inputs[index].isEmpty {
      inner.inputs[index] = steps.apply("Transpose", [node.inputs[index]], swapped, &rewriter)
    }
    var turns: [Node] = []
    for (index, name) in node.outputs.enumerated() where !name.isEmpty {
      inner.outputs[index] = rewriter.fresh("turned")
      turns.append(
        Node(
          "Transpose", inputs: [inner.outputs[index]], outputs: [name],
          attributes: index == 0 ? ["perm": .ints([2, 0, 1, 3])] : swapped))
    }
    steps.add(inner)
    return steps.nodes + turns
  }
}
