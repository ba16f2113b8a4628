import Base
import Graphs
import Layers
import Tensors
import Training

/// A variational autoencoder that learns what is usual: what it cannot reconstruct is an anomaly
/// (Kingma and Welling, 2014; An and Cho, 2015).
///
///     x → standardise → 256 → 128 → μ, log σ² → z → 128 → 256 → x̂
///
/// The score is the mean squared error of the standardised features with z = μ.
struct AnomalyVAE: Architecture {
  private let width: Int
  private let hidden: [Int]
  private let latent: Int

  static let definition = ArchitectureDefinition(
    "anomaly_vae", of: AnomalyVAE.self,
    "A variational autoencoder: learns the usual, scores how unusual something is.",
    options: [
      .integer("width", 1...1 << 20, default: 512, "Features of an input."),
      .integers(
        "hidden", 1...1 << 16, default: nil, "Widths of the encoder's layers, [256, 128]."),
      .integer("latent", 1...1 << 16, default: 64, "Width of the code."),
    ],
    fit: .fit(
      "Learns from rows that are believed normal.",
      inputs: [
        .init("x", "float32 [rows, width]."),
        .init(
          "validation_x", isOptional: true, "Normal rows to judge by and to find the threshold."),
      ], epochs: 50, learningRate: 1e-3, patience: 10,
      options: [
        .integer("warm_up", 0...1_000_000, default: 10, "Epochs in which β rises to 1."),
        .number(
          "quantile", 0...1, default: 0.95, "Of the validation rows' scores: the threshold."),
      ]),
    methods: [
      .init(
        "score", "How unusual each row is.", inputs: [.init("x", "float32 [rows, width].")],
        outputs: [.init("anomaly_score", "float32 [rows]: the mean squared standardised error.")]),
      .init(
        "predict", "Scores, and whether they are above the threshold.",
        inputs: [.init("x", "float32 [rows, width].")],
        outputs: [
          .init("anomaly_score", "float32 [rows]."), .init("is_anomaly", "bool [rows]."),
        ],
        options: [
          OptionSpec("threshold", .number(0...1e30), "In place of the one that fit found.")
        ]),
      .init(
        "reconstruct", "What the model makes of each row, in the units of the input.",
        inputs: [.init("x", "float32 [rows, width].")],
        outputs: [.init("recon_x", "float32 [rows, width].")]),
      .init(
        "encode", "The code of each row.", inputs: [.init("x", "float32 [rows, width].")],
        outputs: [
          .init("mu", "float32 [rows, latent]."), .init("logvar", "float32 [rows, latent]."),
        ]),
      .init(
        "decode", "Rows from codes, in the units of the input.",
        inputs: [.init("z", "float32 [rows, latent].")],
        outputs: [.init("recon_x", "float32 [rows, width].")]),
    ])

  init(_ options: OptionValues) throws(StackLensError) {
    width = try options.integer("width")
    hidden = try options.list("hidden") ?? [256, 128]
    latent = try options.integer("latent")
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let whole = Network("anomaly_vae", seed: seed)
    let scale = try Standardisation(whole, width: width)
    let x = scale.applied(whole.input("x", .float32, [.named("batch"), .fixed(width)]))
    let (mean, logarithm) = try encoder(whole, x)
    let reconstruction = try decoder(whole, mean)
    whole.output(scale.undone(reconstruction), "recon_x")
    whole.output(mean, "mu")
    whole.output(logarithm, "logvar")
    whole.output(try whole.meanSquare(reconstruction - x), "anomaly_score")
    let back = Network("anomaly_vae_decoder", seed: seed)
    let undo = try Standardisation(back, width: width)
    let z = back.input("z", .float32, [.named("batch"), .fixed(latent)])
    back.output(undo.undone(try decoder(back, z)), "recon_x")
    return [NamedNetwork(try whole.model()), NamedNetwork("decoder", try back.model())]
  }

  /// Rows that are standardised already: reconstruction from a sample of the code where the factor
  /// of the noise is 1, from its mean where it is 0.
  private func training(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("anomaly_vae_training", seed: seed)
    let x = network.input("x", .float32, [.named("batch"), .fixed(width)])
    let (mean, logarithm) = try encoder(network, x)
    let factor = network.input("noise", .float32, [])
    let noise = network.graph.add("RandomNormalLike", [mean]) * factor
    let half = try network.graph.scalar("half", 0.5)
    let z = mean + network.graph.add("Exp", [logarithm * half]) * noise
    network.output(try decoder(network, z), "recon_x")
    network.output(mean, "mu")
    network.output(logarithm, "logvar")
    return try network.model()
  }

