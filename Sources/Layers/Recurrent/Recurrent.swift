import Base
import Graphs
import Tensors

/// A recurrent cell; the parameters have ONNX's layout and order of gates.
public enum RecurrentCell: Sendable, Equatable {
  /// h = f(x Wᵀ + h Rᵀ + b), f tanh or relu.
  case rnn(relu: Bool)
  /// Gates in the order z r n. - resetAfter: whether r works on the product with the state, as in
  /// PyTorch, or on the state before it.
  case gru(resetAfter: Bool)
  /// Gates in the order i o f c.
  case lstm

  var operatorName: String {
    switch self {
    case .rnn: "RNN"
    case .gru: "GRU"
    case .lstm: "LSTM"
    }
  }

  /// Blocks of rows of the weights.
  public var gateCount: Int {
    switch self {
    case .rnn: 1
    case .gru: 3
    case .lstm: 4
    }
  }
}

/// What the parameters of a recurrent layer start with.
public enum RecurrentInitialization: String, Sendable, CaseIterable {
  /// All uniform within ± 1/√hidden, as in PyTorch.
  case uniform
  /// Recurrent weights orthogonal and input weights Xavier uniform, gate by gate; biases zero, those
  /// of an LSTM's forget gates one.
  case orthogonal
}

/// A stack of recurrent layers.
public struct RecurrentSettings: Sendable {
  public var cell: RecurrentCell
  public var hiddenSize: Int
  public var layerCount = 1
  public var isBidirectional = false
  public var hasBias = true
  /// Whether the product with the state has a bias of its own beside that of the input's; a gate has
  /// one bias otherwise.
  public var hasRecurrentBias = true
  /// Whether x is [batch, steps, features] and not [steps, batch, features].
  public var isBatchFirst = true
  /// Between layers.
  public var dropout = 0.0
  public var dropoutMode = DropoutMode.elements
  /// On the recurrent weights, once for all steps (Merity et al., 2018).
  public var recurrentDropout = 0.0
  public var initialization = RecurrentInitialization.uniform

  public init(_ cell: RecurrentCell, hiddenSize: Int) {
    (self.cell, self.hiddenSize) = (cell, hiddenSize)
  }

  var directions: Int { isBidirectional ? 2 : 1 }
}

extension Network {
  /// A stack of recurrent layers. Parameters of layer k: W_lk [directions, gates · hidden, width],
  /// R_lk [directions, gates · hidden, hidden], B_lk [directions, 2 · gates · hidden].
  /// - Parameters:
  ///   - lengths: valid steps of each item, int64 [batch]: what lies behind them enters no state, and
  ///     the output is zero there; the backward direction starts at the last valid step.
  ///   - state: what the hidden states start with, [layers · directions, batch, hidden].
  ///   - cellState: the same for the cell states of an LSTM.
  ///   - inputSize: the width of x, needed where it is not known.
  /// - Returns: the outputs, directions side by side; the states after the last valid step, and those
  ///   of the cells for an LSTM.
  public func recurrent(
    _ name: String, _ x: Edge, lengths: Edge? = nil, state: Edge? = nil, cellState: Edge? = nil,
    inputSize: Int? = nil, _ settings: RecurrentSettings
  ) throws(StackLensError) -> (y: Edge, h: Edge, c: Edge?) {
    try check(
      x, rank: 3...3,
      settings.isBatchFirst ? "[batch, steps, features]" : "[steps, batch, features]")
    let width = try self.width(of: x, axis: 2, given: inputSize, "input_size")
    guard (1...1024).contains(settings.layerCount), settings.hiddenSize > 0 else {
      throw .invalidArgument(
        "\(settings.layerCount) layers of \(settings.hiddenSize) units cannot be built")
    }
    let isLSTM = settings.cell == .lstm
    guard isLSTM || cellState == nil else {
      throw .invalidArgument("only an LSTM has cell states")
    }
    return try scope(name) { () throws(StackLensError) in
      var input = settings.isBatchFirst ? transposed(x, 1, 0, 2) : x
      let counts = lengths.map { elementType(of: $0) == .int32 ? $0 : cast($0, .int32) }
      var hidden: [Edge] = []
      var cells: [Edge] = []
      for layer in 0..<settings.layerCount {
        let isLast = layer == settings.layerCount - 1
        let part = layer * settings.directions..<(layer + 1) * settings.directions
        func start(_ edge: Edge?) throws(StackLensError) -> Edge? {
          guard let edge, settings.layerCount > 1 else { return edge }
          return try sliced(edge, axis: 0, part)
        }
        let outputs = try recurrentLayer(
          input, width: layer == 0 ? width : settings.directions * settings.hiddenSize, layer,
          lengths: counts, start(state), start(cellState), settings)
        hidden.append(outputs[1])
        if isLSTM { cells.append(outputs[2]) }
        input = try sideBySide(outputs[0], settings, batchFirst: isLast && settings.isBatchFirst)
        if !isLast {
          // Steps come first here; the same features in every step are then those of axis 0.
          input = try dropoutBetween(input, settings)
        }
      }
      func joined(_ parts: [Edge]) -> Edge { parts.count == 1 ? parts[0] : self.joined(parts) }
      return (input, joined(hidden), isLSTM ? joined(cells) : nil)
    }
  }

