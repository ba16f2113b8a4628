import Base
import Graphs
import Tensors

/// What a pool makes of a window.
public enum PoolKind: String, Sendable, CaseIterable {
  case max, average
}

extension LayerDefinition {
  static let pools: [LayerDefinition] =
    (1...3).flatMap { axes in
      [maxPool(axes), averagePool(axes)] + PoolKind.allCases.map { adaptivePool($0, axes) }
    } + PoolKind.allCases.map(globalPool)

  private static let windows: [OptionSpec] = [
    .integers("kernel_size", 1...OptionSpec.largest, default: nil, isRequired: true, "Window."),
    .integers("stride", 1...OptionSpec.largest, default: nil, "Step; the window if not given."),
    .integers("padding", default: 0, "Added on both sides of each axis; half a window at most."),
    .flag("ceil_mode", default: false, "Whether a last window may reach over the end."),
  ]

  private static func maxPool(_ axes: Int) -> LayerDefinition {
    LayerDefinition(
      "max_pool\(axes)d", "The largest of each window of \(Windows.form(axes)).",
      options: windows + [
        .integers("dilation", 1...OptionSpec.largest, default: 1, "Step within the window.")
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.pool(
          name, inputs.required(0), .max, poolWindows(options, axes),
          ceilMode: options.flag("ceil_mode"))
      ]
    }
  }

  private static func averagePool(_ axes: Int) -> LayerDefinition {
    LayerDefinition(
      "avg_pool\(axes)d", "The mean of each window of \(Windows.form(axes)).",
      options: windows + [
        .flag("count_include_pad", default: true, "Whether the padding counts as zeros.")
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.pool(
          name, inputs.required(0), .average, poolWindows(options, axes),
          ceilMode: options.flag("ceil_mode"), countsPadding: options.flag("count_include_pad"))
      ]
    }
  }

  private static func poolWindows(
    _ options: OptionValues, _ axes: Int
  ) throws(StackLensError) -> Windows {
    let kernel = try options.integers("kernel_size", axes) ?? []
    return try Windows(
      kernel, stride: options.integers("stride", axes) ?? kernel,
      padding: .symmetric(options.integers("padding", axes) ?? [0]),
      dilation: options.has("dilation") ? options.integers("dilation", axes) ?? [1] : [1])
  }

  private static func adaptivePool(_ kind: PoolKind, _ axes: Int) -> LayerDefinition {
    LayerDefinition(
      "adaptive_\(kind == .max ? "max" : "avg")_pool\(axes)d",
      "Windows of \(Windows.form(axes)) that give an output of a certain size, whatever the input's.",
      options: [
        .integers(
          "output_size", 1...1 << 20, default: nil, isRequired: true, "Extents of the output.")
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.adaptivePool(
          name, inputs.required(0), kind, to: options.integers("output_size", axes) ?? [])
      ]
    }
  }

  private static func globalPool(_ kind: PoolKind) -> LayerDefinition {
    LayerDefinition(
      "global_\(kind == .max ? "max" : "avg")_pool",
      "One number for each channel; the axes behind the channels become 1, or go.",
      options: [.flag("keep_dims", default: false, "Whether axes of 1 stay.")]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.globalPool(
          name, inputs.required(0), kind, keepDims: options.flag("keep_dims"))
      ]
    }
  }
}

extension Network {
  /// The largest or the mean of each window.
  /// - Parameters:
  ///   - ceilMode: whether a last window may reach over the end.
  ///   - countsPadding: whether the padding counts as zeros in means.
  public func pool(
    _ name: String, _ x: Edge, _ kind: PoolKind, _ windows: Windows, ceilMode: Bool = false,
    countsPadding: Bool = true
  ) throws(StackLensError) -> Edge {
    let axes = windows.kernel.count
    try check(x, rank: axes + 2...axes + 2, Windows.form(axes))
    for (pad, size) in zip(windows.sides.high, windows.kernel) where pad > size / 2 {
      throw .invalidArgument("'padding' is \(pad), more than half of a window of \(size)")
    }
    var attributes = windows.attributes(dilations: kind == .max)
    attributes["ceil_mode"] = .int(ceilMode ? 1 : 0)
    if kind == .average { attributes["count_include_pad"] = .int(countsPadding ? 1 : 0) }
    return try scope(name) { () throws(StackLensError) in
      graph.add(kind == .max ? "MaxPool" : "AveragePool", [x], attributes)
    }
  }

  /// One number for each channel of [batch, channels, …].
  public func globalPool(
    _ name: String, _ x: Edge, _ kind: PoolKind, keepDims: Bool = false
  ) throws(StackLensError) -> Edge {
    try scope(name) { () throws(StackLensError) in
      let pooled = graph.add(kind == .max ? "GlobalMaxPool" : "GlobalAveragePool", [x])
      return keepDims ? pooled : try flatten("", pooled)
    }
  }
}
