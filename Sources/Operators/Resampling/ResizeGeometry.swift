import Base
import Glibc
import Graphs
import Tensors

/// How Resize maps each axis of its output to its input. Coordinates are computed in float32, as
/// the models in use expect from their own runtimes.
struct ResizeGeometry: Sendable {
  enum Mode: String { case nearest, linear, cubic }
  enum Coordinates: String {
    case halfPixel = "half_pixel"
    case halfPixelSymmetric = "half_pixel_symmetric"
    case pytorchHalfPixel = "pytorch_half_pixel"
    case alignCorners = "align_corners"
    case asymmetric
    case cropAndResize = "tf_crop_and_resize"
    /// Opsets 11 and 12 only.
    case halfPixelForNearest = "tf_half_pixel_for_nn"
  }
  enum Rounding: String {
    case preferFloor = "round_prefer_floor"
    case preferCeil = "round_prefer_ceil"
    case floor, ceil
  }
  struct Axis: Sendable {
    var input: Int
    var output: Int
    var scale: Float = 1
    /// Region of interest in the unit interval, for crop and resize.
    var region: (start: Float, end: Float) = (0, 1)
  }

  let mode: Mode
  let coordinates: Coordinates
  let rounding: Rounding
  let isAntialiased: Bool
  let excludesOutside: Bool
  let cubicCoefficient: Float
  let axes: [Axis]

  private static let limit = 1 << 31

  private static func option<T: RawRepresentable>(
    _ view: some NodeView, _ name: String, _: T.Type
  ) throws(StackLensError) -> T where T.RawValue == String {
    let found = try view.string(name)
    guard let value = T(rawValue: found) else {
      throw .invalidArgument("attribute '\(name)' is '\(found)', which is unknown")
    }
    return value
  }

  /// - Parameters:
  ///   - roi, scales, sizes: nil or empty where left out.
  init(
    _ view: some NodeView, input: Shape, roi: Tensor?, scales: Tensor?, sizes: Tensor?
  ) throws(StackLensError) {
    mode = try Self.option(view, "mode", Mode.self)
    coordinates = try Self.option(view, "coordinate_transformation_mode", Coordinates.self)
    rounding = try Self.option(view, "nearest_mode", Rounding.self)
    isAntialiased = try view.flag("antialias")
    excludesOutside = try view.flag("exclude_outside")
    cubicCoefficient = try view.float("cubic_coeff_a")
    var chosen = Array(0..<input.rank)
    if let given = try view.ints("axes") {
      chosen = []
      for axis in given {
        let axis = try input.axis(axis)
        guard !chosen.contains(axis) else { throw .invalidArgument("axes \(given) repeat \(axis)") }
        chosen.append(axis)
      }
    }
    var axes = input.dims.map { Axis(input: $0, output: $0) }
    for axis in axes where axis.input >= Self.limit {
      throw .unsupported("resizing an axis of \(axis.input) elements")
    }
    func checkCount(_ name: String, _ count: Int, _ expected: Int) throws(StackLensError) {
      guard count == expected else {
        throw .invalidArgument("\(name) has \(count) elements, expected \(expected)")
      }
    }
    if let scales, scales.count > 0 {
      guard sizes == nil || sizes?.count == 0 else {
        throw .invalidArgument("both scales and sizes are given")
      }
      let factors = try Self.floats(scales)
      try checkCount("scales", factors.count, chosen.count)
      for (axis, factor) in zip(chosen, factors) {
        let extent = (Float(axes[axis].input) * factor).rounded(.down)
        guard factor > 0, extent < Float(Self.limit) else {
          throw .invalidArgument(
            "scale \(factor) of axis \(axis) with \(axes[axis].input) elements")
        }
        axes[axis].scale = factor
        axes[axis].output = Int(extent)
      }
    } else if let sizes, sizes.count > 0 {
      let extents = try sizes.integers()
      try checkCount("sizes", extents.count, chosen.count)
      guard extents.allSatisfy({ $0 >= 0 && $0 < Self.limit }) else {
        throw .invalidArgument("sizes \(extents) are not all in [0, 2^31)")
      }
      for (axis, extent) in zip(chosen, extents) {
        axes[axis].output = extent
        axes[axis].scale = Float(extent) / Float(axes[axis].input)
      }
      try Self.keepAspect(view, chosen, &axes)
    } else {
      throw .invalidArgument("neither scales nor sizes are given")
    }
    for (index, axis) in axes.enumerated() where axis.input == 0 && axis.output > 0 {
      throw .shapeMismatch("axis \(index) cannot grow from 0 to \(axis.output) elements")
    }
    if coordinates == .cropAndResize {
      let region = try (roi.map(Self.floats)) ?? []
      try checkCount("roi", region.count, 2 * chosen.count)
      for (index, axis) in chosen.enumerated() {
        axes[axis].region = (region[index], region[index + chosen.count])
      }
    }
    self.axes = axes
  }