  private func recurrentLayer(
    _ x: Edge, width: Int, _ layer: Int, lengths: Edge?, _ state: Edge?, _ cellState: Edge?,
    _ settings: RecurrentSettings
  ) throws(StackLensError) -> [Edge] {
    let (directions, hidden) = (settings.directions, settings.hiddenSize)
    let gates = settings.cell.gateCount
    let starts = settings.starts(width: width)
    let w = try parameter("W_l\(layer)", [directions, gates * hidden, width], starts.w)
    var r = try parameter("R_l\(layer)", [directions, gates * hidden, hidden], starts.r)
    r = try dropout(r, settings.recurrentDropout)
    let b = try biases(layer, starts.b, settings)
    var attributes: [String: Attribute] = [
      "hidden_size": .int(Int64(hidden)),
      "direction": .string(settings.isBidirectional ? "bidirectional" : "forward"),
    ]
    var inputs: [Edge?] = [x, w, r, b, lengths, state]
    switch settings.cell {
    case .lstm: inputs.append(cellState)
    case .gru(let resetAfter): attributes["linear_before_reset"] = .int(resetAfter ? 1 : 0)
    case .rnn(let relu):
      attributes["activations"] = .strings(
        [String](repeating: relu ? "Relu" : "Tanh", count: directions))
    }
    while let last = inputs.last, last == nil { inputs.removeLast() }
    return graph.add(
      settings.cell.operatorName, inputs, attributes, outputs: settings.cell == .lstm ? 3 : 2)
  }

  /// Biases as the operators take them: those of the input, then those of the state.
  private func biases(
    _ layer: Int, _ start: WeightInitializer, _ settings: RecurrentSettings
  ) throws(StackLensError) -> Edge? {
    guard settings.hasBias else { return nil }
    let width = settings.cell.gateCount * settings.hiddenSize
    let name = "B_l\(layer)"
    if settings.hasRecurrentBias {
      return try parameter(name, [settings.directions, 2 * width], start)
    }
    let zeros = constant(try Tensor(zeros: .float32, Shape([settings.directions, width])))
    return joined([try parameter(name, [settings.directions, width], start), zeros], axis: 1)
  }

  /// [steps, directions, batch, hidden] with the directions side by side in the last axis.
  private func sideBySide(
    _ y: Edge, _ settings: RecurrentSettings, batchFirst: Bool
  ) throws(StackLensError) -> Edge {
    guard settings.isBidirectional else {
      let flat = graph.add("Squeeze", [y, try ints([1])])
      return batchFirst ? transposed(flat, 1, 0, 2) : flat
    }
    let turned = batchFirst ? transposed(y, 2, 0, 1, 3) : transposed(y, 0, 2, 1, 3)
    return try reshaped(turned, [0, 0, 2 * settings.hiddenSize])
  }

  private func dropoutBetween(
    _ x: Edge, _ settings: RecurrentSettings
  ) throws(StackLensError) -> Edge {
    guard settings.dropoutMode != .elements, settings.dropout > 0 else {
      return try dropout(x, settings.dropout)
    }
    let turned = try dropout(transposed(x, 1, 0, 2), settings.dropout, .variational)
    return transposed(turned, 1, 0, 2)
  }
}

extension RecurrentSettings {
  /// What the three parameters of a layer start with.
  fileprivate func starts(
    width: Int
  ) -> (w: WeightInitializer, r: WeightInitializer, b: WeightInitializer) {
    let uniform = WeightInitializer.bias(fan: hiddenSize)
    guard initialization == .orthogonal else { return (uniform, uniform, uniform) }
    // Of the biases the input's come first, then the recurrent ones.
    var biases = [WeightInitializer](
      repeating: .zeros, count: (hasRecurrentBias ? 2 : 1) * cell.gateCount)
    if cell == .lstm { biases[2] = .ones }
    return (
      .blocks([.xavierUniform(gain: 1)], shape: [hiddenSize, width]),
      .blocks([.orthogonal(gain: 1)], shape: [hiddenSize, hiddenSize]),
      .blocks(biases, shape: [hiddenSize])
    )
  }
}
