import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Coordinates of the elements that are not zero (not empty, for strings), one column each, in
  /// row-major order. ONNX NonZero-13.
  static let nonZero = OperatorDefinition(
    "NonZero", versions: [9, 13], inputs: 1...1,
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let input = try context.tensor(0, oneOf: ElementType.ordinary)
      let found = try context.nonZeroPlaces(input, lists: max(1, input.rank))
      let places = found.int64s
      let result = try Tensor(uninitialized: .int64, try Shape([input.rank, found.count]))
      let target = result.base.assumingMemoryBound(to: Int64.self)
      let strides = input.shape.strides
      for axis in 0..<input.rank {
        let row = target + axis * found.count
        let (stride, extent) = (Int64(strides[axis]), Int64(input.shape[axis]))
        for column in 0..<found.count { row[column] = places[column] / stride % extent }
      }
      return [.tensor(result)]
    },
    outline: { (context) throws(StackLensError) in
      let count = context.extent("count")
      let rank = try context.input(0).type?.rank
      return [try .tensor(.int64, [rank ?? context.extent("rank"), count])]
    },
    gradient: .zero,
    samples: [
      Sample([.indices([[1, 0], [0, 3]])]), Sample([.floats(2, 3)]), Sample([.scalarIndex(0)]),
      Sample([.floats(2, 0)]),
    ])

  /// The slices along `axis` (or the elements) where `condition` holds. ONNX Compress-28.
  static let compress = OperatorDefinition(
    "Compress", versions: [9, 11, 28], inputs: 2...2, attributes: [.optional("axis", .int)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let (input, condition) = (try context.tensor(0), try context.tensor(1))
      guard condition.elementType == .bool, condition.rank == 1 else {
        throw .typeMismatch("input 1 is \(TensorType(condition)), expected a list of bool")
      }
      var (blocks, extent, inner, axis) = (1, input.count, 1, 0)
      var dims = [input.count]
      if context.has("axis") {
        axis = try context.axis("axis", rank: input.rank)
        (blocks, extent) = (input.shape.count(0..<axis), input.shape[axis])
        inner = input.shape.count(axis + 1..<input.rank)
        dims = input.shape.dims
      }
      let kept = try context.nonZeroPlaces(condition, lists: 1)
      let offsets = UnsafeMutableBufferPointer(
        start: kept.base.assumingMemoryBound(to: Int.self), count: kept.count)
      if let last = offsets.last, last >= extent {
        throw .invalidArgument("condition \(last) holds, but axis \(axis) has extent \(extent)")
      }
      dims[axis] = kept.count
      let result = try Tensor(uninitialized: input.elementType, try Shape(dims))
      for index in offsets.indices { offsets[index] *= inner }
      input.elementType.byWidth(
        GatherRuns(
          source: input.base, target: result.base, offsets: UnsafeBufferPointer(offsets),
          blockCount: blocks, blockStride: extent * inner, runLength: inner,
          parallel: context.parallel))
      return [.tensor(result)]
    },
    outline: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let count = context.extent("count")
      guard let type = input.type, context.has("axis") else {
        guard let elementType = input.elementType else { return [.unknown] }
        return [context.has("axis") ? .elements(elementType) : try .tensor(elementType, [count])]
      }
      var dims = type.shape.dims
      dims[try context.axis("axis", rank: type.rank)] = count
      return [try .tensor(type.elementType, dims)]
    },
    gradient: GradientRule.pick,
    samples: [
      Sample([.floats(3, 2), .flags([false, true, true])], ["axis": .int(0)]),
      Sample([.floats(3, 2), .flags([true, false, false, true])]),
      Sample([.floats(0, 2), .flags([])], ["axis": .int(-1)]),
    ])

  /// `values[1]` where the new axis equals the index, `values[0]` elsewhere; an index outside
  /// [-depth, depth) gives none. ONNX OneHot-28.
  static let oneHot = OperatorDefinition(
    "OneHot", versions: [9, 11, 28], inputs: 3...3, attributes: [.int("axis", default: -1)],
    infer: { (context) throws(StackLensError) in
      let (indices, values) = (try context.input(0), try context.input(2))
      guard indices.elementType.isNumeric else {
        throw .typeMismatch("input 0 is \(indices.elementType.name), expected numbers")
      }
      guard values.shape.dims == [2] else {
        throw .shapeMismatch("input 2 has shape \(values.shape), expected [2]")
      }
      let depth = try context.value(1)
      guard depth.count == 1, let extent = integerElement(depth, at: 0), extent >= 0 else {
        throw .invalidArgument("input 1 (depth) must be one number that is not negative")
      }
      var dims = indices.shape.dims
      dims.insert(extent, at: try context.axis("axis", rank: indices.rank + 1))
      return [TensorType(values.elementType, try Shape(dims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let indices = try preparation.input(0)
        let output = preparation.outputs[0]
        let axis = try preparation.axis("axis", rank: output.rank)
        let inner = output.shape.count(axis + 1..<output.rank)
        let depth = output.shape[axis]
        return PreparedKernel { (run) throws(StackLensError) in
          let (places, values) = (try run.input(0), try run.input(2).base)
          let target = run.outputs[0]
          output.elementType.byWidth(
            FillElements(target: target, element: values, parallel: run.parallel))
          guard target.count > 0 else { return }
          let on = values + output.elementType.byteSize
          for index in 0..<indices.shape.count {
            guard var place = integerElement(places, at: index) else { continue }
            if place < 0 { place += depth }
            guard place >= 0, place < depth else { continue }
            let offset = (index / inner * depth + place) * inner + index % inner
            output.elementType.byWidth(Put(source: on, target: target.base, offset: offset))
          }
        }
      }
    ]),
    gradient: .oneHot,
    samples: [
      Sample([.ints([0, 7, -1]), .scalarIndex(4), .ints([2, 5])]),
      Sample([.indices([[1, 9], [2, 4]]), .number(10), .floats(2)], ["axis": .int(1)]),
      Sample([.ints([]), .ints([3]), .floats(2)]),
      Sample([.scalarIndex(1), .ints([2]), .floats(2)]),
    ])

  /// The first `sequence_lens[i]` steps of each batch entry reversed. ONNX ReverseSequence-28.
  static let reverseSequence = OperatorDefinition(
    "ReverseSequence", versions: [10, 28], inputs: 2...2,
    attributes: [.int("batch_axis", default: 1), .int("time_axis", default: 0)],
    infer: { (context) throws(StackLensError) in
      let (input, lengths) = (try context.input(0), try context.input(1))
      let (batch, time) = (try context.int("batch_axis"), try context.int("time_axis"))
      guard input.rank >= 2, [batch, time].sorted() == [0, 1] else {
        throw .invalidArgument(
          "batch_axis \(batch) and time_axis \(time) of \(input.shape) must be 0 and 1")
      }
      guard lengths.elementType == .int64, lengths.shape.dims == [input.shape[batch]] else {
        throw .shapeMismatch(
          "input 1 is \(lengths), expected int64[\(input.shape[batch])]")
      }
      return [input]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let batch = try preparation.int("batch_axis")
        let (entries, steps) = (input.shape[batch], input.shape[1 - batch])
        let inner = input.shape.count(2..<input.rank)
        return PreparedKernel(scratchByteCount: offsetBytes(entries * steps)) {
          (run) throws(StackLensError) in
          let lengths = try run.input(1).integers()
          for (entry, length) in lengths.enumerated() where length < 0 || length > steps {
            throw .invalidArgument(
              "sequence length \(length) of entry \(entry) is outside [0, \(steps)]")
          }
          let table = run.offsets(entries * steps)
          for entry in 0..<entries {
            for step in 0..<steps {
              let from = step < lengths[entry] ? lengths[entry] - 1 - step : step
              let (to, source) =
                batch == 0
                ? (entry * steps + step, entry * steps + from)
                : (step * entries + entry, from * entries + entry)
              table[to] = source * inner
            }
          }
          input.elementType.byWidth(
            GatherRuns(
              source: try run.input(0).base, target: run.outputs[0].base,
              offsets: UnsafeBufferPointer(table), blockCount: 1, blockStride: 0,
              runLength: inner, parallel: run.parallel))
        }
      }
    ]),
    gradient: .symmetric,
    samples: [
      Sample([.floats(4, 3), .ints([4, 2, 0])]),
      Sample([.floats(2, 3, 2), .ints([3, 1])], ["batch_axis": .int(0), "time_axis": .int(1)]),
      Sample([.floats(0, 2), .ints([0, 0])]),
    ])
}

