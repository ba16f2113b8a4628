import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// y = table[x] for bytes; a negative x is read as its bit pattern. Made by the compile passes out
  /// of what happens to a quantised value alone.
  static let byteTable = OperatorDefinition(
    "ByteTable", domain: stackLensDomain, versions: [1], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: byteTypes)
      let table = try context.input(1, oneOf: byteTypes)
      try context.check(1, holds: 256)
      return [TensorType(table.elementType, x.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
          let table = try run.input(1).base.assumingMemoryBound(to: UInt8.self)
          let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
          run.parallel.ranges(run.outputs[0].count, grain: 1 << 14) { range in
            slk_look_up_bytes(x + range.lowerBound, range.count, table, y + range.lowerBound)
          }
        }
      }
    ]),
    samples: [Sample([.bytes(3, 5), .signedBytes(256)]), Sample([.signedBytes(0), .bytes(256)])])

  /// x in 8 bits, symmetrically with a scale for each row (the last axis): y = round(x / scale) + 128,
  /// scale = largest |x| / 127. Made by the compile passes.
  static let quantizeRows = OperatorDefinition(
    "QuantizeRows", domain: stackLensDomain, versions: [1], inputs: 1...1, outputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.float32])
      guard x.rank > 0 else { throw .shapeMismatch("x is a scalar, expected rows") }
      return [
        TensorType(.uint8, x.shape),
        TensorType(.float32, try Shape(x.shape.dims.dropLast() + [1])),
      ]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let shape = preparation.outputs[0].shape
        let rows = preparation.outputs[1].shape.count
        let width = shape[shape.rank - 1]
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0).floats
          let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
          let scales = run.outputs[1].floats
          run.parallel.ranges(rows, grain: max(1, (1 << 14) / max(1, width))) { range in
            for row in range {
              let line = x + row * width
              var low: Float = 0
              var high: Float = 0
              slk_range_f32(line, width, &low, &high)
              let scale = max(-low, high) / 127
              scales[row] = scale
              slk_quantise_f32(
                line, width, scale > 0 ? scale : 1, 128, 0, 255, y + row * width)
            }
          }
        }
      }
    ]),
    samples: [Sample([.floats(2, 3, 9)], outputs: 2), Sample([.floats(2, 0)], outputs: 2)])
}
