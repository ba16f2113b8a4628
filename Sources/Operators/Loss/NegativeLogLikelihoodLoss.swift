import Base
import Graphs
import Tensors

/// What becomes of the losses of single elements.
enum LossReduction: String, Sendable {
  case none, sum, mean

  init(_ view: some NodeView) throws(StackLensError) {
    let name = try view.string("reduction")
    guard let value = LossReduction(rawValue: name) else {
      throw .invalidArgument("attribute 'reduction' is '\(name)', expected none, sum or mean")
    }
    self = value
  }
}

let lossAttributes: [AttributeSpec] = [
  .optional("ignore_index", .int), .string("reduction", default: "mean"),
]

extension OperatorDefinition {
  /// -weight[t] x[n, t, …] for the class t of each target, reduced: `mean` divides by the sum of
  /// the weights. Targets equal to `ignore_index` count for nothing.
  /// ONNX NegativeLogLikelihoodLoss-22.
  static let negativeLogLikelihoodLoss = OperatorDefinition(
    "NegativeLogLikelihoodLoss", versions: [12, 13, 22], inputs: 2...3, attributes: lossAttributes,
    infer: { (context) throws(StackLensError) in [try lossType(context)] },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let loss = try LikelihoodLoss(preparation)
        switch try preparation.input(0).elementType {
        case .float32: return loss.kernel(Float.self)
        case .float64: return loss.kernel(Double.self)
        case .float16: return loss.kernel(Float16.self)
        default: return loss.kernel(BFloat16.self)
        }
      }
    ]),
    gradient: .negativeLogLikelihood,
    samples: lossSamples)

  /// The type of the loss for inputs as both loss operators have them: scores `[N, C, …]`, classes
  /// `[N, …]` and perhaps weights `[C]`.
  static func lossType(_ context: Inference) throws(StackLensError) -> TensorType {
    let scores = try context.input(0, oneOf: ElementType.reals)
    let targets = try context.input(1, oneOf: [.int32, .int64]).shape
    guard scores.rank >= 2 else {
      throw .shapeMismatch("input 0 has shape \(scores.shape), expected [N, C, …]")
    }
    var dims = scores.shape.dims
    let classes = dims.remove(at: 1)
    guard targets.dims == dims else {
      throw .shapeMismatch("input 1 has shape \(targets), expected \(dims)")
    }
    if context.hasInput(2) {
      _ = try context.sameElementType(0, 2)
      let weights = try context.input(2).shape
      guard weights.dims == [classes] else {
        throw .shapeMismatch("input 2 has shape \(weights), expected [\(classes)]")
      }
    }
    let isReduced = try LossReduction(context) != .none
    return TensorType(scores.elementType, isReduced ? .scalar : targets)
  }

  static let lossSamples: [Sample] = [
    Sample([.floats(3, 5), .random(.int64, [3], low: 0, high: 5)]),
    Sample(
      [.floats(2, 4, 3), .random(.int32, [2, 3], low: 0, high: 4), .floats(4)],
      ["reduction": .string("sum"), "ignore_index": .int(1)]),
    Sample(
      [
        .random(.float16, [2, 4, 3, 2], low: -1, high: 1),
        .random(.int64, [2, 3, 2], low: 0, high: 4),
      ], ["reduction": .string("none"), "ignore_index": .int(-100)]),
    Sample(
      [.floats(0, 4), .random(.int64, [0], low: 0, high: 4)], ["reduction": .string("none")]),
  ]
}

private struct LikelihoodLoss: Sendable {
  private let reduction: LossReduction
  private let ignored: Int?
  private let classes: Int
  private let inner: Int

  init(_ preparation: Preparation) throws(StackLensError) {
    reduction = try LossReduction(preparation)
    ignored = preparation.has("ignore_index") ? try preparation.int("ignore_index") : nil
    let shape = try preparation.input(0).shape
    classes = shape[1]
    inner = shape.count(2..<shape.rank)
  }

  func kernel<T: RealElement>(_: T.Type) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let targets = try run.input(1).integers()
      let weights = (run.inputs.count > 2 ? run.inputs[2] : nil)?.base
        .assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      var (sum, weightSum) = (0.0, 0.0)
      for (place, target) in targets.enumerated() {
        var loss = 0.0
        if target != ignored {
          guard target >= 0, target < classes else {
            throw .invalidArgument("class \(target) is outside [0, \(classes))")
          }
          let (image, position) = place.quotientAndRemainder(dividingBy: inner)
          let weight = weights?[target].double ?? 1
          loss = -weight * x[(image * classes + target) * inner + position].double
          weightSum += weight
        }
        if reduction == .none { y[place] = T(rounding: loss) }
        sum += loss
      }
      switch reduction {
      case .none: break
      case .sum: y[0] = T(rounding: sum)
      case .mean: y[0] = T(rounding: sum / weightSum)
      }
    }
  }
}
