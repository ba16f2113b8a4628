import Base
import Graphs
import Layers
import Tensors

/// The models of scripts/generate-curves-golden.py.
extension LossCurveTests {
  static let curves: [Curve] = [
    mlp, cnn, resNet18, bidirectionalLSTM, sequenceToSequence, classifier, gpt,
  ]

  private static let numbers = CurveNumbers.self

  private static let mlp = Curve(
    name: "mlp",
    options: """
      {"loss": "cross_entropy",
       "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": true}}
      """
  ) { network in
    let x = network.input("x", .float32, [.named("batch"), .fixed(20)])
    let first = try network.activation("relu", network.linear("fc1", x, to: 32))
    let second = try network.activation("relu", network.linear("fc2", first, to: 32))
    network.output(try network.linear("fc3", second, to: 5), "logits")
  } batch: { key in
    [
      "x": try numbers.floats("\(key).x", [16, 20]),
      "target": try numbers.labels("\(key).target", below: 5, [16]),
    ]
  }

  private static let cnn = Curve(
    name: "cnn",
    options: #"{"loss": "cross_entropy", "optimizer": {"name": "adam", "learning_rate": 0.002}}"#
  ) { network in
    let sides = [Dimension.fixed(12), .fixed(12)]
    var x = network.input("x", .float32, [.named("batch"), .fixed(1)] + sides)
    let half = try Windows([2, 2], stride: [2])
    x = try network.convolution("conv1", x, to: 8, Windows([3, 3], padding: .symmetric([1])))
    x = try network.activation("relu", network.batchNorm("bn1", x))
    x = try network.pool("pool1", x, .max, half)
    x = try network.activation("relu", network.convolution("conv2", x, to: 16, Windows([3, 3])))
    x = try network.flatten("flat", network.pool("pool2", x, .max, half))
    network.output(try network.linear("fc", x, to: 10), "logits")
  } batch: { key in
    [
      "x": try numbers.floats("\(key).x", [8, 1, 12, 12]),
      "target": try numbers.labels("\(key).target", below: 10, [8]),
    ]
  }

  private static let resNet18 = Curve(
    name: "resnet18",
    options: """
      {"loss": "cross_entropy",
       "optimizer": {"name": "sgd", "learning_rate": 0.00001, "momentum": 0.9,
                     "weight_decay": 0.0001}}
      """
  ) { network in
    let open = [Dimension.named("height"), .named("width")]
    var x = network.input("x", .float32, [.named("batch"), .fixed(3)] + open)
    let stem = try Windows([7, 7], stride: [2], padding: .symmetric([3]))
    x = try network.convolution("conv1", x, to: 64, stem, bias: false)
    x = try network.activation("relu", network.batchNorm("bn1", x))
    x = try network.pool(
      "maxpool", x, .max, Windows([3, 3], stride: [2], padding: .symmetric([1])))
    for layer in 1...4 {
      for block in 0...1 {
        x = try network.residualBlock(
          "layer\(layer).\(block)", x, .basic, planes: 32 << layer,
          stride: layer > 1 && block == 0 ? 2 : 1)
      }
    }
    x = try network.globalPool("avgpool", x, .average)
    network.output(try network.linear("fc", x, to: 10), "logits")
  } batch: { key in
    [
      "x": try numbers.floats("\(key).x", [8, 3, 64, 64]),
      "target": try numbers.labels("\(key).target", below: 10, [8]),
    ]
  }

  private static let bidirectionalLSTM = Curve(
    name: "bilstm",
    options: #"{"loss": "cross_entropy", "optimizer": {"name": "rmsprop", "learning_rate": 0.002}}"#
  ) { network in
    let x = network.input("x", .float32, [.named("batch"), .named("time"), .fixed(16)])
    let lengths = network.input("lengths", .int64, [.named("batch")])
    var settings = RecurrentSettings(.lstm, hiddenSize: 24)
    settings.layerCount = 2
    settings.isBidirectional = true
    let h = try network.recurrent("lstm", x, lengths: lengths, settings).h
    let last = network.graph.add(
      "Slice",
      [h, try network.graph.ints("two", [2]), try network.graph.ints("four", [4])])
    let rows = try network.flatten("rows", network.graph.transpose(last, [1, 0, 2]))
    network.output(try network.linear("fc", rows, from: 48, to: 6), "logits")
  } batch: { key in
    [
      "x": try numbers.floats("\(key).x", [8, 12, 16]),
      "lengths": try numbers.labels("\(key).lengths", below: 13, [8], start: 1),
      "target": try numbers.labels("\(key).target", below: 6, [8]),
    ]
  }