  private static func floats(_ tensor: Tensor) throws(StackLensError) -> [Float] {
    switch tensor.elementType {
    case .float32: return try tensor.elements(as: Float.self)
    case .float64: return try tensor.elements(as: Double.self).map { Float($0) }
    case .float16: return try tensor.elements(as: Float16.self).map { Float($0) }
    case .bfloat16: return try tensor.elements(as: BFloat16.self).map { $0.float }
    default: throw .typeMismatch("roi is \(tensor.elementType.name), expected a float type")
    }
  }

  private static func keepAspect(
    _ view: some NodeView, _ chosen: [Int], _ axes: inout [Axis]
  ) throws(StackLensError) {
    let policy = try view.string("keep_aspect_ratio_policy")
    guard policy != "stretch" else { return }
    guard policy == "not_larger" || policy == "not_smaller" else {
      throw .invalidArgument("attribute 'keep_aspect_ratio_policy' is '\(policy)'")
    }
    let scales = chosen.map { axes[$0].scale }
    guard
      let scale = policy == "not_larger"
        ? scales.min(by: <) : scales.max(by: <)
    else { return }
    for axis in chosen {
      let extent = (scale * Float(axes[axis].input) + 0.5).rounded(.down)
      guard extent >= 0, extent < Float(limit) else {
        throw .invalidArgument("scale \(scale) of axis \(axis) with \(axes[axis].input) elements")
      }
      axes[axis].scale = scale
      axes[axis].output = Int(extent)
    }
  }

  /// Where output element `index` of an axis lies on the input's axis.
  func coordinate(_ index: Int, _ axis: Axis) -> Float {
    let x = Float(index)
    let (input, output) = (Float(axis.input), Float(axis.output))
    switch coordinates {
    case .halfPixel: return (x + 0.5) / axis.scale - 0.5
    case .halfPixelSymmetric:
      let adjustment = output / (axis.scale * input)
      return input / 2 * (1 - adjustment) + (x + 0.5) / axis.scale - 0.5
    case .pytorchHalfPixel: return axis.output > 1 ? (x + 0.5) / axis.scale - 0.5 : 0
    case .alignCorners:
      return axis.output == 1 ? 0 : x * (input - 1) / (axis.scale * input - 1)
    case .asymmetric: return x / axis.scale
    case .halfPixelForNearest: return (x + 0.5) / axis.scale
    case .cropAndResize:
      let (start, end) = axis.region
      return axis.output > 1
        ? start * (input - 1) + x * (end - start) * (input - 1) / (output - 1)
        : 0.5 * (start + end) * (input - 1)
    }
  }

  /// Whether the axis comes out as it went in.
  func isIdentity(_ axis: Axis) -> Bool {
    guard axis.input == axis.output, axis.scale == 1 else { return false }
    if case .cropAndResize = coordinates { return axis.region == (0, 1) }
    return coordinates != .halfPixelForNearest || mode == .nearest && rounding == .floor
  }

  func nearest(_ x: Float) -> Float {
    switch rounding {
    case .floor: x.rounded(.down)
    case .ceil: x.rounded(.up)
    case .preferFloor: (x - 0.5).rounded(.up)
    case .preferCeil: (x + 0.5).rounded(.down)
    }
  }
}
