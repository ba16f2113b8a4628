import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Chooses between moving elements and weighing them.
  @Sendable static func prepareResize(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    func constant(_ index: Int) -> Tensor? { preparation.constant(index) }
    let input = try preparation.input(0)
    let output = preparation.outputs[0]
    let isKnown = (1...3).allSatisfy { !preparation.hasInput($0) || constant($0) != nil }
    let known =
      isKnown
      ? try ResizePlan(
        preparation, input, roi: constant(1), scales: constant(2), sizes: constant(3))
      : nil
    let scratch = try ResizePlan.scratch(input, output)
    let options = NodeOptions(node: preparation.node, definition: preparation.definition)
    return PreparedKernel(scratchByteCount: scratch) { (run) throws(StackLensError) in
      func tensor(_ index: Int) -> Tensor? { index < run.inputs.count ? run.inputs[index] : nil }
      let plan: ResizePlan
      if let known {
        plan = known
      } else {
        plan = try ResizePlan(
          options, input, roi: tensor(1), scales: tensor(2), sizes: tensor(3))
      }
      try plan.run(run.input(0), run.outputs[0], run.scratch, run.parallel)
    }
  }
}

/// The taps of all axes, in the order in which the axes are resampled.
struct ResizePlan: Sendable {
  private let input: Shape
  private let taps: [ResizeTaps?]
  private let order: [Int]
  private let isNearest: Bool
  private let extrapolation: Float

  init(
    _ view: some NodeView, _ input: TensorType, roi: Tensor?, scales: Tensor?, sizes: Tensor?
  ) throws(StackLensError) {
    let geometry = try ResizeGeometry(
      view, input: input.shape, roi: roi, scales: scales, sizes: sizes)
    self.input = input.shape
    isNearest = geometry.mode == .nearest
    extrapolation = try view.float("extrapolation_value")
    let isEmpty = geometry.axes.contains { $0.output == 0 }
    var taps: [ResizeTaps?] = []
    for axis in geometry.axes {
      let skips = isEmpty || geometry.isIdentity(axis)
      taps.append(skips ? nil : try ResizeTaps(geometry, axis))
    }
    self.taps = taps
    // Axes that shrink go first, so that the others have less to do.
    let ratios = geometry.axes.map { Double($0.output) / Double(max(1, $0.input)) }
    order = taps.indices.filter { taps[$0] != nil }.sorted {
      (ratios[$0], -$0) < (ratios[$1], -$1)
    }
  }

  /// Work space for weighing: two intermediate tensors in the compute type, and both ends of it.
  static func scratch(_ input: TensorType, _ output: TensorType) throws(StackLensError) -> Int {
    var plan = ScratchPlan()
    let width = input.elementType.isFloat && input.elementType != .float64 ? 4 : 8
    let largest = try Shape(zip(input.shape.dims, output.shape.dims).map { max($0, $1) }).count
    for _ in 0..<2 { _ = try plan.reserve(try Shape([largest, width]).count, of: UInt8.self) }
    return plan.byteCount
  }

  func run(
    _ source: Tensor, _ target: Tensor, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) throws(StackLensError) {
    guard target.count > 0 else { return }
    if isNearest {
      switch source.elementType {
      case .string: move(source, target, String.self, parallel)
      case let type where type.byteSize == 1: move(source, target, UInt8.self, parallel)
      case let type where type.byteSize == 2: move(source, target, UInt16.self, parallel)
      case let type where type.byteSize == 4: move(source, target, UInt32.self, parallel)
      default: move(source, target, UInt64.self, parallel)
      }
      try fillOutside(target, parallel)
    } else if !source.elementType.isFloat || source.elementType == .float64 {
      weigh(source, target, scratch, Double.self, parallel)
      try fillOutside(target, parallel)
    } else {
      weigh(source, target, scratch, Float.self, parallel)
      try fillOutside(target, parallel)
    }
  }

