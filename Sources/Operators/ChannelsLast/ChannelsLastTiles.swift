import Base
import CKernels
import Tensors

/// How Winograd's F(4x4, 3x3) cuts the images of a convolution with its channels last into tiles.
struct ChannelsLastTiles: Sendable {
  private let geometry: ConvolutionGeometry
  let tiles: slk_winograd_tiles
  /// Tiles of all images.
  let count: Int

  /// Least channels on either side for which the transforms pay.
  private static let leastChannels = 32
  /// Fewer tiles would wait for the weights.
  private static let leastCount = 12
  /// So many pay for transforming the weights as well.
  private static let largeCount = 32

  /// Whether it pays where weights are transformed in each run.
  var isLarge: Bool { count >= Self.largeCount }

  /// Nil where the convolution has another form or is too small.
  init?(_ geometry: ConvolutionGeometry) {
    guard geometry.groupCount == 1, geometry.inputChannels >= Self.leastChannels,
      geometry.outputChannels >= Self.leastChannels, geometry.rank == 2,
      geometry.axes[1...].allSatisfy({ $0.kernel == 3 && $0.stride == 1 && $0.dilation == 1 })
    else { return nil }
    let (height, width) = (geometry.axes[1].output, geometry.axes[2].output)
    let (rows, columns) = ((height + 3) / 4, (width + 3) / 4)
    guard let count = try? Shape([geometry.batch, rows, columns]).count, count >= Self.leastCount,
      geometry.outputPixels * 10 >= rows * columns * 16 * 7
    else { return nil }
    self.geometry = geometry
    self.count = count
    tiles = slk_winograd_tiles(height: height, width: width, rows: rows, columns: columns)
  }

  /// The 6 x 6 inputs of each tile.
  var inputs: slk_convolution { patches(6) }

  /// The 4 x 4 outputs of each tile, of an image that a convolution made.
  var outputs: slk_convolution {
    var result = patches(4)
    result.input = (1, tiles.height, tiles.width)
    result.pad = (0, 0, 0)
    return result
  }

  private func patches(_ extent: Int) -> slk_convolution {
    var result = geometry.native
    result.kernel = (1, extent, extent)
    result.stride = (1, 4, 4)
    result.output = (1, tiles.rows, tiles.columns)
    return result
  }
}
