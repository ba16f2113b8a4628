import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The recurrent operators with one more output, what their gradients need of every step.
  static let rnnTraining = training("RNNTraining", .rnn, rnn)
  static let gruTraining = training("GRUTraining", .gru, gru)
  static let lstmTraining = training("LSTMTraining", .lstm, lstm)

  /// Back through the steps of a recurrent operator: its inputs in LSTM's order, what its training
  /// form kept, and the gradients of Y, Y_h and Y_c. Makes the gradients of X, W, R, B, initial_h,
  /// initial_c and P.
  static let rnnGradient = recurrentGradient("RNNGradient", .rnn, rnn)
  static let gruGradient = recurrentGradient("GRUGradient", .gru, gru)
  static let lstmGradient = recurrentGradient("LSTMGradient", .lstm, lstm)

  /// Through how many of an item's last steps gradients flow back; 0: through all (Williams and Peng,
  /// 1990).
  private static let gradientSteps = AttributeSpec.int("gradient_steps", default: 0)

  private static func training(
    _ name: String, _ cell: RecurrentCell, _ plain: OperatorDefinition
  ) -> OperatorDefinition {
    let count = plain.outputCount.upperBound
    return OperatorDefinition(
      name, domain: "ai.stacklens", versions: [1], inputs: plain.inputCount,
      outputs: 0...(count + 1), attributes: plain.attributes + [gradientSteps],
      infer: { (context) throws(StackLensError) in
        try RecurrentLayer(cell, context, inputs: context.inputs, keepsSteps: true).outputTypes()
      },
      execution: recurrentExecution(cell, keepsSteps: true),
      gradient: .recurrent(cell),
      samples: plain.samples.map { Sample($0.inputs, $0.attributes, outputs: count) })
  }

  private static func recurrentGradient(
    _ name: String, _ cell: RecurrentCell, _ plain: OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, domain: "ai.stacklens", versions: [1], inputs: 9...12, outputs: 1...7,
      attributes: plain.attributes + [gradientSteps],
      infer: { (context) throws(StackLensError) in
        let layer = try RecurrentLayer(cell, context, inputs: Array(context.inputs.prefix(8)))
        try layer.checkGradients(context.inputs)
        return try layer.gradientTypes(x: context.input(0), context.input(1), context.input(2))
      },
      execution: .kernels([
        Kernel("packed") { (preparation) throws(StackLensError) in
          let inputs = Array(preparation.inputs.prefix(8))
          let layer = try RecurrentLayer(cell, preparation, inputs: inputs)
          guard layer.elementType == .float32 else { return nil }
          return try RecurrentBackward<Float>(layer, preparation).prepared(preparation)
        },
        .reference { (preparation) throws(StackLensError) in
          let inputs = Array(preparation.inputs.prefix(8))
          let layer = try RecurrentLayer(cell, preparation, inputs: inputs)
          return try RecurrentBackward<Double>(layer, preparation).prepared(preparation)
        },
      ]),
      gradient: .onlyOnce, samples: gradientSamples(cell))
  }

  private static func gradientSamples(_ cell: RecurrentCell) -> [Sample] {
    let (gates, kept) = (cell.gateCount, cell.gateCount + (cell == .rnn ? 1 : 2))
    let isLSTM = cell == .lstm
    /// What training keeps are values between -1 and 1.
    func state(_ dims: [Int]) -> Sample.Input { .random(.float32, dims, low: 0.1, high: 0.9) }
    return [
      Sample(
        [
          .floats(3, 2, 4), .floats(1, 5 * gates, 4), .floats(1, 5 * gates, 5), .absent, .absent,
          .absent, .absent, .absent, state([1, 3, 2, 5 * kept]), .floats(3, 1, 2, 5),
        ], ["gradient_steps": .int(2)], outputs: 4),
      Sample(
        [
          .floats(3, 4, 2), .floats(2, 17 * gates, 2), .floats(2, 17 * gates, 17),
          .floats(2, 34 * gates),
          .tensor { () throws(StackLensError) in try Tensor([Int32(4), 2, 0]) },
          .floats(3, 2, 17), isLSTM ? .floats(3, 2, 17) : .absent,
          isLSTM ? .floats(2, 51) : .absent, state([2, 4, 3, 17 * kept]), .floats(3, 4, 2, 17),
          .floats(3, 2, 17), isLSTM ? .floats(3, 2, 17) : .absent,
        ],
        ["direction": .string("bidirectional"), "layout": .int(1)]
          .merging(cell == .gru ? ["linear_before_reset": .int(1)] : [:]) { $1 },
        outputs: isLSTM ? 7 : 5),
    ]
  }
}

extension RecurrentLayer {
  /// Where the gradient's operator finds what it needs beside the layer's inputs.
  enum Backward {
    static let (kept, y, h, c) = (8, 9, 10, 11)
  }

  fileprivate func checkGradients(_ inputs: [TensorType?]) throws(StackLensError) {
    let types = try outputTypes()
    let kept = TensorType(
      elementType, try Shape([directions, steps, batch, keptColumns]))
    for (index, expected) in [
      (Backward.kept, kept), (Backward.y, types[0]), (Backward.h, types[1]),
      (Backward.c, types[1]),
    ] where index < inputs.count {
      guard let found = inputs[index] else { continue }
      guard found == expected else {
        throw .shapeMismatch("input \(index) is \(found), expected \(expected)")
      }
    }
  }

  /// X, W, R, B, initial_h, initial_c and P, whether the layer has them or not.
  fileprivate func gradientTypes(
    x: TensorType, _ w: TensorType, _ r: TensorType
  ) throws(StackLensError) -> [TensorType] {
    let state = try outputTypes()[1]
    return [
      x, w, r, TensorType(elementType, try Shape([directions, 2 * gateColumns])), state, state,
      TensorType(elementType, try Shape([directions, 3 * hiddenSize])),
    ]
  }
}

extension GradientRule {
  /// A rule that says that its operator ends a chain of derivatives.
  static let onlyOnce = GradientRule { (scope) throws(StackLensError) in
    throw .unsupported(
      "\(scope.node.opType) is a gradient already and cannot be differentiated again")
  }

  /// One node that goes back through all steps. A plain node is run again in its training form,
  /// which keeps the steps.
  static func recurrent(_ cell: RecurrentCell) -> GradientRule {
    GradientRule { (scope) throws(StackLensError) in
      let name = cell == .lstm ? "LSTM" : cell == .gru ? "GRU" : "RNN"
      let outputs = cell == .lstm ? 3 : 2
      var kept = scope.outputs.count > outputs ? scope.outputs[outputs] : nil
      if kept == nil {
        kept =
          scope.graph.add(
            name + "Training", scope.inputs, scope.node.attributes, domain: "ai.stacklens",
            outputs: outputs + 1)[outputs]
      }
      guard scope.outputGradients.count <= outputs || scope.outputGradients[outputs] == nil else {
        throw .unsupported("\(scope.node.opType) has no gradient through what it keeps")
      }
      var inputs = scope.inputs
      while inputs.count < 8 { inputs.append(nil) }
      inputs.append(kept)
      for index in 0..<3 {
        let isThere = index < outputs && index < scope.outputGradients.count
        inputs.append(isThere ? scope.outputGradients[index] : nil)
      }
      // Lengths have no gradient.
      let made = scope.graph.add(
        name + "Gradient", inputs, scope.node.attributes, domain: "ai.stacklens",
        wanted: [0, 1, 2, 3, 5, 6, 7].map { scope.wants($0) })
      return Array((made[..<4] + [nil] + made[4...]).prefix(scope.inputs.count))
    }
  }
}
