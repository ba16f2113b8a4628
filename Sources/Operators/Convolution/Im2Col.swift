import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The transpose of Col2Im: the columns of blocks that slide over an image, from `[N, C, image…]`
  /// and the extents of a block; zeros outside of the image.
  static let im2Col = OperatorDefinition(
    "Im2Col", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    attributes: col2Im.attributes,
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals)
      let blocks = try BlockLayout(
        context, image: x.shape, block: try context.value(1).integers())
      return [TensorType(x.elementType, try Shape(try blocks.columnDims()))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (x, options) = (try preparation.input(0), NodeOptions(preparation))
        let output = preparation.outputs[0].shape
        return PreparedKernel { (run) throws(StackLensError) in
          let blocks = try BlockLayout(options, image: x.shape, block: run.input(1).integers())
          guard try blocks.columnDims() == output.dims else {
            throw .shapeMismatch("Im2Col gives \(try blocks.columnDims()), planned \(output)")
          }
          x.elementType.byWidth(
            BlockCopy(
              blocks: blocks, x: try run.input(0).base, y: run.outputs[0].base,
              parallel: run.parallel))
        }
      }
    ]),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let image = scope.apply(
        "Shape", try scope.input(0), attributes: ["start": .int(2)])
      return [
        scope.graph.add(
          "Col2Im", [try scope.arriving(), image, try scope.input(1)], scope.node.attributes), nil,
      ]
    },
    samples: [
      Sample([.floats(1, 1, 5, 5), .ints([1, 5])]),
      Sample(
        [.floats(2, 2, 4, 4), .ints([2, 2])],
        ["pads": .ints([1, 0, 1, 1]), "strides": .ints([2, 1]), "dilations": .ints([3, 2])]),
      Sample([.floats(0, 2, 6), .ints([3])]),
    ])
}

private struct BlockCopy: WidthWork {
  let blocks: BlockLayout
  let x: UnsafeRawPointer
  let y: UnsafeMutableRawPointer
  let parallel: Parallel

  func callAsFunction<Element>(_: Element.Type) {
    let (source, target) = (
      x.assumingMemoryBound(to: Element.self), y.assumingMemoryBound(to: Element.self)
    )
    let (pixels, columns) = (blocks.pixelCount, blocks.columnCount)
    parallel.ranges(blocks.mapCount, grain: 1) { maps in
      for map in maps {
        clearElements(target + map * columns, count: columns)
        blocks.forEachPair { column, pixel in
          target[map * columns + column] = source[map * pixels + pixel]
        }
      }
    }
  }
}
