import Base
import Tensors

/// Inputs and outputs of a run seen as one element type.
struct WideRun<T> {
  /// Nil where the node leaves an optional input out.
  let inputs: [UnsafePointer<T>?]
  let outputs: [UnsafeMutablePointer<T>]
  let run: Invocation
  /// The room asked for, aligned to 64 bytes.
  let scratch: UnsafeMutableRawPointer

  func input(_ index: Int) throws(StackLensError) -> UnsafePointer<T> {
    guard index < inputs.count, let pointer = inputs[index] else {
      throw .invalidArgument("input \(index) is missing")
    }
    return pointer
  }
}

/// Makes a kernel that computes in `T`: the first `inputCount` inputs are converted to it and the
/// first `outputCount` outputs from it, in work space, except where they are `T` already. The body
/// gets `scratchByteCount` bytes of its own.
func wideKernel<T: TensorElement>(
  _: T.Type, _ preparation: Preparation, inputs inputCount: Int = .max,
  outputs outputCount: Int = .max, scratch scratchByteCount: Int = 0,
  _ body: @escaping @Sendable (WideRun<T>) throws(StackLensError) -> Void
) throws(StackLensError) -> PreparedKernel {
  let type = T.elementType
  var plan = ScratchPlan()
  var inputRooms: [Int] = []
  for input in preparation.inputs.prefix(inputCount) {
    let needsRoom = input.map { $0.elementType != type } ?? false
    inputRooms.append(try plan.reserve(needsRoom ? input?.shape.count ?? 0 : 0, of: T.self))
  }
  var outputRooms: [Int] = []
  for output in preparation.outputs.prefix(outputCount) {
    outputRooms.append(
      try plan.reserve(output.elementType == type ? 0 : output.shape.count, of: T.self))
  }
  let (rooms, targets) = (inputRooms, outputRooms)
  let ownRoom = try plan.reserve(scratchByteCount, of: UInt8.self)
  return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
    var inputs: [UnsafePointer<T>?] = []
    for (input, room) in zip(run.inputs, rooms) {
      guard let input else {
        inputs.append(nil)
        continue
      }
      if input.elementType == type {
        inputs.append(UnsafePointer(input.base.assumingMemoryBound(to: T.self)))
        continue
      }
      let wide = run.scratch + room
      run.parallel.ranges(input.count, grain: cheapGrain) { range in
        convertElements(
          input.base + range.lowerBound * input.elementType.byteSize, input.elementType,
          wide + range.lowerBound * MemoryLayout<T>.stride, type, range.count)
      }
      inputs.append(UnsafePointer(wide.assumingMemoryBound(to: T.self)))
    }
    var outputs: [UnsafeMutablePointer<T>] = []
    for (output, room) in zip(run.outputs, targets) {
      let base = output.elementType == type ? output.base : run.scratch + room
      outputs.append(base.assumingMemoryBound(to: T.self))
    }
    try body(
      WideRun(inputs: inputs, outputs: outputs, run: run, scratch: run.scratch + ownRoom))
    for (output, wide) in zip(run.outputs, outputs) where output.elementType != type {
      convertElements(wide, type, output.base, output.elementType, output.count)
    }
  }
}

/// A shape seen along one axis: `outer` blocks of `length` rows of `inner` elements.
struct AxisLayout: Sendable {
  let outer: Int
  let length: Int
  let inner: Int

  init(_ shape: Shape, axis: Int) {
    outer = shape.count(0..<axis)
    length = shape[axis]
    inner = shape.count(axis + 1..<shape.rank)
  }

  init(outer: Int, length: Int, inner: Int) {
    (self.outer, self.length, self.inner) = (outer, length, inner)
  }

  /// How many lines to give one thread at least.
  var grain: Int { max(1, costlyGrain / max(1, length)) }

  /// Calls `body` with the place of the first element of every line along the axis; lines without
  /// elements, of which an empty tensor may have any number, are left out.
  func forEachLine(_ parallel: Parallel, _ body: (_ start: Int) -> Void) {
    guard length > 0 else { return }
    parallel.ranges(outer * inner, grain: grain) { range in
      for line in range {
        let (block, column) = line.quotientAndRemainder(dividingBy: inner)
        body(block * length * inner + column)
      }
    }
  }
}
