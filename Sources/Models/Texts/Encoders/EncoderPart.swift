import Base
import Graphs
import Insight
import Layers
import Tensors
import Text

/// The BERT encoder of a model that reads texts: its sizes, and the files that its numbers come from.
/// A model keeps both and the tokenizer; the files are not needed again.
struct EncoderPart: Sendable {
  /// What names of its parameters start with.
  static let name = "bert"
  let settings: BertSettings
  /// Where its numbers come from; nil: the seed, or the model's file.
  private let files: EncoderFiles?

  private static let sizes: [(name: String, most: Int, text: String)] = [
    ("vocabulary", 1 << 24, "Pieces that the tokenizer knows"),
    ("positions", 1 << 20, "Pieces of a text at most"),
    ("types", 1 << 10, "Kinds of segments"), ("width", 1 << 16, "Of states"),
    ("layers", 1 << 10, "Of the encoder"), ("heads", 1 << 10, "Of each layer"),
    ("feed_forward", 1 << 20, "Width inside of layers"),
  ]

  static let options: [OptionSpec] =
    [
      .text(
        "encoder",
        "Folder of a BERT encoder (config.json, a tokenizer, model.safetensors or model.onnx), or the "
          + "ONNX file in it; sizes, numbers and tokenizer are taken.")
    ]
    + sizes.map { (name, most, text) in
      .integer(
        name, 1...most, default: nil, text + "; that of the encoder, or of BERT-base otherwise.")
    }
    + [.number("epsilon", 0...1, default: 1e-12, "Added to variances; that of the encoder.")]

  /// - Throws: what is wrong with the folder; `.invalidArgument` for a size that is another than its.
  init(_ options: OptionValues) throws(StackLensError) {
    let files: EncoderFiles? =
      options.has("encoder") ? try EncoderFiles(path: options.text("encoder")) : nil
    var found: [String: Int] = [:]
    var sizes = BertSettings()
    sizes.epsilon = try options.number("epsilon")
    if let files {
      let file = try EncoderConfiguration(folder: files.folder)
      sizes.epsilon = Double(file.epsilon)
      found = [
        "vocabulary": file.vocabularySize, "positions": file.positionCount,
        "types": file.typeCount, "width": file.width, "layers": file.layerCount,
        "heads": file.headCount, "feed_forward": file.feedForwardWidth,
      ]
    }
    func size(_ name: String, _ usual: Int) throws(StackLensError) -> Int {
      guard let given = try options.integerIfAny(name) else { return found[name] ?? usual }
      if let own = found[name], own != given {
        throw .invalidArgument(
          "'\(name)' is \(given), the encoder in '\(files?.folder ?? "")' has \(own)")
      }
      return given
    }
    sizes.vocabulary = try size("vocabulary", sizes.vocabulary)
    sizes.positions = try size("positions", sizes.positions)
    sizes.types = try size("types", sizes.types)
    sizes.width = try size("width", sizes.width)
    sizes.layers = try size("layers", sizes.layers)
    sizes.heads = try size("heads", sizes.heads)
    sizes.feedForward = try size("feed_forward", sizes.feedForward)
    guard sizes.width % sizes.heads == 0 else {
      throw .invalidArgument(
        "'width' is \(sizes.width), which \(sizes.heads) heads cannot share")
    }
    (self.files, settings) = (files, sizes)
  }

  /// The encoder as it comes from its folder; nil without one.
  func beginning() throws(StackLensError) -> Beginning? {
    guard let files else { return nil }
    var beginning = Beginning()
    beginning.tensors = try BertWeights.tensors(files, configuration)
    beginning.facts["tokenizer"] = try TokenizerFacts.read(folder: files.folder)
    beginning.options = [
      "encoder": .null, "epsilon": .number(settings.epsilon),
      "vocabulary": .integer(Int64(settings.vocabulary)),
      "positions": .integer(Int64(settings.positions)),
      "types": .integer(Int64(settings.types)), "width": .integer(Int64(settings.width)),
      "layers": .integer(Int64(settings.layers)), "heads": .integer(Int64(settings.heads)),
      "feed_forward": .integer(Int64(settings.feedForward)),
    ]
    return beginning
  }

  /// The states of the last layer of texts given as int64 [batch, steps].
  /// - Parameter averaging: whether it is the mean of the embeddings' and all layers' states.
  func states(
    _ network: Network, _ ids: Edge, mask: Edge, types: Edge, averaging: Bool = false
  ) throws(StackLensError) -> Edge {
    // Numbers that a folder has need not be drawn first.
    try network.bertEncoder(
      Self.name, ids, mask: mask, types: types, settings, averaging: averaging,
      start: files == nil ? nil : .zeros)
  }

  /// The encoder's numbers in the form that runs without padding.
  func weights(_ knowledge: Knowledge) throws(StackLensError) -> BertWeights {
    try BertWeights(
      knowledge.tensors.filter { $0.key.hasPrefix(BertWeights.prefix) }, configuration)
  }

  var configuration: EncoderConfiguration {
    EncoderConfiguration(
      vocabularySize: settings.vocabulary, width: settings.width, layerCount: settings.layers,
      headCount: settings.heads, feedForwardWidth: settings.feedForward,
      positionCount: settings.positions, typeCount: settings.types,
      epsilon: Float(settings.epsilon))
  }
}
