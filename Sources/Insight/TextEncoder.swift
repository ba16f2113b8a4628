import Base
import Graphs

/// The ids of many texts and the memory for their vectors.
struct EncoderJob {
  let ids: UnsafeBufferPointer<Int32>
  /// Text i has the ids `starts[i]..<starts[i + 1]`.
  let starts: [Int]
  /// One row for each text.
  let vectors: UnsafeMutablePointer<Float>

  var textCount: Int { starts.count - 1 }
  func tokenCount(_ text: Int) -> Int { starts[text + 1] - starts[text] }
  func tokens(_ text: Int) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(rebasing: ids[starts[text]..<starts[text + 1]])
  }
}

/// A network from token ids to one vector a text.
protocol TextEncoder: Sendable {
  var dimension: Int { get }
  /// Most tokens the network takes.
  var positionCount: Int { get }
  /// Tokens that its pipeline keeps of a text.
  var maxLength: Int { get }
  /// Cuts a job into batches of texts that run side by side. One batch uses all threads itself.
  func batches(_ job: EncoderJob, threadCount: Int) -> [[Int]]
  /// Computes the pooled vectors of a batch.
  func run(_ batch: [Int], _ job: EncoderJob, onCallingThread: Bool) throws(StackLensError)
  /// The network as a model for a file.
  func model() throws(StackLensError) -> Model
  /// The weight that makes results infinite, if it is one.
  func whyNotFinite() -> StackLensError?
  func trim()
}
