import Base
import CKernels
import Graphs
import Tensors

extension OperatorTable {
  static let pooling: [OperatorDefinition] = [
    .maxPool, .averagePool, .lpPool, .globalMaxPool, .globalAveragePool, .globalLpPool,
    .maxUnpool, .maxRoiPool, .maxRoiPlaces, .maxPoolGradient,
    .averagePoolGradient,
  ]
}

extension OperatorDefinition {
  /// The largest value of each window, and on request where it was: its offset in the whole input,
  /// rows first or (storage_order 1) columns first within a map. NaN wins. ONNX MaxPool-22.
  static let maxPool = OperatorDefinition(
    "MaxPool", versions: [1, 8, 10, 11, 12, 22], inputs: 1...1, outputs: 1...2,
    attributes: windowAttributes + [.int("storage_order", default: 0)],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals + [.int8, .uint8])
      let order = try context.int("storage_order")
      guard order == 0 || order == 1 else {
        throw .invalidArgument("attribute 'storage_order' is \(order), expected 0 or 1")
      }
      let shape = try Shape(ConvolutionGeometry.pooling(context, x: x.shape).outputDims)
      let values = TensorType(x.elementType, shape)
      return context.node.outputs.count > 1 ? [values, TensorType(.int64, shape)] : [values]
    },
    execution: .kernels([
      Kernel("separable") { (preparation) throws(StackLensError) in
        guard !wantsIndices(preparation) else { return nil }
        return try SeparablePool(preparation, isMaximum: true)?.prepared
      },
      Kernel("bytes", prepare: largestBytes),
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .float64: return try maximum(Double.self, preparation, lowest: -.infinity)
        case .int8: return try maximum(Int8.self, preparation, lowest: .min)
        case .uint8: return try maximum(UInt8.self, preparation, lowest: .min)
        default: return try maximum(Float.self, preparation, lowest: -.infinity)
        }
      },
    ]),
    lower: { (node, opset, rewriter) throws(StackLensError) in
      if opset < 8, node.outputs.dropFirst().contains(where: { !$0.isEmpty }) {
        throw .unsupported("MaxPool with indices needs opset 8, not \(opset)")
      }
      return try dropDefaults([
        ("dilations", 10, { $0.isOnes }), ("ceil_mode", 10, { $0.isInt(0) }),
        ("storage_order", 8, { $0.isInt(0) }),
      ])(node, opset, &rewriter)
    },
    gradient: .maxPool,
    samples: [
      Sample([.floats(1, 3, 8, 7)], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample(
        [.floats(2, 2, 6, 5)],
        [
          "kernel_shape": .ints([3, 2]), "pads": .ints([1, 0, 1, 1]), "ceil_mode": .int(1),
          "strides": .ints([2, 2]), "storage_order": .int(1),
        ], outputs: 2),
      Sample(
        [.random(.uint8, [1, 2, 9], low: 0, high: 255)],
        ["kernel_shape": .ints([3]), "dilations": .ints([2])]),
      Sample(
        [.random(.int8, [2, 3, 7, 6], low: -128, high: 127)],
        ["kernel_shape": .ints([3, 2]), "strides": .ints([2, 1]), "pads": .ints([1, 1, 1, 0])]),
      Sample(
        [.floats(1, 2, 4, 4, 4)],
        ["kernel_shape": .ints([2, 3, 2]), "auto_pad": .string("SAME_UPPER")]),
      Sample([.floats(0, 3, 4, 4)], ["kernel_shape": .ints([2, 2])]),
    ])

  /// Bytes: the inputs of a run of windows laid out by taps, then the largest of each column.
  private static func largestBytes(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let input = try preparation.input(0)
    guard input.elementType.byteSize == 1, !wantsIndices(preparation) else { return nil }
    let geometry = try ConvolutionGeometry.pooling(preparation, x: input.shape)
    let (taps, pixels) = (geometry.termCount, geometry.outputPixels)
    guard !geometry.isEmpty, taps > 0, taps < 1 << 20 else { return nil }
    let chunk = min(pixels, max(256, (1 << 15) / taps / 256 * 256))
    let chunks = (pixels + chunk - 1) / chunk
    let parts = try Shape([geometry.batch * geometry.groupCount, chunks]).count
    let slots = min(parts, preparation.threadCount == 1 ? 1 : preparation.threadCount * 2)
    var plan = ScratchPlan()
    let slotBytes = try Shape([taps, chunk]).count
    let room = try plan.reserve(try Shape([slots, slotBytes]).count, of: UInt8.self)
    let isSigned = input.elementType == .int8
    let native = geometry.native
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
      let scratch = (run.scratch + room).assumingMemoryBound(to: UInt8.self)
      run.parallel.forEach(slots) { slot in
        let columns = scratch + slot * slotBytes
        for part in parts * slot / slots..<parts * (slot + 1) / slots {
          let (map, index) = part.quotientAndRemainder(dividingBy: chunks)
          let first = index * chunk
          let last = min(pixels, first + chunk)
          withUnsafePointer(to: native) { native in
            slk_convolution_columns_u8(
              native, x + map * geometry.inputPixels, isSigned ? 0x80 : 0, columns, last - first,
              first, last)
          }
          slk_largest_bytes(
            columns, last - first, isSigned ? 1 : 0, taps, last - first, y + map * pixels + first)
        }
      }
    }
  }

  private static func wantsIndices(_ view: some NodeView) -> Bool {
    view.node.outputs.count > 1 && !view.node.outputs[1].isEmpty
  }

  private static func maximum<T: ComputeComparable>(
    _: T.Type, _ preparation: Preparation, lowest: T
  ) throws(StackLensError) -> PreparedKernel {
    let input = try preparation.input(0)
    let windows = try PoolingWindows(preparation, x: input.shape)
    let indices = wantsIndices(preparation)
    let columnMajor = try preparation.int("storage_order") == 1
    var plan = ScratchPlan()
    let isHalf = input.elementType.isHalf
    let room = try isHalf ? plan.reserve(input.shape.count, of: T.self) : 0
    let outputRoom = try isHalf ? plan.reserve(preparation.outputs[0].shape.count, of: T.self) : 0
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let x = try T.source(run.input(0), run.scratch + room)
      let y = T.destination(run.outputs[0], run.scratch + outputRoom)
      let places = indices ? run.outputs[1].int64s : nil
      run.parallel.ranges(windows.maps, grain: windows.grain) { maps in
        for map in maps {
          let source = x + map * windows.inputPixels
          let base = map * windows.outputPixels
          windows.forEachWindow { output, z, row, column in
            var best = lowest
            var place = -1
            windows.forEachInput(z, row, column) { offset in
              let value = source[offset]
              if place < 0 || value > best || (value != value && best == best) {
                best = value
                place = offset
              }
            }
            y[base + output] = best
            if let places {
              places[base + output] = Int64(
                windows.index(of: place, map: map, columnMajor: columnMajor))
            }
          }
        }
      }
      T.finish(y, run.outputs[0])
    }
  }
}

