import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Elements raised to `min`, then lowered to `max`, both scalars that may be left out.
  /// ONNX Clip-13.
  static let clip = OperatorDefinition(
    "Clip", versions: [1, 6, 11, 12, 13], inputs: 1...3,
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.numbers)
      for index in 1...2 where context.hasInput(index) {
        let bound = try context.input(index)
        guard bound.shape.count == 1 else {
          throw .shapeMismatch("input \(index) of Clip is \(bound), expected a scalar")
        }
        // Bounds that were attributes are float32 whatever the type of the data.
        guard
          bound.elementType == type.elementType
            || (bound.elementType == .float32 && type.elementType.isFloat)
        else {
          throw .typeMismatch(
            "input \(index) is \(bound.elementType.name) but input 0 is \(type.elementType.name)")
        }
      }
      return [type]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        let type = try preparation.input(0).elementType
        guard type == .float32 || type.isHalf else { return nil }
        return PreparedKernel { (run) throws(StackLensError) in
          let input = try run.input(0)
          let low = bound(run, 1, Float(-Float.infinity))
          let high = bound(run, 2, Float.infinity)
          run.parallel.ranges(input.count, grain: cheapGrain) { range in
            let offset = range.lowerBound * type.byteSize
            applyReal(type, input.base + offset, run.outputs[0].base + offset, range.count) {
              slk_unary_f32(Int32(SLK_UNARY_CLIP.rawValue), $0, $1, $2, low, high)
            }
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .float32: clipKernel(Float.self, -.infinity, .infinity)
        case .float64: clipKernel(Double.self, -.infinity, .infinity)
        case .float16: clipKernel(Float16.self, -.infinity, .infinity)
        case .int8: clipKernel(Int8.self, .min, .max)
        case .int16: clipKernel(Int16.self, .min, .max)
        case .int32: clipKernel(Int32.self, .min, .max)
        case .int64: clipKernel(Int64.self, .min, .max)
        case .uint8: clipKernel(UInt8.self, .min, .max)
        case .uint16: clipKernel(UInt16.self, .min, .max)
        case .uint32: clipKernel(UInt32.self, .min, .max)
        case .uint64: clipKernel(UInt64.self, .min, .max)
        default: nil
        }
      },
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 11 else { return [node] }
      var node = node
      for name in ["min", "max"] {
        switch node.attributes.removeValue(forKey: name) {
        case nil: node.inputs.append("")
        case .float(let value):
          node.inputs.append(rewriter.constant(try Tensor(scalar: value), name))
        case let found?:
          throw .formatError("attribute '\(name)' must be float, found \(found.kindName)")
        }
      }
      while node.inputs.last == "" { node.inputs.removeLast() }
      return [node]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 11 else { return [node] }
      if opset >= 8, node.inputs.dropFirst().contains(where: { rewriter.isComputed($0) }) {
        return byExtremes(node, opset, &rewriter)
      }
      var node = node
      for (index, name) in ["min", "max"].enumerated()
      where index + 1 < node.inputs.count && !node.inputs[index + 1].isEmpty {
        guard let tensor = rewriter.value(of: node.inputs[index + 1]), tensor.count == 1 else {
          throw .unsupported("Clip with a computed \(name) cannot be written for opset \(opset)")
        }
        guard tensor.elementType.isFloat else {
          throw .unsupported("Clip of \(tensor.elementType.name) needs opset 12, not \(opset)")
        }
        var value: Float = 0
        withUnsafeMutableBytes(of: &value) { target in
          guard let target = target.baseAddress else { return }
          convertElements(tensor.base, tensor.elementType, target, .float32, 1)
        }
        node.attributes[name] = .float(value)
      }
      node.inputs = [node.inputs[0]]
      return [node]
    },
    gradient: .clip,
    samples: [
      Sample([.floats(2, 300), scalar(-0.5), scalar(0.25)]),
      Sample([.floats(3), .absent, scalar(0)]),
      Sample([.floats(0, 2), scalar(0)]), Sample([.floats()]),
      Sample([
        .random(.int64, [4, 5], low: -9, high: 9), .random(.int64, [], low: -3, high: -2),
        .random(.int64, [], low: 2, high: 3),
      ]),
    ])

  /// Bounds that are not constant, by Max and Min.
  private static func byExtremes(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) -> [Node] {
    var steps = Decomposition(node, opset)
    let lower = node.inputs.count > 1 ? node.inputs[1] : ""
    let upper = node.inputs.count > 2 ? node.inputs[2] : ""
    guard !upper.isEmpty else { return steps.finish("Max", [node.inputs[0], lower]) }
    var raised = node.inputs[0]
    if !lower.isEmpty { raised = steps.apply("Max", [raised, lower], &rewriter) }
    return steps.finish("Min", [raised, upper])
  }

  private static func scalar(_ value: Float) -> Sample.Input {
    .tensor { () throws(StackLensError) in try Tensor(scalar: value) }
  }

  private static func clipKernel<T: Comparable & TensorElement>(
    _: T.Type, _ lowest: T, _ highest: T
  ) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      let input = try run.input(0)
      let (low, high) = (bound(run, 1, lowest), bound(run, 2, highest))
      let x = input.base.assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      run.parallel.ranges(input.count, grain: cheapGrain) { range in
        for i in range {
          let raised = x[i] < low ? low : x[i]
          y[i] = raised > high ? high : raised
        }
      }
    }
  }

  private static func bound<T: TensorElement>(_ run: Invocation, _ index: Int, _ other: T) -> T {
    guard index < run.inputs.count, let tensor = run.inputs[index] else { return other }
    var value = other
    withUnsafeMutableBytes(of: &value) { target in
      guard let target = target.baseAddress else { return }
      convertElements(tensor.base, tensor.elementType, target, T.elementType, 1)
    }
    return value
  }
}

extension Rewriter {
  /// Whether a named value is not constant.
  fileprivate func isComputed(_ name: String) -> Bool { !name.isEmpty && value(of: name) == nil }
}
