import Base
import Graphs
import Tensors

/// Which inputs each output of a pooling operator reads, axis by axis.
struct PoolingWindows: Sendable {
  /// The part of a window that lies inside the input.
  struct Span: Sendable {
    var first: Int
    var count: Int
    /// Taps inside the input and its padding.
    var paddedCount: Int
  }
  /// Longest axis that gets a table.
  private static let extentLimit = 1 << 24

  let geometry: ConvolutionGeometry
  /// Depth, height, width: one span for every output position.
  let spans: [[Span]]

  var maps: Int { geometry.batch * geometry.groupCount }
  var inputPixels: Int { geometry.inputPixels }
  var outputPixels: Int { geometry.outputPixels }

  init(_ view: some NodeView, x: Shape) throws(StackLensError) {
    let geometry = try ConvolutionGeometry.pooling(view, x: x)
    for axis in geometry.axes where axis.output > Self.extentLimit {
      throw .limitExceeded("pooling makes an axis of \(axis.output) elements")
    }
    self.geometry = geometry
    spans = geometry.axes.map { axis in
      (0..<axis.output).map { output in
        let start = output * axis.stride - axis.padBegin
        func taps(below end: Int) -> Int {
          end <= start ? 0 : min(axis.kernel, (end - start + axis.dilation - 1) / axis.dilation)
        }
        let skipped = taps(below: 0)
        return Span(
          first: start + skipped * axis.dilation,
          count: max(0, taps(below: axis.input) - skipped),
          paddedCount: taps(below: axis.input + axis.padEnd))
      }
    }
  }

  /// Calls `body` with each output of a map and the spans of its window.
  @inline(__always)
  func forEachWindow(_ body: (_ output: Int, _ z: Span, _ y: Span, _ x: Span) -> Void) {
    var output = 0
    for z in spans[0] {
      for y in spans[1] {
        for x in spans[2] {
          body(output, z, y, x)
          output += 1
        }
      }
    }
  }

  /// Calls `body` with the offset of each input of a window within its map.
  @inline(__always)
  func forEachInput(_ z: Span, _ y: Span, _ x: Span, _ body: (Int) -> Void) {
    let axes = geometry.axes
    let (deep, high, wide) = (axes[0].dilation, axes[1].dilation, axes[2].dilation)
    for i in 0..<z.count {
      for j in 0..<y.count {
        let row =
          ((z.first + i * deep) * axes[1].input + y.first + j * high) * axes[2].input + x.first
        for k in 0..<x.count { body(row + k * wide) }
      }
    }
  }

  /// How many maps one thread takes at least.
  var grain: Int {
    let window = geometry.axes.reduce(1.0) { $0 * Double($1.kernel) }
    return max(1, Int(16_384 / max(1, Double(outputPixels) * window)))
  }
}

extension OperatorDefinition {
  /// Attributes that the pooling operators with windows share.
  static let windowAttributes: [AttributeSpec] = [
    .string("auto_pad", default: "NOTSET"), .int("ceil_mode", default: 0),
    .optional("dilations", .ints), .required("kernel_shape", .ints), .optional("pads", .ints),
    .optional("strides", .ints),
  ]

  /// A lower that drops attributes which came with later opsets while they hold their defaults.
  static func dropDefaults(
    _ attributes: [(name: String, since: Int, isDefault: @Sendable (Attribute) -> Bool)]
  ) -> Convert {
    { (node, opset, rewriter) throws(StackLensError) in
      if opset < 22, node.isSet("ceil_mode") {
        try refuseWindowsInPadding(node, opset, rewriter)
      }
      var nodes = [node]
      for (name, since, isDefault) in attributes {
        guard let first = nodes.first else { break }
        nodes = try dropAttribute(name, before: since, unless: isDefault)(first, opset, &rewriter)
      }
      return nodes
    }
  }
}

/// Since opset 22 a last window that would begin in the padding behind the input is left out.
private func refuseWindowsInPadding(
  _ node: Node, _ opset: Int, _ rewriter: Rewriter
) throws(StackLensError) {
  func list(_ name: String, _ count: Int, _ fallback: Int64) -> [Int64] {
    if case .ints(let values)? = node.attributes[name], values.count == count { return values }
    return [Int64](repeating: fallback, count: count)
  }
  guard let dims = rewriter.dims(of: node.inputs[0]), dims.count > 2 else { return }
  let rank = dims.count - 2
  let (kernel, strides) = (list("kernel_shape", rank, 1), list("strides", rank, 1))
  let (dilations, pads) = (list("dilations", rank, 1), list("pads", 2 * rank, 0))
  for axis in 0..<rank {
    guard let extent = dims[axis + 2], strides[axis] > 0 else { continue }
    let numbers = [kernel[axis], strides[axis], dilations[axis], pads[axis], pads[axis + rank]]
    guard extent < Int32.max, numbers.allSatisfy({ $0.magnitude < 1 << 31 }) else { continue }
    let begun = Int64(extent) + pads[axis]
    let room = begun + pads[axis + rank] - (kernel[axis] - 1) * dilations[axis] - 1
    let last = (room + strides[axis] - 1) / strides[axis]
    guard room < 0 || last * strides[axis] < begun else {
      throw .unsupported(
        "\(node.opType) with ceil_mode, whose last window along axis \(axis + 2) lies in the "
          + "padding, needs opset 22, not \(opset)")
    }
  }
}

extension Attribute {
  /// Whether it is a list of ones.
  var isOnes: Bool {
    if case .ints(let values) = self { values.allSatisfy { $0 == 1 } } else { false }
  }
}
