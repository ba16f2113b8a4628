import Base
import Tensors

/// The tensors of one batch by name: inputs of the model, and targets of the loss.
public typealias Batch = [String: Tensor]

/// Where batches come from. The same place gives the same batch whenever it is asked for, so that
/// training can go on where it was interrupted.
public protocol BatchSource: Sendable {
  /// Batches of an epoch, where that is known before.
  var batchCount: Int? { get }

  /// The batch at a place of an epoch; nil behind the last one. May be called from another thread
  /// than the one that trains, never by two at once.
  func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch?

  /// What a batch counts in the means of an epoch: the extent of axis 0 of its first array that has
  /// one, unless the source knows better.
  func exampleCount(of batch: Batch) -> Int
}

extension BatchSource {
  public func exampleCount(of batch: Batch) -> Int {
    batch.sorted { $0.key < $1.key }.compactMap { $0.value.shape.dims.first }.first ?? 1
  }
}

/// Batches that a caller's function makes.
public struct CallbackSource: BatchSource {
  public typealias Body = @Sendable (_ index: Int, _ epoch: Int) throws(StackLensError) -> Batch?
  public let batchCount: Int?
  private let body: Body

  public init(batchCount: Int? = nil, _ body: @escaping Body) {
    self.batchCount = batchCount
    self.body = body
  }

  public func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
    try body(index, epoch)
  }
}