/// Copies one element.
private struct Put: WidthWork {
  let source: UnsafeRawPointer
  let target: UnsafeMutableRawPointer
  let offset: Int

  func callAsFunction<Element>(_ type: Element.Type) {
    target.assumingMemoryBound(to: Element.self)[offset] =
      source.assumingMemoryBound(to: Element.self).pointee
  }
}

extension Sample.Input {
  /// A list of bool.
  static func flags(_ values: [Bool]) -> Self {
    .tensor { () throws(StackLensError) in try Tensor(values) }
  }
}

extension Evaluation {
  /// Places of the elements that are not zero, as int64.
  /// - Parameter lists: how many lists as long as this one are going to be made.
  fileprivate func nonZeroPlaces(_ tensor: Tensor, lists: Int) throws(StackLensError) -> Tensor {
    func places<Element>(
      _ type: Element.Type, _ isZero: (Element) -> Bool
    ) throws(StackLensError) -> Tensor {
      let read = tensor.base.assumingMemoryBound(to: Element.self)
      var count = 0
      for index in 0..<tensor.count where !isZero(read[index]) { count += 1 }
      try requireRoom(count, byteCount: 8 * lists, "places")
      let found = try Tensor(uninitialized: .int64, Shape([count]))
      var place = found.base.assumingMemoryBound(to: Int64.self)
      for index in 0..<tensor.count where !isZero(read[index]) {
        place.pointee = Int64(index)
        place += 1
      }
      return found
    }
    switch tensor.elementType {
    case .string: return try places(String.self) { $0.isEmpty }
    case .uint8, .int8, .bool: return try places(UInt8.self) { $0 == 0 }
    case .uint16, .int16: return try places(UInt16.self) { $0 == 0 }
    case .float16, .bfloat16: return try places(UInt16.self) { $0 & 0x7fff == 0 }
    case .int32, .uint32: return try places(UInt32.self) { $0 == 0 }
    case .float32: return try places(Float.self) { $0 == 0 }
    case .int64, .uint64: return try places(UInt64.self) { $0 == 0 }
    case .float64: return try places(Double.self) { $0 == 0 }
    case .complex64: return try places(Complex64.self) { $0.real == 0 && $0.imaginary == 0 }
    case .complex128: return try places(Complex128.self) { $0.real == 0 && $0.imaginary == 0 }
    default: return try Tensor([Int64]())
    }
  }
}
