import Base

/// One step of training.
public struct StepReport: Sendable {
  /// Updates of the parameters so far, this one included.
  public let step: Int
  public let epoch: Int
  /// The place of the batch in its epoch.
  public let batch: Int
  /// Batches of an epoch, where that is known.
  public let batchCount: Int?
  public let loss: Double
  /// Norm of all gradients together, before clipping.
  public let gradientNorm: Double
  public let learningRate: Double

  package init(
    step: Int, epoch: Int, batch: Int, batchCount: Int?, loss: Double, gradientNorm: Double,
    learningRate: Double
  ) {
    (self.step, self.epoch, self.batch, self.batchCount) = (step, epoch, batch, batchCount)
    (self.loss, self.gradientNorm, self.learningRate) = (loss, gradientNorm, learningRate)
  }
}

/// One pass over the data.
public struct EpochReport: Sendable {
  public let epoch: Int
  /// Mean over the examples.
  public let loss: Double
  /// Figures of the validation data, the first of which is "val_loss".
  public let validation: [(name: String, value: Double)]
  public let learningRate: Double
  /// Mean of the steps.
  public let gradientNorm: Double
  public let seconds: Double
  /// Whether the monitored figure is the best so far.
  public let isBest: Bool

  package init(
    epoch: Int, loss: Double, validation: [(name: String, value: Double)] = [],
    learningRate: Double, gradientNorm: Double, seconds: Double, isBest: Bool
  ) {
    (self.epoch, self.loss, self.validation) = (epoch, loss, validation)
    (self.learningRate, self.gradientNorm) = (learningRate, gradientNorm)
    (self.seconds, self.isBest) = (seconds, isBest)
  }
}

/// What happens while a model is trained, as it happens.
public enum TrainingEvent: Sendable {
  case step(StepReport)
  case epoch(EpochReport)
  /// Something that deserves a look, in plain words.
  case warning(String)
  /// A checkpoint was written.
  case checkpoint(path: String)
}

/// How and how long a model is fitted.
public struct FitOptions: Sendable {
  /// Passes over the data in all, those before a checkpoint included.
  public var epochs = 1
  public var validation: (any BatchSource)?
  /// The figure that says which epoch is best: "val_loss", a metric, or "loss"; nil: "val_loss" with
  /// validation data, else "loss".
  public var monitor: String?
  /// A figure of one's own at the end of each epoch, which says which is best unless `monitor` does.
  public var judge: Judge?
  /// Epochs without a better figure after which training ends; nil: it does not end early.
  public var patience: Int?
  /// What counts as better must differ by more than this.
  public var minimumDelta = 0.0
  /// Whether the weights of the best epoch are taken at the end; needs validation data.
  public var restoresBest = true
  /// Where checkpoints go.
  public var checkpointPath: String?
  /// Updates between checkpoints beside those at the end of each epoch; 0: none.
  public var checkpointInterval = 0
  /// Updates between looks at single gradients, for warnings; 0: none.
  public var gradientReportInterval = 200

  public init() {}
}

/// A figure of merit, of which more is better.
public struct Judge: Sendable {
  let name: String
  let figure: @Sendable (Trainer) throws(StackLensError) -> Double

  public init(
    _ name: String, _ figure: @escaping @Sendable (Trainer) throws(StackLensError) -> Double
  ) {
    (self.name, self.figure) = (name, figure)
  }
}

/// What a fit came to.
public struct History: Sendable {
  public enum End: String, Sendable {
    case finished, early, stopped
  }
  public package(set) var epochs: [EpochReport] = []
  public package(set) var end = End.finished

  package init() {}
}