  private func encoder(_ network: Network, _ x: Edge) throws(StackLensError) -> (Edge, Edge) {
    var h = x
    for (index, size) in hidden.enumerated() {
      h = try network.activation("relu", network.linear("encoder.\(index)", h, to: size))
    }
    let mean = try network.linear("mu", h, to: latent)
    let logarithm = try network.linear("logvar", h, to: latent)
    return (mean, try network.clip(logarithm, -30, 20))
  }

  private func decoder(_ network: Network, _ z: Edge) throws(StackLensError) -> Edge {
    var h = z
    for (index, size) in hidden.reversed().enumerated() {
      h = try network.activation("relu", network.linear("decoder.\(index)", h, to: size))
    }
    return try network.linear("decoder.\(hidden.count)", h, to: width)
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let given = try fitting.arguments.reals("x", [nil, width])
    guard given.shape[0] > 0 else { throw .invalidArgument("the data set is empty: 0 rows") }
    var (x, held) = (given, given)
    if fitting.arguments.has("validation_x") {
      held = try fitting.arguments.reals("validation_x", [nil, width])
      guard held.shape[0] > 0 else { throw .invalidArgument("'validation_x' has no rows") }
    } else {
      let (training, validation) = try fitting.divided(rows: given.shape[0])
      if !validation.isEmpty {
        (x, held) = (try given.rows(training), try given.rows(validation))
      }
    }
    let statistics = try Moments(of: x)
    try statistics.set(in: &fitting.knowledge)
    let warmUp = try fitting.options.integer("warm_up")
    try fitting.train(
      training(seed: fitting.seed),
      [
        "loss": .object(
          JSONObject([
            .init(key: "name", value: .string("elbo")),
            .init(key: "targets", value: .array([.string("x"), .string("beta")])),
          ])),
        "optimizer": .string("adam"),
      ],
      on: Rows(source: fitting.batches(["x": statistics.standardised(x)]), warmUp: warmUp),
      validation: Rows(
        source: fitting.batches(["x": statistics.standardised(held)], isShuffled: false),
        warmUp: nil))
    let scores = try score(held, fitting)
    fitting.knowledge.facts["threshold"] = .number(
      quantile(scores, try fitting.options.number("quantile")))
  }

  private func score(_ x: Tensor, _ fitting: Fitting) throws(StackLensError) -> [Double] {
    let outputs = try fitting.run("", ["x": x])
    return try outputs.tensor("anomaly_score").elements(as: Float.self).map(Double.init)
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    if call.method == "decode" {
      let z = try call.arguments.reals("z", [nil, latent])
      return try call.run("decoder", ["z": z]).answers("recon_x")
    }
    let outputs = try call.run("", ["x": try call.arguments.reals("x", [nil, width])])
    switch call.method {
    case "score": return try outputs.answers("anomaly_score")
    case "reconstruct": return try outputs.answers("recon_x")
    case "encode": return try outputs.answers("mu", "logvar")
    default:
      let threshold =
        call.options.has("threshold")
        ? try call.options.number("threshold") : try call.fact("threshold")
      let scores = try outputs.tensor("anomaly_score")
      let flags = try scores.elements(as: Float.self).map { Double($0) > threshold }
      return [.tensor(scores), .tensor(try Tensor(flags, shape: scores.shape))]
    }
  }

  /// Batches with the weight of the divergence, which rises from 0 to 1 over the first epochs, and
  /// the factor of the noise. What is judged by has the whole weight and no noise, so that the best
  /// epoch is best by more than chance.
  private struct Rows: BatchSource {
    let source: ArraySource
    /// nil: to judge by.
    let warmUp: Int?
    var batchCount: Int? { source.batchCount }

    func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
      guard var batch = try source.batch(index, ofEpoch: epoch) else { return nil }
      let epochs = warmUp ?? 0
      batch["beta"] = try Tensor(
        scalar: epochs > 0 ? min(1, Float(epoch) / Float(epochs)) : Float(1))
      batch["noise"] = try Tensor(scalar: warmUp == nil ? Float(0) : 1)
      return batch
    }
  }
}
