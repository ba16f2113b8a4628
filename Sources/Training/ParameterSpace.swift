import Base
import Tensors

/// Where one parameter lies in a flat buffer.
public struct ParameterSpan: Sendable, Equatable {
  public let name: String
  public let shape: Shape
  /// In elements.
  public let offset: Int
  public let count: Int

  /// The elements of the parameter.
  public var range: Range<Int> { offset..<offset + count }
}

/// Which parameters there are, one behind the other, each from a multiple of 16 elements on. Values,
/// gradients and what an optimiser keeps all lie in buffers of this layout, so that whatever is done
/// to every parameter is one walk over flat memory.
public struct ParameterSpace: Sendable, Equatable {
  public let spans: [ParameterSpan]
  /// Elements of a buffer, the gaps included.
  public let count: Int
  private static let alignment = 16

  /// - Throws: `.limitExceeded` when the sizes overflow.
  public init(_ parameters: [(name: String, shape: Shape)]) throws(StackLensError) {
    var spans: [ParameterSpan] = []
    var offset = 0
    for (name, shape) in parameters {
      spans.append(ParameterSpan(name: name, shape: shape, offset: offset, count: shape.count))
      let (end, overflow) = offset.addingReportingOverflow(shape.count + Self.alignment - 1)
      guard !overflow else { throw .limitExceeded("the parameters have too many elements") }
      offset = end / Self.alignment * Self.alignment
    }
    self.spans = spans
    count = offset
  }
}

/// float32 numbers in the layout of a `ParameterSpace`; what lies in the gaps is 0.
public final class FlatBuffer: @unchecked Sendable {  // written by its owner between runs only
  public let count: Int
  private let tensor: Tensor

  /// - Throws: `.outOfMemory`.
  public init(count: Int) throws(StackLensError) {
    tensor = try Tensor(zeros: .float32, Shape([count]))
    self.count = count
  }

  public convenience init(_ space: ParameterSpace) throws(StackLensError) {
    try self.init(count: space.count)
  }

  /// The elements, to read and to write.
  public var values: UnsafeMutablePointer<Float> {
    tensor.base.assumingMemoryBound(to: Float.self)
  }

  /// A tensor that is a parameter's part of the buffer.
  public func tensor(_ span: ParameterSpan) -> Tensor {
    Tensor(
      elementType: .float32, shape: span.shape, storage: tensor.storage,
      base: tensor.base + span.offset * MemoryLayout<Float>.stride)
  }

  /// The whole buffer as one tensor.
  public var all: Tensor { tensor }
}