extension PoolingWindows {
  /// The number that MaxPool reports for an offset in a map; -1 for a window of padding alone.
  fileprivate func index(of offset: Int, map: Int, columnMajor: Bool) -> Int {
    guard offset >= 0 else { return -1 }
    let base = map * inputPixels
    guard columnMajor else { return base + offset }
    let axes = geometry.axes
    let (rest, x) = offset.quotientAndRemainder(dividingBy: axes[2].input)
    let (z, y) = rest.quotientAndRemainder(dividingBy: axes[1].input)
    return switch geometry.rank {
    case 1: base + offset
    case 2: base + x * axes[1].input + y
    default: base + (x * axes[1].input + y) * axes[0].input + z
    }
  }
}

/// What a maximum can be taken of; half types go through Float.
protocol ComputeComparable: Comparable, TensorElement {
  static func source(_ tensor: Tensor, _ room: UnsafeMutableRawPointer) -> UnsafePointer<Self>
  static func destination(
    _ tensor: Tensor, _ room: UnsafeMutableRawPointer
  ) -> UnsafeMutablePointer<Self>
  static func finish(_ values: UnsafeMutablePointer<Self>, _ output: Tensor)
}

extension ComputeComparable {
  static func source(_ tensor: Tensor, _ room: UnsafeMutableRawPointer) -> UnsafePointer<Self> {
    UnsafePointer(tensor.base.assumingMemoryBound(to: Self.self))
  }
  static func destination(
    _ tensor: Tensor, _ room: UnsafeMutableRawPointer
  ) -> UnsafeMutablePointer<Self> { tensor.base.assumingMemoryBound(to: Self.self) }
  static func finish(_ values: UnsafeMutablePointer<Self>, _ output: Tensor) {}
}

extension ComputeComparable where Self: ComputeElement {
  static func source(_ tensor: Tensor, _ room: UnsafeMutableRawPointer) -> UnsafePointer<Self> {
    load(tensor, room)
  }
  static func destination(
    _ tensor: Tensor, _ room: UnsafeMutableRawPointer
  ) -> UnsafeMutablePointer<Self> { target(tensor, room) }
  static func finish(_ values: UnsafeMutablePointer<Self>, _ output: Tensor) {
    store(values, output)
  }
}

extension Int8: ComputeComparable {}
extension UInt8: ComputeComparable {}
extension Float: ComputeComparable {}
extension Double: ComputeComparable {}