  private static let sequenceToSequence = Curve(
    name: "seq2seq",
    options: """
      {"loss": {"name": "cross_entropy", "ignore_index": 0, "axis": -1},
       "optimizer": {"name": "adam", "learning_rate": 0.003}}
      """,
    zeroRows: ["source.weight", "target.weight"]
  ) { network in
    let source = network.input("source", .int64, [.named("batch"), .named("steps")])
    let lengths = network.input("lengths", .int64, [.named("batch")])
    let tokens = network.input("tokens", .int64, [.named("batch"), .named("time")])
    var encoder = RecurrentSettings(.gru(resetAfter: true), hiddenSize: 12)
    encoder.isBidirectional = true
    let words = try network.embedding("source", source, count: 40, width: 16, padding: 0)
    let (memory, h, _) = try network.recurrent("encoder", words, lengths: lengths, encoder)
    let ends = try network.flatten("ends", network.graph.transpose(h, [1, 0, 2]))
    let bridge = try network.activation("tanh", network.linear("bridge", ends, from: 24, to: 20))
    let start = network.graph.add(
      "Unsqueeze", [bridge, try network.graph.ints("front", [0])])
    let decoder = RecurrentSettings(.gru(resetAfter: true), hiddenSize: 20)
    let given = try network.embedding("target", tokens, count: 40, width: 16, padding: 0)
    let states = try network.recurrent("decoder", given, state: start, decoder).y
    let context = try network.sequenceAttention(
      "attention", query: states, keys: memory, mask: source, .additive
    ).context
    let both = network.graph.add("Concat", [states, context], ["axis": .int(-1)])
    network.output(try network.linear("output", both, from: 44, to: 40), "logits")
  } batch: { key in
    let lengths = try numbers.labels("\(key).lengths", below: 10, [6], start: 2)
    let counts = try lengths.integers()
    var words = try numbers.labels("\(key).source", below: 40, [6, 9], start: 1)
      .elements(as: Int64.self)
    for i in words.indices where i % 9 >= counts[i / 9] { words[i] = 0 }
    let tokens = try numbers.labels("\(key).tokens", below: 40, [6, 8]).elements(as: Int64.self)
    return [
      "source": try Tensor(words, shape: Shape([6, 9])), "lengths": lengths,
      "tokens": try columns(tokens, of: 8, 0..<7), "target": try columns(tokens, of: 8, 1..<8),
    ]
  }

  /// An encoder in BERT's manner, of which the lower half is frozen.
  private static let classifier = Curve(
    name: "classifier",
    options: """
      {"loss": "cross_entropy", "clip_norm": 1, "freeze": ["embeddings.*", "encoder.layers.0.*"],
       "optimizer": {"name": "adamw", "learning_rate": 0.002}}
      """
  ) { network in
    let ids = network.input("ids", .int64, [.named("batch"), .named("time")])
    let mask = network.input("mask", .int64, [.named("batch"), .named("time")])
    var x = try network.embedding("embeddings.word", ids, count: 50, width: 32)
    x = try network.learnedPositions("embeddings.position", x, length: 16)
    x = try network.layerNorm("embeddings.norm", x)
    var settings = TransformerSettings(heads: 4)
    settings.feedForward = 64
    settings.dropout = 0
    settings.activation = "gelu"
    x = try network.transformerEncoder("encoder", x, keyMask: mask, layers: 2, settings)
    x = try network.maskedMean("pool", x, mask: mask)
    network.output(try network.linear("classifier", x, from: 32, to: 4), "logits")
  } batch: { key in
    let lengths = try numbers.labels("\(key).lengths", below: 12, [8], start: 1).integers()
    let mask = (0..<88).map { Int64($0 % 11 < lengths[$0 / 11] ? 1 : 0) }
    return [
      "ids": try numbers.labels("\(key).ids", below: 50, [8, 11]),
      "mask": try Tensor(mask, shape: Shape([8, 11])),
      "target": try numbers.labels("\(key).target", below: 4, [8]),
    ]
  }

  private static let gpt = Curve(
    name: "gpt",
    options: """
      {"loss": {"name": "cross_entropy", "axis": -1},
       "optimizer": {"name": "adamw", "learning_rate": 0.001, "betas": [0.9, 0.95],
                     "weight_decay": 0.1}}
      """
  ) { network in
    let ids = network.input("ids", .int64, [.named("batch"), .named("time")])
    var x = try network.embedding("tokens", ids, count: 48, width: 32)
    x = try network.learnedPositions("positions", x, length: 24)
    var settings = TransformerSettings(heads: 4)
    settings.feedForward = 96
    settings.dropout = 0
    settings.activation = "gelu"
    settings.normFirst = true
    settings.isCausal = true
    x = try network.transformerEncoder("decoder", x, layers: 3, finalNorm: true, settings)
    network.output(try network.linear("head", x, to: 48, bias: false), "logits")
  } batch: { key in
    let ids = try numbers.labels("\(key).ids", below: 48, [4, 18]).elements(as: Int64.self)
    return [
      "ids": try columns(ids, of: 18, 0..<17), "target": try columns(ids, of: 18, 1..<18),
    ]
  }

  /// Some columns of rows of a certain width.
  private static func columns(
    _ values: [Int64], of width: Int, _ range: Range<Int>
  ) throws -> Tensor {
    let rows = values.count / width
    let kept = (0..<rows).flatMap { row in range.map { values[row * width + $0] } }
    return try Tensor(kept, shape: Shape([rows, range.count]))
  }
}
