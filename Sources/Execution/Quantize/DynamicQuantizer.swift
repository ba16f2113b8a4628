import Base
import Graphs
import Tensors

/// Symmetric 8-bit weights with a scale for each column, or one for all.
struct QuantizedColumns {
  let bytes: [Int8]
  let scales: [Float]

  /// - Parameter values: [rows, columns].
  init(_ values: [Float], columns: Int, isPerChannel: Bool) throws(StackLensError) {
    var largest = [Float](repeating: 0, count: columns)
    for (index, value) in values.enumerated() {
      guard value.isFinite else {
        throw .invalidArgument("a weight is \(value); only finite weights can be quantised")
      }
      largest[index % columns] = max(largest[index % columns], abs(value))
    }
    if !isPerChannel {
      largest = [Float](repeating: largest.max() ?? 0, count: columns)
    }
    let steps = largest.map { $0 < 1e-30 ? 1 : $0 / 127 }
    bytes = values.enumerated().map { index, value in
      Int8(max(-127, min(127, (value / steps[index % columns]).rounded(.toNearestOrEven))))
    }
    scales = isPerChannel ? steps : Array(steps.prefix(1))
  }

  var scaleTensor: Tensor {
    get throws(StackLensError) {
      scales.count == 1 ? try Tensor(scalar: scales[0]) : try Tensor(scales)
    }
  }
}

extension GraphEditor {
  /// Products with constant weights become MatMulInteger on inputs that are rounded as they come.
  /// Tables that rows are gathered from stay as they are.
  mutating func quantizeDynamically() throws(StackLensError) {
    for node in source.nodes {
      guard let product = ConstantProduct(node, self), product.inner < 1 << 16 else {
        nodes.append(node)
        continue
      }
      do throws(StackLensError) { try quantizeDynamically(product) } catch {
        throw error.within(node.label)
      }
    }
  }

  private mutating func quantizeDynamically(_ product: ConstantProduct) throws(StackLensError) {
    let weights = try QuantizedColumns(
      product.byRows(), columns: product.columns, isPerChannel: options.isPerChannel)
    let name = product.weightName
    let stem = product.output
    let layout = "\(name) \(product.isTransposed)"
    let bytes = sharedConstant(
      "\(layout) bytes", name: "\(name)_quantized",
      try Tensor(weights.bytes, shape: Shape([product.inner, product.columns])))
    let scale = sharedConstant(
      "\(layout) scale", name: "\(name)_scale", try weights.scaleTensor)
    let x = try options.usesRowScales ? roundedRows(product.x) : roundedTensor(product.x)
    let sums = add("MatMulInteger", [x.bytes, bytes, x.zero], hint: "\(stem)_sums")
    let numbers = add("Cast", [sums], ["to": .int(1)], hint: "\(stem)_numbers")
    // One scale after the other: ONNX Runtime takes a product of two scales for a scalar.
    let columns = add("Mul", [numbers, scale], hint: "\(stem)_columns")
    let isLast = product.bias.isEmpty
    let result = add(
      "Mul", [columns, x.scale], hint: "\(stem)_product", output: isLast ? stem : nil)
    if !isLast { add("Add", [result, product.bias], hint: stem, output: stem) }
  }

  private typealias Rounded = (bytes: String, scale: String, zero: String)

  /// x with one range for all of it.
  private mutating func roundedTensor(_ x: String) throws(StackLensError) -> Rounded {
    if shared["\(x) rounded"] == nil {
      let outputs = ["quantized", "scale", "zero_point"].map { fresh("\(x)_\($0)") }
      nodes.append(
        Node("DynamicQuantizeLinear", inputs: [x], outputs: outputs, name: outputs[0]))
      shared["\(x) rounded"] = outputs[0]
      shared["\(x) scale"] = outputs[1]
      shared["\(x) zero"] = outputs[2]
    }
    return (
      shared["\(x) rounded"] ?? "", shared["\(x) scale"] ?? "", shared["\(x) zero"] ?? ""
    )
  }

  /// x with a scale for each row, symmetrically: bytes of round(127 x / largest |x|) + 128.
  private mutating func roundedRows(_ x: String) throws(StackLensError) -> Rounded {
    let zero = sharedConstant("middle", name: "quantized_zero", try Tensor(scalar: UInt8(128)))
    if let bytes = shared["\(x) rounded"], let scale = shared["\(x) scale"] {
      return (bytes, scale, zero)
    }
    let axes = sharedConstant("axes", name: "quantized_axes", try Tensor([Int64(-1)]))
    let least = sharedConstant(
      "least", name: "quantized_least", try Tensor(scalar: Float(1e-30)))
    let steps = sharedConstant("steps", name: "quantized_steps", try Tensor(scalar: Float(127)))
    let one = sharedConstant("one", name: "quantized_one", try Tensor(scalar: Float(1)))
    let sizes = add("Abs", [x], hint: "\(x)_sizes")
    let largest = add(
      "ReduceMax", [sizes, axes], ["keepdims": .int(1)], hint: "\(x)_largest")
    let raised = add("Max", [largest, least], hint: "\(x)_raised")
    let scale = add("Div", [raised, steps], hint: "\(x)_scale")
    let quotient = add("Div", [x, scale], hint: "\(x)_scaled")
    let bytes = add("QuantizeLinear", [quotient, one, zero], hint: "\(x)_quantized")
    shared["\(x) rounded"] = bytes
    shared["\(x) scale"] = scale
    return (bytes, scale, zero)
  }

  /// A constant that is made once for all who ask by `key`.
  mutating func sharedConstant(_ key: String, name: String, _ tensor: Tensor) -> String {
    if let known = shared["constant \(key)"] { return known }
    let made = constant(tensor, name)
    shared["constant \(key)"] = made
    return made
  }
}
