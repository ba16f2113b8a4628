import Base
import Graphs
import Operators
import Tensors

/// What a model's outputs are held against their targets by: builds one number, the mean or sum over a
/// batch, of operators that have gradients.
///
/// - SeeAlso: `Loss.names`; each method's file says its formula, source and options.
public struct Loss: Sendable {
  /// The name that it was made by.
  public let name: String
  /// How many of the model's outputs it looks at.
  public let outputCount: ClosedRange<Int>
  /// How many targets come with a batch.
  public let targetCount: ClosedRange<Int>
  private let method: any LossMethod

  private static let methods: [(name: String, type: any LossMethod.Type)] = [
    ("cross_entropy", CrossEntropy.self), ("nll", NegativeLogLikelihood.self),
    ("focal", Focal.self), ("bce_with_logits", BinaryCrossEntropy.self),
    ("binary_focal", BinaryFocal.self), ("mse", MeanSquaredError.self),
    ("mae", MeanAbsoluteError.self), ("huber", Huber.self), ("smooth_l1", SmoothL1.self),
    ("kl_div", KullbackLeibler.self), ("elbo", EvidenceBound.self), ("hinge", Hinge.self),
    ("hinge_embedding", HingeEmbedding.self), ("multi_margin", MultiMargin.self),
    ("cosine_embedding", CosineEmbedding.self), ("contrastive", Contrastive.self),
    ("triplet", Triplet.self), ("ctc", ConnectionistTemporal.self),
    ("crf", ConditionalRandomField.self), ("multiple_negatives_ranking", MultipleNegatives.self),
  ]

  /// The methods there are.
  public static var names: [String] { methods.map(\.name) }

  /// - Throws: `.invalidArgument` for a name or an option that is not known, or a value that is not
  ///   taken.
  package init(named name: String, options json: JSON = .null) throws(StackLensError) {
    guard let type = Self.methods.first(where: { $0.name == name })?.type else {
      throw .invalidArgument(
        "there is no loss '\(name)'; known are \(Self.names.joined(separator: ", "))")
    }
    var options = try OptionReader(json, of: "loss '\(name)'")
    method = try type.init(&options)
    try options.finish()
    self.name = name
    (outputCount, targetCount) = (type.outputCount, type.targetCount)
  }

  /// Adds the nodes of the loss to a graph.
  /// - Parameters:
  ///   - outputs: the model's.
  ///   - targets: what they should be: labels, values, masks, as the method has it.
  ///   - types: the types of values as far as they are known.
  /// - Returns: a float32 scalar.
  /// - Throws: `.invalidArgument` when the number of outputs or targets is not the method's;
  ///   `.shapeMismatch` and `.typeMismatch` where types that are known cannot fit.
  public func build(
    _ graph: GraphBuilder, outputs: [Edge], targets: [Edge],
    types: @escaping (String) -> ValueType? = { _ in nil }
  ) throws(StackLensError) -> Edge {
    try require(outputs.count, outputCount, "outputs")
    try require(targets.count, targetCount, "targets")
    return try graph.scope("loss") { () throws(StackLensError) in
      do throws(StackLensError) {
        return try method.build(
          LossScope(graph: graph, outputs: outputs, targets: targets, types: types))
      } catch { throw error.within("loss '\(name)'") }
    }
  }

  private func require(
    _ count: Int, _ range: ClosedRange<Int>, _ what: String
  ) throws(StackLensError) {
    guard range.contains(count) else {
      let text =
        range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
      throw .invalidArgument("loss '\(name)' takes \(text) \(what), found \(count)")
    }
  }
}

/// One way to measure how far outputs are from their targets.
protocol LossMethod: Sendable {
  static var outputCount: ClosedRange<Int> { get }
  static var targetCount: ClosedRange<Int> { get }

  init(_ options: inout OptionReader) throws(StackLensError)

  /// A float32 scalar.
  func build(_ scope: LossScope) throws(StackLensError) -> Edge
}

extension LossMethod {
  static var outputCount: ClosedRange<Int> { 1...1 }
  static var targetCount: ClosedRange<Int> { 1...1 }
}

/// What becomes of the losses of single elements.
enum Reduction: String, CaseIterable, Sendable {
  case mean, sum

  init(_ options: inout OptionReader) throws(StackLensError) {
    let name = try options.choice("reduction", Self.allCases.map(\.rawValue))
    self = Self(rawValue: name) ?? .mean
  }
}
