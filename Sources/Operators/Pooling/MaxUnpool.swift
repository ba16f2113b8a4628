import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Puts values back where MaxPool took them from, zeros elsewhere. ONNX MaxUnpool-22.
  static let maxUnpool = OperatorDefinition(
    "MaxUnpool", versions: [9, 11, 22], inputs: 2...3,
    attributes: [
      .required("kernel_shape", .ints), .optional("pads", .ints), .optional("strides", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals)
      let indices = try context.input(1, oneOf: [.int64])
      guard indices.shape == x.shape, x.rank >= 3 else {
        throw .shapeMismatch("indices are \(indices.shape), values \(x.shape) of rank 3 or more")
      }
      let natural = try unpooledShape(context, x.shape)
      guard let wanted = try context.optionalValue(2) else {
        return [TensorType(x.elementType, natural)]
      }
      let shape = try Shape(wanted.integers())
      guard shape.rank == x.rank, shape.dims.prefix(2) == x.shape.dims.prefix(2) else {
        throw .shapeMismatch("output_shape \(shape) does not fit values of shape \(x.shape)")
      }
      return [TensorType(x.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let x = try preparation.input(0)
        let natural = try unpooledShape(preparation, x.shape)
        let output = preparation.outputs[0].shape
        let isNatural = natural == output
        return PreparedKernel { (run) throws(StackLensError) in
          let indices = try run.input(1).int64s
          let count = x.shape.count
          for index in 0..<count where indices[index] < 0 || indices[index] >= natural.count {
            throw .invalidArgument(
              "index \(indices[index]) is outside the \(natural.count) elements of \(natural)")
          }
          var places = [Int](repeating: 0, count: isNatural ? 0 : count)
          if !isNatural {
            for index in 0..<count {
              let place = moved(Int(indices[index]), from: natural, to: output)
              guard let place else {
                throw .invalidArgument("index \(indices[index]) of \(natural) is outside \(output)")
              }
              places[index] = place
            }
          }
          func fill<T>(_: T.Type) throws(StackLensError) {
            let source = try run.input(0).base.assumingMemoryBound(to: T.self)
            let target = run.outputs[0].base.assumingMemoryBound(to: T.self)
            for index in 0..<count {
              target[isNatural ? Int(indices[index]) : places[index]] = source[index]
            }
          }
          run.outputs[0].base.initializeMemory(
            as: UInt8.self, repeating: 0, count: run.outputs[0].byteCount)
          switch x.elementType.byteSize {
          case 2: try fill(UInt16.self)
          case 4: try fill(UInt32.self)
          default: try fill(UInt64.self)
          }
        }
      }
    ]),
    gradient: .maxUnpool,
    samples: [
      Sample(
        [
          .floats(1, 1, 2, 2),
          .tensor { () throws(StackLensError) in
            try Tensor([Int64(5), 7, 13, 15], shape: Shape([1, 1, 2, 2]))
          },
        ],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample(
        [
          .floats(1, 1, 2, 2),
          .tensor { () throws(StackLensError) in
            try Tensor([Int64(5), 7, 13, 15], shape: Shape([1, 1, 2, 2]))
          }, .ints([1, 1, 5, 5]),
        ],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
    ])

  /// The extents that the pooling started from, as far as they can be told.
  private static func unpooledShape(
    _ view: some NodeView, _ x: Shape
  ) throws(StackLensError) -> Shape {
    let rank = x.rank - 2
    let limit = 1 << 31
    func listed(_ name: String, _ count: Int, _ value: Int) throws(StackLensError) -> [Int] {
      guard let values = try view.ints(name), !values.isEmpty else {
        return Array(repeating: value, count: count)
      }
      guard values.count == count, values.allSatisfy({ $0 >= 0 && $0 < limit }) else {
        throw .invalidArgument("attribute '\(name)' is \(values), expected \(count) values")
      }
      return values
    }
    let kernel = try listed("kernel_shape", rank, 1)
    let strides = try listed("strides", rank, 1)
    let pads = try listed("pads", 2 * rank, 0)
    var dims = Array(x.dims.prefix(2))
    for axis in 0..<rank {
      let extent = x[axis + 2]
      guard extent < limit else { throw .shapeMismatch("values of shape \(x) are too large") }
      dims.append(
        max(0, (extent - 1) * strides[axis] + kernel[axis] - pads[axis] - pads[axis + rank]))
    }
    return try Shape(dims)
  }

  /// The offset in `target` of the element at `offset` of `source`; nil when it lies outside.
  private static func moved(_ offset: Int, from source: Shape, to target: Shape) -> Int? {
    var rest = offset
    var result = 0
    let (from, to) = (source.strides, target.strides)
    for axis in 0..<source.rank {
      let place = rest / from[axis]
      rest %= from[axis]
      guard place < target[axis] else { return nil }
      result += place * to[axis]
    }
    return result
  }
}
