import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Elman network: h = f(x Wᵀ + h Rᵀ + b). ONNX RNN-22.
  static let rnn = recurrent(
    "RNN", .rnn, versions: [1, 7, 14, 22], attributes: [],
    samples: [
      Sample([.floats(3, 2, 4), .floats(1, 5, 4), .floats(1, 5, 5)], outputs: 2),
      Sample(
        [
          .floats(2, 3, 4), .floats(2, 5, 4), .floats(2, 5, 5), .floats(2, 10), .absent,
          .floats(2, 2, 5),
        ],
        [
          "direction": .string("bidirectional"), "layout": .int(1),
          "activations": .strings(["Relu", "Tanh"]),
        ], outputs: 2),
      Sample([.floats(0, 2, 4), .floats(1, 5, 4), .floats(1, 5, 5)], outputs: 2),
    ])

  /// Gated recurrent unit, gates in the order z r h. ONNX GRU-22.
  static let gru = recurrent(
    "GRU", .gru, versions: [1, 3, 7, 14, 22],
    attributes: [.int("linear_before_reset", default: 0)],
    samples: [
      Sample([.floats(3, 2, 4), .floats(1, 15, 4), .floats(1, 15, 5), .floats(1, 30)], outputs: 2),
      Sample(
        [
          .floats(4, 3, 2), .floats(2, 9, 2), .floats(2, 9, 3), .floats(2, 18),
          .tensor(lengths), .floats(2, 3, 3),
        ],
        [
          "direction": .string("bidirectional"), "linear_before_reset": .int(1),
          "clip": .float(0.7),
        ], outputs: 2),
      Sample(
        [
          .floats(5, 3, 2), .floats(2, 57, 2), .floats(2, 57, 19), .floats(2, 114),
          .tensor(lengths), .floats(2, 3, 19),
        ], ["direction": .string("bidirectional"), "linear_before_reset": .int(1)], outputs: 2),
      Sample(
        [.floats(9, 4, 6), .floats(1, 243, 6), .floats(1, 243, 81), .floats(1, 486)],
        ["direction": .string("reverse"), "linear_before_reset": .int(1), "layout": .int(1)],
        outputs: 2),
    ])

  /// Long short-term memory, gates in the order i o f c, with peepholes. ONNX LSTM-22.
  static let lstm = recurrent(
    "LSTM", .lstm, versions: [1, 7, 14, 22], attributes: [.int("input_forget", default: 0)],
    samples: [
      Sample([.floats(3, 2, 4), .floats(1, 20, 4), .floats(1, 20, 5), .floats(1, 40)], outputs: 3),
      Sample(
        [
          .floats(4, 3, 2), .floats(2, 12, 2), .floats(2, 12, 3), .floats(2, 24),
          .tensor(lengths), .floats(2, 3, 3), .floats(2, 3, 3), .floats(2, 9),
        ],
        ["direction": .string("bidirectional"), "input_forget": .int(1), "clip": .float(0.5)],
        outputs: 3),
      Sample(
        [.floats(2, 3, 4), .floats(1, 8, 4), .floats(1, 8, 2)],
        ["direction": .string("reverse"), "layout": .int(1)], outputs: 3),
      Sample(
        [.floats(5, 3, 4), .floats(2, 84, 4), .floats(2, 84, 21), .absent, .tensor(lengths)],
        ["direction": .string("bidirectional")], outputs: 3),
      Sample(
        [
          .floats(4, 1, 8), .floats(1, 328, 8), .floats(1, 328, 82), .floats(1, 656), .absent,
          .floats(1, 1, 82), .floats(1, 1, 82),
        ], outputs: 3),
    ])

  @Sendable private static func lengths() throws(StackLensError) -> Tensor {
    try Tensor([Int32(4), 2, 0])
  }
}
