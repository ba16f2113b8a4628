import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through RoiAlign: from g, the images, the regions and their image indices, the gradients of
  /// the images and of the regions.
  static let roiAlignGradient = OperatorDefinition(
    "RoiAlignGradient", domain: "ai.stacklens", versions: [1], inputs: 4...4, outputs: 1...2,
    attributes: roiAlign.attributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1, 2)
      let (x, rois) = (try context.input(1), try context.input(2))
      let images = try context.input(3, oneOf: [.int64])
      let output = try RoiAligner.output(
        context, x: x.shape, rois: rois.shape, images: images.shape)
      guard g.shape == output else {
        throw .shapeMismatch("gradient \(g) of a RoiAlign that makes \(output)")
      }
      return [x, rois]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let aligner = try RoiAligner(
          preparation, x: preparation.input(1).shape, output: preparation.input(0).shape)
        let counts = preparation.outputs.map(\.shape.count)
        let names = preparation.node.outputs
        let (wantsImages, wantsRegions) = (!names[0].isEmpty, names.count > 1 && !names[1].isEmpty)
        return try wideKernel(Double.self, preparation, inputs: 3) {
          (wide) throws(StackLensError) in
          let back = RoiAlignBack(
            aligner: aligner, g: try wide.input(0), x: try wide.input(1),
            regions: try aligner.regions(try wide.input(2), try wide.run.input(3).int64s))
          for (target, count) in zip(wide.outputs, counts) {
            target.update(repeating: 0, count: count)
          }
          guard counts[0] > 0, counts[1] > 0 else { return }
          if wantsImages { back.spread(wide.outputs[0], wide.run.parallel) }
          if wantsRegions { back.move(wide.outputs[1], wide.run.parallel) }
        }
      }
    ]),
    gradient: GradientRule(inputs: 3) { (scope) throws(StackLensError) in
      let further = scope.outputGradients.dropFirst().contains { $0 != nil }
      guard !scope.wants(1), !scope.wants(2), !further,
        try scope.string("mode") == "avg"
      else {
        throw .unsupported(
          "RoiAlign has second derivatives by its images alone, and only with mode 'avg'")
      }
      let inputs = [try scope.arriving()] + scope.inputs.dropFirst(2)
      return [scope.graph.add("RoiAlign", inputs, scope.node.attributes), nil, nil, nil]
    },
    samples: [
      Sample(
        [.floats(2, 3, 2, 3), .floats(2, 3, 6, 5), .tensor(regions), .ints([0, 1])],
        ["output_height": .int(2), "output_width": .int(3), "sampling_ratio": .int(2)], outputs: 2),
      Sample(
        [.floats(2, 3, 1, 1), .floats(2, 3, 6, 5), .tensor(regions), .ints([1, 1])],
        ["mode": .string("max"), "coordinate_transformation_mode": .string("output_half_pixel")],
        outputs: 2),
      Sample(
        [.floats(0, 3, 1, 1), .floats(1, 3, 6, 5), .floats(0, 4), .ints([])], outputs: 2),
    ])
}

extension GradientRule {
  static let roiAlign = GradientRule(inputs: 2) { (scope) throws(StackLensError) in
    let made = scope.graph.add(
      "RoiAlignGradient", [try scope.arriving()] + scope.inputs, scope.node.attributes,
      domain: "ai.stacklens", wanted: [scope.wants(0), scope.wants(1)])
    return made + [nil]
  }
}

/// What flows back from the cells of all regions.
private struct RoiAlignBack {
  let aligner: RoiAligner
  let g: UnsafePointer<Double>
  let x: UnsafePointer<Double>
  let regions: [RoiAligner.Region]

  /// One pixel's part in a cell.
  private struct Term {
    var offset = 0
    var weight = 0.0
    /// How the weight changes with the sample's row and column, and how far through the region the
    /// sample lies.
    var slopes = SIMD2<Double>(0, 0)
    var shares = SIMD2<Double>(0, 0)
  }

