import Base
import CKernels
import Tensors

/// The int32 convolution of bytes less their zero points.
struct IntegerConvolution: Sendable {
  let geometry: ConvolutionGeometry
  private let xRoom: Int
  private let wRoom: Int

  init(_ geometry: ConvolutionGeometry, x: Shape, w: Shape, plan: inout ScratchPlan)
    throws(StackLensError)
  {
    self.geometry = geometry
    xRoom = try plan.reserve(x.count, of: Int32.self)
    wRoom = try plan.reserve(w.count, of: Int32.self)
  }

  /// `wZero` holds one value, or one for each output channel.
  func compute(
    x: Tensor, w: Tensor, xZero: Int32, wZero: [Int32], into y: UnsafeMutablePointer<Int32>,
    scratch: UnsafeMutableRawPointer, parallel: Parallel
  ) {
    let input = (scratch + xRoom).bindMemory(to: Int32.self, capacity: x.count)
    let weights = (scratch + wRoom).bindMemory(to: Int32.self, capacity: w.count)
    widenIntegers(x.base, x.elementType, x.count, to: input)
    widenIntegers(w.base, w.elementType, w.count, to: weights)
    if xZero != 0 { for i in 0..<x.count { input[i] &-= xZero } }
    let terms = max(1, geometry.termCount)
    for i in 0..<w.count { weights[i] &-= wZero[wZero.count == 1 ? 0 : i / terms] }
    geometry.computeReference(UnsafePointer(input), UnsafePointer(weights), y, parallel)
  }
}