  /// Copies the nearest elements: the last axis in a loop of its own, the others by an odometer.
  private func move<T>(_ source: Tensor, _ target: Tensor, _: T.Type, _ parallel: Parallel) {
    let rank = input.rank
    let x = source.base.assumingMemoryBound(to: T.self)
    let y = target.base.assumingMemoryBound(to: T.self)
    guard rank > 0 else {
      y[0] = x[0]
      return
    }
    let strides = input.strides
    let width = target.shape[rank - 1]
    let rows = target.count / width
    parallel.ranges(rows, grain: max(1, (1 << 15) / width)) { range in
      for row in range {
        var rest = row
        var offset = 0
        for axis in stride(from: rank - 2, through: 0, by: -1) {
          let (quotient, place) = rest.quotientAndRemainder(dividingBy: target.shape[axis])
          rest = quotient
          offset += (taps[axis].map { Int($0.indices[place]) } ?? place) * strides[axis]
        }
        let line = x + offset
        let out = y + row * width
        if let last = taps[rank - 1] {
          last.indices.withUnsafeBufferPointer { indices in
            for i in 0..<width { out[i] = line[Int(indices[i])] }
          }
        } else {
          out.update(from: line, count: width)
        }
      }
    }
  }

  /// Resamples one axis after the other through two buffers.
  private func weigh<T: ResizeElement>(
    _ source: Tensor, _ target: Tensor, _ scratch: UnsafeMutableRawPointer, _: T.Type,
    _ parallel: Parallel
  ) {
    let half = ScratchPlan.aligned(
      zip(input.dims, target.shape.dims).map { max($0, $1) }.reduce(1, *)
        * MemoryLayout<T>.stride)
    let buffers = [
      scratch.bindMemory(to: T.self, capacity: half / MemoryLayout<T>.stride),
      (scratch + half).bindMemory(to: T.self, capacity: half / MemoryLayout<T>.stride),
    ]
    var current: UnsafePointer<T>
    var next = 0
    if source.elementType == T.elementType {
      current = UnsafePointer(source.base.assumingMemoryBound(to: T.self))
    } else {
      T.widenAny(source, to: buffers[0])
      current = UnsafePointer(buffers[0])
      next = 1
    }
    var dims = input.dims
    for (index, axis) in order.enumerated() {
      guard let taps = taps[axis] else { continue }
      let outer = dims[..<axis].reduce(1, *)
      let inner = dims[(axis + 1)...].reduce(1, *)
      let isLast = index == order.count - 1 && target.elementType == T.elementType
      let destination = isLast ? target.base.assumingMemoryBound(to: T.self) : buffers[next]
      taps.apply(current, destination, outer: outer, inner: inner, parallel)
      dims[axis] = taps.output
      current = UnsafePointer(destination)
      next = 1 - next
    }
    let result = UnsafeMutablePointer(mutating: current)
    if target.elementType != T.elementType {
      T.narrowAny(result, to: target)
    } else if order.isEmpty {
      target.base.assumingMemoryBound(to: T.self).update(from: current, count: target.count)
    }
  }

  /// Crop and resize: elements that lie outside the input on any axis.
  private func fillOutside(_ target: Tensor, _ parallel: Parallel) throws(StackLensError) {
    guard taps.contains(where: { $0?.outside != nil }) else { return }
    guard target.elementType.isNumeric else {
      throw .typeMismatch("extrapolation has no value of type \(target.elementType.name)")
    }
    let strides = target.shape.strides
    let value = Double(extrapolation)
    for index in 0..<target.count {
      let isOutside = taps.indices.contains { axis in
        taps[axis]?.outside?[index / strides[axis] % target.shape[axis]] ?? false
      }
      if isOutside { target.set(index, toNumber: value) }
    }
  }
}

