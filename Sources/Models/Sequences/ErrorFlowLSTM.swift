import Base
import Glibc
import Graphs
import Layers
import Tensors
import Training

/// Reads a window of errors and predicts what comes next, when, and whether a cascade is under way: a
/// bidirectional LSTM with attention over its steps (Hochreiter and Schmidhuber, 1997; Bahdanau et al.,
/// 2015).
///
///     x → 3 × BiLSTM → attention → a → class of the next error, probability of a cascade
///                    ↘ last states → r → next state vector, time to it
struct ErrorFlowLSTM: Architecture {
  private let width: Int
  private let hidden: Int
  private let layerCount: Int
  private let classCount: Int
  private let dropout: Double
  /// The longest time that is predicted, in seconds.
  private static let longest = 86_400.0
  private static let cascadeWeightLimit = 10.0

  static let definition = ArchitectureDefinition(
    "error_flow_lstm", of: ErrorFlowLSTM.self,
    "A bidirectional LSTM with attention over a window of errors: what comes next, and when.",
    options: [
      .integer("width", 1...1 << 16, default: 512, "Features of an error."),
      .integer("hidden", 1...1 << 14, default: 256, "Units of a direction."),
      .integer("layers", 1...64, default: 3, "Recurrent layers."),
      .integer("classes", 1...1 << 16, default: 10, "Classes of the next error."),
      .number("dropout", OptionSpec.probability, default: 0.2, "Between the layers."),
    ],
    fit: .fit(
      "Learns from windows and what followed each.",
      inputs: inputs + [
        .init("next_class", "int64 [windows]: -100 where nothing followed within the horizon."),
        .init("next_x", "float32 [windows, width]: the error that followed."),
        .init("time_to_next", "float32 [windows]: seconds until then."),
        .init("cascade", "float32 [windows]: 1 before a cascade, else 0."),
        .init("validation_x", isOptional: true, "Windows to judge by."),
        .init("validation_lengths", isOptional: true, "As lengths."),
        .init("validation_next_class", isOptional: true, "As next_class."),
        .init("validation_next_x", isOptional: true, "As next_x."),
        .init("validation_time_to_next", isOptional: true, "As time_to_next."),
        .init("validation_cascade", isOptional: true, "As cascade."),
      ], epochs: 50, learningRate: 1e-3, patience: 10),
    methods: [
      .init(
        "predict", "What follows each window.", inputs: inputs,
        outputs: outputs.map { ArchitectureDefinition.Port($0.name, $0.documentation) }),
      .init(
        "states", "Errors as 512 numbers: their texts' vectors and what is known of the moment.",
        inputs: StateVectors.ports, outputs: [.init("x", "float32 [errors, 512].")],
        options: streamOptions),
      .init(
        "windows", "The window that ends at each error, and what followed it, to learn from.",
        inputs: [
          .init("x", "float32 [errors, width]: the errors."),
          .init("timestamp_ms", "int64 [errors]: Unix time in milliseconds."),
          .init("error_id", isOptional: true, "int64 [errors]: orders errors of one moment."),
          .init("source", "string [errors]: services or components."),
          .init("category", "int64 [errors]: the class of each, or -100."),
        ],
        outputs: [
          .init("x", "float32 [errors, longest, width]: oldest first, padded behind."),
          .init("lengths", "int64 [errors]."), .init("next_class", "int64 [errors], or -100."),
          .init("next_x", "float32 [errors, width]: zeros where nothing followed."),
          .init("time_to_next", "float32 [errors]: seconds."),
          .init("cascade", "float32 [errors]: 1 before a cascade, else 0."),
          .init("error", "int64 [errors]: which error each window ends at, by time."),
        ], options: streamOptions),
    ])

