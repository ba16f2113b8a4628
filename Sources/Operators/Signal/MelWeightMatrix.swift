import Base
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// The matrix that takes a linear spectrum of `dft_length / 2 + 1` bins to triangular filters
  /// whose edges are evenly spaced on the mel scale. ONNX MelWeightMatrix-17.
  static let melWeightMatrix = OperatorDefinition(
    "MelWeightMatrix", versions: [17], inputs: 5...5,
    attributes: [.int("output_datatype", default: 1)],
    infer: { (context) throws(StackLensError) in
      for index in 0..<5 {
        let type = try context.input(
          index, oneOf: index < 3 ? [.int32, .int64] : ElementType.reals)
        guard type.shape.count == 1 else {
          throw .shapeMismatch("input \(index) has shape \(type.shape), expected one number")
        }
      }
      let bands = try context.value(0).integer("num_mel_bins")
      let length = try context.value(1).integer("dft_length")
      guard length >= 0 else { throw .invalidArgument("dft_length is \(length)") }
      return [TensorType(try context.outputDataType(), try Shape([length / 2 + 1, bands]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let shape = preparation.outputs[0].shape
        return try wideKernel(Double.self, preparation, inputs: 0) {
          (wide) throws(StackLensError) in
          let run = wide.run
          let length = try run.input(1).integer("dft_length")
          let rate = try run.input(2).integer("sample_rate")
          let low = try run.input(3).real ?? Double.nan
          let high = try run.input(4).real ?? Double.nan
          let edges = try melEdges(
            bands: shape[1], length: length, rate: rate, low: low, high: high)
          fillTriangles(edges, shape, wide.outputs[0])
        }
      }
    ]),
    samples: [
      Sample([.ints([8]), .ints([16]), .ints([8192]), .number(0), .number(4096)]),
      Sample(
        [.ints([3]), .ints([64]), .ints([8000]), .number(100), .number(3900)],
        ["output_datatype": .int(11)]),
      Sample([.ints([0]), .ints([4]), .ints([100]), .number(0), .number(50)]),
    ])

  /// The spectrum bins at which the filters begin, peak and end.
  private static func melEdges(
    bands: Int, length: Int, rate: Int, low: Double, high: Double
  ) throws(StackLensError) -> [Int] {
    guard rate > 0 else { throw .invalidArgument("sample_rate is \(rate), expected 1 or more") }
    func mel(_ hertz: Double) -> Double { 2595 * log10(1 + hertz / 700) }
    let step = (mel(high) - mel(low)) / Double(bands + 2)
    var edges: [Int] = []
    for band in 0..<bands + 2 {
      let hertz = 700 * (Glibc.pow(10, (mel(low) + Double(band) * step) / 2595) - 1)
      let bin = (Double(length) + 1) * hertz / Double(rate)
      guard bin.magnitude < 1e12 else {
        throw .invalidArgument("no mel scale from \(low) to \(high) hertz at rate \(rate)")
      }
      edges.append(Int(bin.rounded(.down)))
    }
    return edges
  }

  private static func fillTriangles(
    _ edges: [Int], _ shape: Shape, _ y: UnsafeMutablePointer<Double>
  ) {
    let (bins, bands) = (shape[0], shape[1])
    for i in 0..<shape.count { y[i] = 0 }
    for band in 0..<bands {
      let (start, peak, end) = (edges[band], edges[band + 1], edges[band + 2])
      if start == peak, peak >= 0, peak < bins { y[peak * bands + band] = 1 }
      for bin in max(start, 0)..<max(0, start, min(peak + 1, bins)) where start < peak {
        y[bin * bands + band] = Double(bin - start) / Double(peak - start)
      }
      for bin in max(peak, 0)..<max(0, peak, min(end, bins)) {
        y[bin * bands + band] = Double(end - bin) / Double(end - peak)
      }
    }
  }
}