extension ResizeTaps {
  /// y[o, :, i] = Σ weight x[o, index, i].
  fileprivate func apply<T: ResizeElement>(
    _ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>, outer: Int, inner: Int,
    _ parallel: Parallel
  ) {
    let tapCount = count
    let weights = weights.map { T($0) }
    let work = max(1, output * inner * tapCount)
    indices.withUnsafeBufferPointer { indices in
      weights.withUnsafeBufferPointer { weights in
        nonisolated(unsafe) let (indices, weights) = (indices, weights)
        if inner == 1 {
          parallel.ranges(outer, grain: max(1, (1 << 15) / work)) { range in
            for row in range {
              let (line, out) = (x + row * input, y + row * output)
              for element in 0..<output {
                var sum: T = 0
                for tap in element * tapCount..<(element + 1) * tapCount {
                  sum += weights[tap] * line[Int(indices[tap])]
                }
                out[element] = sum
              }
            }
          }
          return
        }
        parallel.ranges(outer * output, grain: max(1, (1 << 15) / (inner * tapCount))) { range in
          for row in range {
            let (slab, element) = row.quotientAndRemainder(dividingBy: output)
            let out = y + row * inner
            for tap in 0..<tapCount {
              let weight = weights[element * tapCount + tap]
              let line = x + (slab * input + Int(indices[element * tapCount + tap])) * inner
              if tap == 0 {
                for i in 0..<inner { out[i] = weight * line[i] }
              } else if weight != 0 {
                for i in 0..<inner { out[i] += weight * line[i] }
              }
            }
          }
        }
      }
    }
  }
}

/// What interpolation computes in.
protocol ResizeElement: ComputeElement, BinaryFloatingPoint {
  static func widenAny(_ source: Tensor, to target: UnsafeMutablePointer<Self>)
  static func narrowAny(_ source: UnsafeMutablePointer<Self>, to target: Tensor)
}

extension Float: ResizeElement {
  static func widenAny(_ source: Tensor, to target: UnsafeMutablePointer<Float>) {
    widen(source.base, source.elementType, source.count, to: target)
  }
  static func narrowAny(_ source: UnsafeMutablePointer<Float>, to target: Tensor) {
    narrow(UnsafePointer(source), target.count, to: target.base, target.elementType)
  }
}

/// Doubles hold the weights of integers exactly enough that equal neighbours stay equal.
extension Double: ResizeElement {
  static func widenAny(_ source: Tensor, to target: UnsafeMutablePointer<Double>) {
    func copy<S: FixedWidthInteger>(_: S.Type) {
      let values = source.base.assumingMemoryBound(to: S.self)
      for i in 0..<source.count { target[i] = Double(values[i]) }
    }
    switch source.elementType {
    case .int8: copy(Int8.self)
    case .uint8: copy(UInt8.self)
    case .int16: copy(Int16.self)
    case .uint16: copy(UInt16.self)
    case .int32: copy(Int32.self)
    case .uint32: copy(UInt32.self)
    case .int64: copy(Int64.self)
    case .uint64: copy(UInt64.self)
    default: widen(source.base, source.elementType, source.count, to: target)
    }
  }
  static func narrowAny(_ source: UnsafeMutablePointer<Double>, to target: Tensor) {
    for i in 0..<target.count { target.set(i, toNumber: source[i]) }
  }
}

extension Tensor {
  /// Stores a number, rounded towards zero and held to the range of integer types.
  func set(_ index: Int, toNumber value: Double) {
    func store<S: FixedWidthInteger>(_: S.Type) {
      let whole = value.rounded(.towardZero)
      base.assumingMemoryBound(to: S.self)[index] =
        S(exactly: whole) ?? (whole > 0 ? .max : whole < 0 ? .min : 0)
    }
    switch elementType {
    case .float32: base.assumingMemoryBound(to: Float.self)[index] = Float(value)
    case .float64: base.assumingMemoryBound(to: Double.self)[index] = value
    case .float16: base.assumingMemoryBound(to: Float16.self)[index] = Float16(value)
    case .bfloat16: base.assumingMemoryBound(to: BFloat16.self)[index] = BFloat16(Float(value))
    case .int8: store(Int8.self)
    case .uint8: store(UInt8.self)
    case .int16: store(Int16.self)
    case .uint16: store(UInt16.self)
    case .int32: store(Int32.self)
    case .uint32: store(UInt32.self)
    case .int64: store(Int64.self)
    case .uint64: store(UInt64.self)
    default: break
    }
  }
}

extension ScratchPlan {
  static func aligned(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }
}