  private static let streamOptions: [OptionSpec] = [
    .integer("longest", 1...256, default: 10, "Errors of a window; the newest are kept."),
    .number("gap", 0...1e9, default: 1_800, "Seconds of silence that end a window."),
    .number("horizon", 0...1e9, default: 1_800, "Seconds in which what follows is looked for."),
    .integer("cascade_errors", 1...1 << 20, default: 3, "Errors of a cascade, at least."),
    .integer("cascade_sources", 1...1 << 20, default: 2, "Sources of a cascade, at least."),
    .number("cascade_gap", 0...1e9, default: 300, "Seconds between two errors of a cascade."),
  ]

  private static let inputs: [ArchitectureDefinition.Port] = [
    .init("x", "float32 [windows, steps, width]: errors, oldest first."),
    .init("lengths", isOptional: true, "int64 [windows]: valid steps; all unless given."),
  ]
  private static let outputs: [(name: String, documentation: String)] = [
    ("class_logits", "float32 [windows, classes]: the class of the next error."),
    ("next_sequence", "float32 [windows, width]: the next error."),
    ("time_to_next", "float32 [windows]: seconds."),
    ("cascade_prob", "float32 [windows]: the probability of a cascade."),
    ("attention_weights", "float32 [windows, steps]: 0 on padding."),
    ("hidden_states", "float32 [windows, steps, 2 · hidden]: 0 on padding."),
    ("hn", "float32 [2 · layers, windows, hidden]: final states."),
    ("cn", "float32 [2 · layers, windows, hidden]: final cells."),
  ]

  init(_ options: OptionValues) throws(StackLensError) {
    width = try options.integer("width")
    hidden = try options.integer("hidden")
    layerCount = try options.integer("layers")
    classCount = try options.integer("classes")
    dropout = try options.number("dropout")
  }

  /// What the heads give before it is put into the units of the outside.
  private struct Heads {
    let classLogits, next, logTime, cascadeLogit, attention, states, h, c: Edge
  }

  private func heads(
    _ network: Network, _ x: Edge, _ lengths: Edge, state: Edge? = nil, cell: Edge? = nil
  ) throws(StackLensError) -> Heads {
    var settings = RecurrentSettings(.lstm, hiddenSize: hidden)
    settings.layerCount = layerCount
    settings.isBidirectional = true
    settings.dropout = dropout
    let (y, h, c) = try network.recurrent(
      "lstm", x, lengths: lengths, state: state, cellState: cell, settings)
    guard let c else { throw .internalError("an LSTM without cells") }
    let graph = network.graph
    let mask = try network.stepMask(lengths, like: x)
    let (a, attention) = try network.attentionPooling("attention", y, mask: mask, hidden: hidden)
    var classes = try network.activation("relu", network.linear("class_head.0", a, to: hidden))
    classes = try network.dropout(classes, 0.3)
    // The final states of the last layer: forward at the last valid step, backward at the first.
    let ends = try network.sliced(h, axis: 0, 2 * layerCount - 2..<2 * layerCount)
    let byWindow = graph.transpose(ends, [1, 0, 2])
    let r = try graph.reshape(byWindow, [0, Int64(2 * hidden)])
    func single(_ name: String, _ x: Edge) throws(StackLensError) -> Edge {
      let column = try network.linear(name, x, from: 2 * hidden, to: 1)
      return graph.add("Squeeze", [column, try network.ints([1])])
    }
    return Heads(
      classLogits: try network.linear("class_head.3", classes, to: classCount),
      next: try network.linear("next_head", r, from: 2 * hidden, to: width),
      logTime: try single("time_head", r),
      cascadeLogit: try single("cascade_head", a), attention: attention, states: y, h: h, c: c)
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    [
      NamedNetwork(try network(seed: seed, takesStates: false)),
      NamedNetwork("with_states", try network(seed: seed, takesStates: true)),
    ]
  }

