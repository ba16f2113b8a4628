import Base
import Graphs
import Tensors

extension OperatorTable {
  static let resampling: [OperatorDefinition] = [
    .resize, .resizeGradient, .upsample, .affineGrid, .gridSample, .roiAlign,
    .gridSampleInputGradient, .gridSampleGridGradient, .roiAlignGradient,
  ]
}

extension OperatorDefinition {
  /// Resamples along any axes by nearest neighbour, linear or cubic interpolation. ONNX Resize-19.
  /// Integer results of interpolation round towards zero.
  static let resize = OperatorDefinition(
    "Resize", versions: [10, 11, 13, 18, 19], inputs: 2...4,
    attributes: [
      .int("antialias", default: 0), .optional("axes", .ints),
      .string("coordinate_transformation_mode", default: "half_pixel"),
      .float("cubic_coeff_a", default: -0.75), .int("exclude_outside", default: 0),
      .float("extrapolation_value", default: 0),
      .string("keep_aspect_ratio_policy", default: "stretch"), .string("mode", default: "nearest"),
      .string("nearest_mode", default: "round_prefer_floor"),
    ],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let crops = try context.string("coordinate_transformation_mode") == "tf_crop_and_resize"
      let geometry = try ResizeGeometry(
        context, input: input.shape, roi: crops ? try context.optionalValue(1) : nil,
        scales: try context.optionalValue(2), sizes: try context.optionalValue(3))
      if geometry.mode != .nearest, !input.elementType.isNumeric {
        throw .typeMismatch("\(input.elementType.name) has no \(geometry.mode.rawValue) resize")
      }
      return [TensorType(input.elementType, try Shape(geometry.axes.map(\.output)))]
    },
    execution: .kernels([.reference(prepareResize)]),
    lift: liftResize, lower: lowerResize, gradient: .resize,
    samples: [
      Sample([.floats(1, 2, 3, 4), .absent, .tensor(scales)], ["mode": .string("linear")]),
      Sample(
        [.floats(1, 2, 3, 4), .absent, .absent, .ints([1, 2, 7, 5])], ["mode": .string("cubic")]),
      Sample(
        [.floats(1, 2, 9, 8), .absent, .absent, .ints([4, 3])],
        ["mode": .string("linear"), "antialias": .int(1), "axes": .ints([-2, 3])]),
      Sample(
        [.random(.uint8, [2, 3, 4], low: 0, high: 255), .absent, .absent, .ints([2, 5, 3])],
        ["coordinate_transformation_mode": .string("asymmetric"), "nearest_mode": .string("floor")]),
      Sample([.floats(2, 0), .absent, .absent, .ints([4, 0])]),
    ])

  @Sendable private static func scales() throws(StackLensError) -> Tensor {
    try Tensor([Float(1), 1, 2, 1.5])
  }

  /// Resampling by scales, from the first element on: Resize in its oldest form. ONNX Upsample-10.
  static let upsample = OperatorDefinition(
    composing: "Upsample", versions: [1, 7, 9, 10], inputs: 2...2,
    attributes: [.string("mode", default: "nearest")],
    samples: [
      Sample([.floats(1, 2, 3, 4), .tensor(scales)]),
      Sample([.floats(1, 2, 3, 4), .tensor(scales)], ["mode": .string("linear")]),
    ],
    lift: { (node, opset, rewriter) throws(StackLensError) in
      if opset >= 9, node.inputs.count == 2 { return [asResize(node, scales: node.inputs[1])] }
      var factors: [Float]?
      if case .floats(let values)? = node.attributes["scales"] { factors = values }
      if case .float(let height)? = node.attributes["height_scale"],
        case .float(let width)? = node.attributes["width_scale"]
      {
        factors = [1, 1, height, width]
      }
      guard let factors else { throw .formatError("Upsample of opset \(opset) has no scales") }
      return [asResize(node, scales: rewriter.constant(try Tensor(factors), "scales"))]
    })

  private static func asResize(_ node: Node, scales: String) -> Node {
    let mode = string(node, "mode") ?? "nearest"
    var resize = node
    resize.opType = "Resize"
    resize.inputs = [node.inputs.first ?? "", "", scales]
    resize.attributes = [
      "mode": .string(mode == "bilinear" ? "linear" : mode),
      "coordinate_transformation_mode": .string("asymmetric"),
      "nearest_mode": .string("floor"),
    ]
    return resize
  }

  private static let liftResize: Convert = { (node, opset, rewriter) throws(StackLensError) in
    guard opset < 11 else { return [node] }
    var node = node
    let scales = node.inputs.count > 1 ? node.inputs[1] : ""
    var rounding = "floor"
    if let tensor = rewriter.value(of: scales), tensor.elementType == .float32 {
      // This form takes the nearest element above where it shrinks.
      if try tensor.elements(as: Float.self).contains(where: { $0 < 1 }) { rounding = "ceil" }
    }
    node.inputs = [node.inputs[0], "", scales]
    node.attributes["coordinate_transformation_mode"] = .string("asymmetric")
    node.attributes["nearest_mode"] = .string(rounding)
    return [node]
  }

  private static let lowerResize: Convert = { (node, opset, rewriter) throws(StackLensError) in
    let drop = dropDefaults([
      ("antialias", 18, { $0.isInt(0) }),
      ("keep_aspect_ratio_policy", 18, { $0.isString("stretch") }),
    ])
    guard var node = try drop(node, opset, &rewriter).first else { return [] }
    if opset < 18, case .ints(let axes)? = node.attributes.removeValue(forKey: "axes") {
      var steps = Decomposition(node, opset)
      node = try withoutAxes(node, axes, &steps, &rewriter)
      return steps.nodes + [try lowerForms(node, opset, &rewriter)]
    }
    return [try lowerForms(node, opset, &rewriter)]
  }

  /// Scales and sizes for every axis.
  private static func withoutAxes(
    _ node: Node, _ axes: [Int64], _ steps: inout Decomposition, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> Node {
    var node = node
    let places = try rewriter.ints(axes, "axes")
    func isGiven(_ index: Int) -> Bool {
      index < node.inputs.count && !node.inputs[index].isEmpty
    }
    if node.attributes["coordinate_transformation_mode"]?.isString("tf_crop_and_resize") == true {
      throw .unsupported("Resize of a region along axes needs opset 18")
    }
    if isGiven(1) { node.inputs[1] = "" }
    if isGiven(2) {
      node.inputs[2] = try steps.alongAxes(
        node.inputs[2], at: places, of: node.inputs[0], base: nil, else: try Tensor([Float(1)]),
        &rewriter)
    }
    if isGiven(3) {
      let shape = steps.apply("Shape", [node.inputs[0]], &rewriter)
      node.inputs[3] = try steps.alongAxes(
        node.inputs[3], at: places, of: node.inputs[0], base: shape, else: try Tensor([Int64(0)]),
        &rewriter)
    }
    return node
  }

  /// The forms before opset 13 and 11.
  private static func lowerForms(
    _ source: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> Node {
    var node = source
    let coordinates = string(node, "coordinate_transformation_mode") ?? "half_pixel"
    func refuse(_ what: String) -> StackLensError {
      .unsupported("Resize with \(what) cannot be written for opset \(opset)")
    }
    if coordinates == "half_pixel_symmetric", opset < 19 { throw refuse(coordinates) }
    if coordinates == "tf_half_pixel_for_nn", opset != 11, opset != 12 {
      throw refuse(coordinates)
    }
    guard opset < 13 else { return node }
    guard opset >= 10 else { throw refuse("any attributes") }
    func input(_ index: Int) -> String { index < node.inputs.count ? node.inputs[index] : "" }
    if opset == 10 {
      let mode = string(node, "mode") ?? "nearest"
      let rounding = string(node, "nearest_mode") ?? "round_prefer_floor"
      guard coordinates == "asymmetric", !input(2).isEmpty,
        mode == "linear" || mode == "nearest" && rounding == "floor"
      else { throw refuse("mode \(mode), \(coordinates), \(rounding)") }
      node.inputs = [input(0), input(2)]
      node.attributes = ["mode": .string(mode)]
      return node
    }
    for index in 1...2 where input(index).isEmpty {
      while node.inputs.count <= index { node.inputs.append("") }
      node.inputs[index] = rewriter.constant(try Tensor([Float]()), index == 1 ? "roi" : "scales")
    }
    return node
  }

  private static func string(_ node: Node, _ name: String) -> String? {
    if case .string(let value)? = node.attributes[name] { value } else { nil }
  }
}