  /// To the pixels of the images. Regions may share them: threads share the channels.
  func spread(_ dx: UnsafeMutablePointer<Double>, _ parallel: Parallel) {
    parallel.forEach(aligner.channels) { channel in
      for region in regions.indices {
        let map = (regions[region].image * aligner.channels + channel) * aligner.pixels
        forEachTerm(region, channel) { gradient, term in
          dx[map + term.offset] += gradient * term.weight
        }
      }
    }
  }

  /// To the corners of the regions.
  func move(_ corners: UnsafeMutablePointer<Double>, _ parallel: Parallel) {
    parallel.forEach(regions.count) { region in
      let (vertical, horizontal) = (regions[region].vertical, regions[region].horizontal)
      var sums = SIMD4<Double>.zero
      for channel in 0..<aligner.channels {
        let map = x + (regions[region].image * aligner.channels + channel) * aligner.pixels
        forEachTerm(region, channel) { gradient, term in
          let flowing = gradient * map[term.offset] * term.slopes
          let (y, x) = (vertical.rates(term.shares[0]), horizontal.rates(term.shares[1]))
          sums += SIMD4(
            flowing[1] * x.first, flowing[0] * y.first, flowing[1] * x.last, flowing[0] * y.last)
        }
      }
      for corner in 0..<4 { corners[region * 4 + corner] = sums[corner] }
    }
  }

  /// Calls `body` with every pixel that the cells of a region are made of and the gradient that
  /// reaches it.
  @inline(__always)
  private func forEachTerm(
    _ region: Int, _ channel: Int, _ body: (_ gradient: Double, _ term: Term) -> Void
  ) {
    let (vertical, horizontal) = (regions[region].vertical, regions[region].horizontal)
    let map = x + (regions[region].image * aligner.channels + channel) * aligner.pixels
    let cells = g + (region * aligner.channels + channel) * aligner.height * aligner.width
    for row in 0..<aligner.height {
      let down = aligner.samples(vertical, row, aligner.extents.height)
      for column in 0..<aligner.width {
        let across = aligner.samples(horizontal, column, aligner.extents.width)
        let arriving = cells[row * aligner.width + column]
        if aligner.isMaximum {
          if let term = largest(map, down, across) { body(arriving, term) }
        } else {
          let share = arriving / Double(max(down.count * across.count, 1))
          for v in down { for h in across { corners(v, h) { body(share, $0) } } }
        }
      }
    }
  }

  /// The four pixels around a sample; none outside of the image.
  @inline(__always)
  private func corners(
    _ v: RoiAligner.Sample?, _ h: RoiAligner.Sample?, _ body: (Term) -> Void
  ) {
    guard let v, let h else { return }
    for corner in 0..<4 {
      let (isBelow, isRight) = (corner & 2 != 0, corner & 1 != 0)
      let (down, across) = (isBelow ? v.ratio : 1 - v.ratio, isRight ? h.ratio : 1 - h.ratio)
      let slopes = SIMD2(
        (isBelow ? v.rate : -v.rate) * across, (isRight ? h.rate : -h.rate) * down)
      body(
        Term(
          offset: (isBelow ? v.high : v.low) * aligner.extents.width + (isRight ? h.high : h.low),
          weight: down * across, slopes: slopes, shares: SIMD2(v.share, h.share)))
    }
  }

  /// The first of the largest weighted pixels of a cell; nil where a sample outside is larger.
  private func largest(
    _ map: UnsafePointer<Double>, _ down: [RoiAligner.Sample?], _ across: [RoiAligner.Sample?]
  ) -> Term? {
    var best: Term?
    var value = -Double.infinity
    for v in down {
      for h in across {
        if v == nil || h == nil, value < 0 { (best, value) = (nil, 0) }
        corners(v, h) { term in
          let found = term.weight * map[term.offset]
          if found > value { (best, value) = (term, found) }
        }
      }
    }
    return best
  }
}
