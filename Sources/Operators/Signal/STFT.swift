import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Fourier transforms of windowed frames of a signal `[batch, length, 1 or 2]`, `frame_step`
  /// apart: `[batch, frames, bins, 2]`. ONNX STFT-17.
  static let stft = OperatorDefinition(
    "STFT", versions: [17], inputs: 2...4, attributes: [.int("onesided", default: 1)],
    infer: { (context) throws(StackLensError) in
      let signal = try context.input(0, oneOf: ElementType.reals)
      if context.hasInput(2) { _ = try context.sameElementType(0, 2) }
      let frames = try FrameLayout(
        context, signal.shape, step: context.value(1),
        window: context.hasInput(2) ? context.input(2).shape : nil,
        length: context.optionalValue(3))
      return [TensorType(signal.elementType, try Shape(frames.outputDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .float32: return try stftKernel(Float.self, preparation)
        case .float64: return try stftKernel(Double.self, preparation)
        case .float16: return try stftKernel(Float16.self, preparation)
        default: return try stftKernel(BFloat16.self, preparation)
        }
      }
    ]),
    gradient: .stft,
    samples: [
      Sample([.floats(1, 128, 1), .ints([8]), .floats(16)]),
      Sample([.floats(2, 50, 1), .ints([7]), .absent, .ints([12])], ["onesided": .int(0)]),
      Sample([.floats(1, 40, 2), .ints([10]), .floats(9), .ints([9])], ["onesided": .int(0)]),
      Sample([.random(.float64, [2, 8, 1], low: -1, high: 1), .ints([3])]),
      Sample([.floats(0, 16, 1), .ints([4]), .floats(8)]),
    ])

  private static func stftKernel<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (signal, output) = (try preparation.input(0).shape, preparation.outputs[0].shape)
    let options = NodeOptions(preparation)
    return PreparedKernel { (run) throws(StackLensError) in
      func given(_ index: Int) -> Tensor? { index < run.inputs.count ? run.inputs[index] : nil }
      let frames = try FrameLayout(
        options, signal, step: try run.input(1), window: given(2)?.shape, length: given(3))
      guard frames.outputDims == output.dims else {
        throw .shapeMismatch("STFT gives \(frames.outputDims), planned \(output)")
      }
      guard output.count > 0 else { return }
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let window = given(2)?.base.assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      if T.self == Float.self, isSmoothLength(frames.length) {
        try frames.run(x, window, y, Float.self, run.parallel)
      } else {
        try frames.run(x, window, y, Double.self, run.parallel)
      }
    }
  }
}

/// Where the frames of a signal lie.
private struct FrameLayout {
  private let batch: Int
  private let signalLength: Int
  private let parts: Int
  private let step: Int
  let length: Int
  private let frameCount: Int
  private let binCount: Int
  var outputDims: [Int] { [batch, frameCount, binCount, 2] }

  init(
    _ view: some NodeView, _ signal: Shape, step: Tensor, window: Shape?, length given: Tensor?
  ) throws(StackLensError) {
    guard signal.rank == 3, signal[2] == 1 || signal[2] == 2 else {
      throw .shapeMismatch("input 0 has shape \(signal), expected [batch, length, 1 or 2]")
    }
    (batch, signalLength, parts) = (signal[0], signal[1], signal[2])
    self.step = try step.integer("frame_step")
    guard self.step > 0 else { throw .invalidArgument("frame_step is \(self.step)") }
    if let window, window.rank != 1 {
      throw .shapeMismatch("window has shape \(window), expected one axis")
    }
    length = try given?.integer("frame_length") ?? window?.count ?? signalLength
    if let window, window.count != length {
      throw .shapeMismatch("window has shape \(window), expected frame_length \(length)")
    }
    guard length > 0, length <= signalLength else {
      throw .shapeMismatch("frames of \(length) do not fit a signal of \(signalLength)")
    }
    let isOneSided = try view.flag("onesided")
    guard !isOneSided || parts == 1 else {
      throw .invalidArgument("a one-sided transform needs a real signal, found \(signal)")
    }
    frameCount = (signalLength - length) / self.step + 1
    binCount = isOneSided ? length / 2 + 1 : length
  }

  func run<T: RealElement, N: FourierNumber>(
    _ x: UnsafePointer<T>, _ window: UnsafePointer<T>?, _ y: UnsafeMutablePointer<T>, _: N.Type,
    _ parallel: Parallel
  ) throws(StackLensError) {
    let plan = try FourierPlan<N>(length)
    parallel.ranges(batch * frameCount, grain: max(1, (1 << 12) / length)) { range in
      withUnsafeTemporaryAllocation(
        of: N.self, capacity: 2 * length + plan.workCount
      ) { buffer in
        guard let data = buffer.baseAddress else { return }
        for frame in range {
          let (row, index) = frame.quotientAndRemainder(dividingBy: frameCount)
          let source = x + (row * signalLength + index * step) * parts
          for i in 0..<length {
            let weight: N = window.map { N.read($0[i]) } ?? 1
            data[2 * i] = N.read(source[i * parts]) * weight
            data[2 * i + 1] = parts == 2 ? N.read(source[i * parts + 1]) * weight : 0
          }
          if parts == 1 {
            plan.transformReal(data, data + 2 * length, inverse: false)
          } else {
            plan.transform(data, data + 2 * length, inverse: false)
          }
          let target = y + frame * binCount * 2
          for i in 0..<2 * binCount { target[i] = data[i].element(T.self) }
        }
      }
    }
  }
}