  private func network(seed: UInt64, takesStates: Bool) throws(StackLensError) -> Model {
    let network = Network("error_flow_lstm", seed: seed)
    let scale = try Standardisation(network, width: width)
    let batch = Dimension.named("batch")
    let x = network.input("x", .float32, [batch, .named("steps"), .fixed(width)])
    let lengths = network.input("lengths", .int64, [batch])
    func states(_ name: String) -> Edge? {
      takesStates
        ? network.input(name, .float32, [.fixed(2 * layerCount), batch, .fixed(hidden)]) : nil
    }
    let heads = try heads(network, x, lengths, state: states("h0"), cell: states("c0"))
    let graph = network.graph
    let logTime = try network.clip(heads.logTime, 0, log1p(Self.longest))
    let time = graph.add("Exp", [logTime]) - (try graph.scalar("one", 1))
    network.output(heads.classLogits, "class_logits")
    network.output(scale.undone(heads.next), "next_sequence")
    network.output(time, "time_to_next")
    network.output(graph.add("Sigmoid", [heads.cascadeLogit]), "cascade_prob")
    network.output(heads.attention, "attention_weights")
    network.output(heads.states, "hidden_states")
    network.output(heads.h, "hn")
    network.output(heads.c, "cn")
    return try network.model()
  }

  /// The network with its loss: CE(class) + MSE(next) + ½ Huber(log time) + BCE(cascade).
  private func training(seed: UInt64, cascadeWeight: Double) throws(StackLensError) -> Model {
    let network = Network("error_flow_lstm_training", seed: seed)
    let batch = Dimension.named("batch")
    let x = network.input("x", .float32, [batch, .named("steps"), .fixed(width)])
    let lengths = network.input("lengths", .int64, [batch])
    let heads = try heads(network, x, lengths)
    let labels = network.input("next_class", .int64, [batch])
    let next = network.input("next_x", .float32, [batch, .fixed(width)])
    let logTime = network.input("log_time", .float32, [batch])
    let cascade = network.input("cascade", .float32, [batch])
    let graph = network.graph
    let known = try network.isKnown(labels)
    let classes = try network.maskedCrossEntropy(heads.classLogits, labels)
    let vector = try network.maskedMean(network.meanSquare(heads.next - next), known)
    let time = try network.maskedMean(network.huber(heads.logTime - logTime), known)
    let weight = try graph.scalar("cascade_weight", Float(cascadeWeight))
    let cascades = try network.maskedBinaryCrossEntropy(
      heads.cascadeLogit, cascade, positiveWeight: weight)
    let half = try graph.scalar("half", 0.5)
    network.output(graph.add("Sum", [classes, vector, time * half, cascades]), "loss")
    return try network.model()
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    func windows(_ prefix: String) throws(StackLensError) -> Windows {
      try Windows(fitting.arguments, prefix, width: width, classCount: classCount)
    }
    let (data, held) = try fitting.divided(
      windows(""), given: fitting.arguments.has("validation_x") ? windows("validation_") : nil)
    let moments = try Moments(of: data.steps())
    try moments.set(in: &fitting.knowledge)
    let positives = data.cascadeShare
    let weight = positives > 0 ? min(Self.cascadeWeightLimit, 1 / positives) : 1
    try fitting.train(
      training(seed: fitting.seed, cascadeWeight: weight),
      ["optimizer": .string("adam"), "clip_norm": .number(1)],
      on: fitting.batches(data.arrays(moments)),
      validation: held.map { (held) throws(StackLensError) in
        try fitting.batches(held.arrays(moments), isShuffled: false)
      })
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    switch call.method {
    case "states":
      let rules = try ErrorStream.Rules(call.options)
      return [.tensor(try StateVectors(call.arguments, rules).tensor())]
    case "windows":
      return try Windows.values(call.arguments, ErrorStream.Rules(call.options), width: width)
    default: return try predict(call)
    }
  }

  private func predict(_ call: Call) throws(StackLensError) -> [Value] {
    call.alert()
    let x = try call.arguments.reals("x", [nil, nil, width])
    let lengths = try call.arguments.lengths("lengths", of: x)
    return try call.run("", ["x": x, "lengths": lengths]).answers(
      "class_logits", "next_sequence", "time_to_next", "cascade_prob", "attention_weights",
      "hidden_states", "hn", "cn")
  }
}
