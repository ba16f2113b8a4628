import Base
import CKernels
import Graphs
import Tensors

extension UnaryFunction {
  /// The C kernel, for float32 and through it for the half types.
  func vectorKernel(_ type: ElementType) -> PreparedKernel? {
    guard let code, type == .float32 || type.isHalf else { return nil }
    let (p, q) = (Float(p), Float(q))
    let grain = isCheap ? cheapGrain : costlyGrain
    return PreparedKernel { (run) throws(StackLensError) in
      let input = try run.input(0)
      let (x, y) = (input.base, run.outputs[0].base)
      run.parallel.ranges(input.count, grain: grain) { range in
        let offset = range.lowerBound * type.byteSize
        applyReal(type, x + offset, y + offset, range.count) { (x, y, count) in
          slk_unary_f32(code, x, y, count, p, q)
        }
      }
    }
  }

  /// Element by element: floating point in double precision, integers as they are.
  func referenceKernel(_ type: ElementType) -> PreparedKernel? {
    switch type {
    case .float32: return referenceKernel(Float.self)
    case .float64: return referenceKernel(Double.self)
    case .float16: return referenceKernel(Float16.self)
    case .bfloat16: return referenceKernel(BFloat16.self)
    case .int8: return integerKernel(Int8.self)
    case .int16: return integerKernel(Int16.self)
    case .int32: return integerKernel(Int32.self)
    case .int64: return integerKernel(Int64.self)
    case .uint8: return integerKernel(UInt8.self)
    case .uint16: return integerKernel(UInt16.self)
    case .uint32: return integerKernel(UInt32.self)
    case .uint64: return integerKernel(UInt64.self)
    default: return nil
    }
  }

  private func referenceKernel<T: RealElement>(_ type: T.Type) -> PreparedKernel {
    mapKernel(T.self, T.self, grain: costlyGrain) { T(rounding: self($0.double)) }
  }

  private func integerKernel<T: FixedWidthInteger & TensorElement>(_ type: T.Type) -> PreparedKernel
  {
    mapKernel(T.self, T.self, grain: costlyGrain) { self($0) }
  }
}

/// Writes `function` of every element of input 0.
@inline(__always)
func mapKernel<T, R>(
  _: T.Type, _: R.Type, grain: Int, _ function: @escaping @Sendable (T) -> R
) -> PreparedKernel {
  PreparedKernel { (run) throws(StackLensError) in
    let input = try run.input(0)
    let x = input.base.assumingMemoryBound(to: T.self)
    let y = run.outputs[0].base.assumingMemoryBound(to: R.self)
    run.parallel.ranges(input.count, grain: grain) { range in
      for i in range { y[i] = function(x[i]) }
    }
  }
}

/// Runs a float32 row function on float32 in place of the data, or on the half types by chunks.
@inline(__always)
func applyReal(
  _ type: ElementType, _ x: UnsafeRawPointer, _ y: UnsafeMutableRawPointer, _ count: Int,
  _ body: (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
) {
  if type == .float32 {
    return body(
      x.assumingMemoryBound(to: Float.self), y.assumingMemoryBound(to: Float.self), count)
  }
  withUnsafeTemporaryAllocation(of: Float.self, capacity: chunkLength) { buffer in
    guard let chunk = buffer.baseAddress else { return }
    forEachChunk(count) { (start, length) in
      let offset = start * type.byteSize
      type.widen(x + offset, chunk, length)
      body(UnsafePointer(chunk), chunk, length)
      type.narrow(chunk, y + offset, length)
    }
  }
}
