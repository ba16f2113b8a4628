import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The largest value of each window, whose rows end where the mask is 0; the first element of a
  /// map counts in any case when it has more than one axis. A window without values is the lowest
  /// finite number. Contributed MaxpoolWithMask, with one mask for all maps.
  static let maxpoolWithMask = OperatorDefinition(
    "MaxpoolWithMask", domain: runtimeDomain, versions: [1], inputs: 2...2,
    attributes: windowAttributes.filter { !["ceil_mode", "dilations"].contains($0.name) } + [
      .int("ceil_mode", default: 0), .optional("dilations", .ints),
      .int("storage_order", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.float32])
      let mask = try context.input(1, oneOf: [.int32])
      let shape = try Shape(ConvolutionGeometry.pooling(context, x: x.shape).outputDims)
      guard mask.rank == x.rank,
        mask.shape.dims.dropFirst(2).elementsEqual(x.shape.dims.dropFirst(2))
      else {
        throw .shapeMismatch("the mask is \(mask.shape), the input \(x.shape)")
      }
      guard mask.shape[0] == 1, mask.shape[1] == 1 else {
        throw .unsupported("a mask for each map, \(mask.shape); one for all is expected")
      }
      return [TensorType(.float32, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let windows = try PoolingWindows(preparation, x: preparation.input(0).shape)
        let isLine = windows.geometry.rank == 1
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0).base.assumingMemoryBound(to: Float.self)
          let mask = try run.input(1).base.assumingMemoryBound(to: Int32.self)
          let y = run.outputs[0].floats
          run.parallel.ranges(windows.maps, grain: windows.grain) { maps in
            for map in maps {
              windows.largest(
                x + map * windows.inputPixels, mask, y + map * windows.outputPixels,
                isLine: isLine)
            }
          }
        }
      }
    ]),
    samples: [
      Sample([.floats(2, 3, 8), mask([1, 1, 8])], ["kernel_shape": .ints([3])]),
      Sample(
        [.floats(1, 2, 5, 6), mask([1, 1, 5, 6])],
        ["kernel_shape": .ints([2, 3]), "pads": .ints([1, 1, 0, 1]), "strides": .ints([2, 1])]),
      Sample([.floats(0, 2, 4), mask([1, 1, 4])], ["kernel_shape": .ints([2])]),
    ])

  private static func mask(_ dims: [Int]) -> Sample.Input {
    .tensor { () throws(StackLensError) in
      let shape = try Shape(dims)
      return try Tensor((0..<shape.count).map { Int32($0 % 5 == 3 ? 0 : 1) }, shape: shape)
    }
  }
}

extension PoolingWindows {
  /// Fills one map of the output.
  fileprivate func largest(
    _ x: UnsafePointer<Float>, _ mask: UnsafePointer<Int32>, _ y: UnsafeMutablePointer<Float>,
    isLine: Bool
  ) {
    let axes = geometry.axes
    forEachWindow { output, z, row, column in
      var best = -Float.greatestFiniteMagnitude
      for i in 0..<z.count {
        for j in 0..<row.count {
          let start = ((z.first + i) * axes[1].input + row.first + j) * axes[2].input + column.first
          for offset in start..<start + column.count {
            if (isLine || offset > 0) && mask[offset] == 0 { break }
            if x[offset] > best { best = x[offset] }
          }
        }
      }
      y[output] = best
    }
  }
}
