import Base
import Tensors

extension ConvolutionGeometry {
  /// The plain convolution: y[n, o] = Σ x w, over channels, then kernel positions in order.
  func computeReference<T: ComputeElement>(
    _ x: UnsafePointer<T>, _ w: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>,
    _ parallel: Parallel
  ) {
    let (depth, height, width) = (axes[0], axes[1], axes[2])
    let outputs = groupCount * outputChannels
    parallel.ranges(batch * outputs, grain: 1) { maps in
      for map in maps {
        let (image, channel) = map.quotientAndRemainder(dividingBy: outputs)
        let group = channel / outputChannels
        let source = x + (image * groupCount + group) * inputChannels * inputPixels
        let weights = w + channel * termCount
        var target = y + map * outputPixels
        for z in 0..<depth.output {
          for row in 0..<height.output {
            for column in 0..<width.output {
              target.pointee = term(
                source, weights, z * depth.stride - depth.padBegin,
                row * height.stride - height.padBegin, column * width.stride - width.padBegin)
              target += 1
            }
          }
        }
      }
    }
  }

  /// The sum of one output whose kernel begins at the given input position.
  private func term<T: ComputeElement>(
    _ source: UnsafePointer<T>, _ weights: UnsafePointer<T>, _ z0: Int, _ y0: Int, _ x0: Int
  ) -> T {
    let (depth, height, width) = (axes[0], axes[1], axes[2])
    var sum = T.zero
    var weight = weights
    for channel in 0..<inputChannels {
      let plane = source + channel * inputPixels
      for kz in 0..<depth.kernel {
        let z = z0 + kz * depth.dilation
        for ky in 0..<height.kernel {
          let y = y0 + ky * height.dilation
          guard z >= 0, z < depth.input, y >= 0, y < height.input else {
            weight += width.kernel
            continue
          }
          let line = plane + (z * height.input + y) * width.input
          for kx in 0..<width.kernel {
            let x = x0 + kx * width.dilation
            if x >= 0 && x < width.input {
              sum = T.add(sum, T.multiply(line[x], weight.pointee))
            }
            weight += 1
          }
        }
      }
    }
    return sum
  }

  /// The plain transposed convolution: every input adds its multiple of the kernel to the output.
  func computeTransposedReference<T: ComputeElement>(
    _ x: UnsafePointer<T>, _ w: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>,
    _ parallel: Parallel
  ) {
    let outputs = groupCount * outputChannels
    let pixels = outputPixels
    parallel.ranges(batch * outputs, grain: 1) { maps in
      for map in maps {
        let (image, channel) = map.quotientAndRemainder(dividingBy: outputs)
        let (group, inGroup) = channel.quotientAndRemainder(dividingBy: outputChannels)
        let target = y + map * pixels
        for i in 0..<pixels { target[i] = T.zero }
        for c in 0..<inputChannels {
          let from = group * inputChannels + c
          spread(
            x + (image * groupCount * inputChannels + from) * inputPixels,
            w + (from * outputChannels + inGroup) * kernelCount, target)
        }
      }
    }
  }

  private func spread<T: ComputeElement>(
    _ source: UnsafePointer<T>, _ weights: UnsafePointer<T>, _ target: UnsafeMutablePointer<T>
  ) {
    let (depth, height, width) = (axes[0], axes[1], axes[2])
    var value = source
    for z in 0..<depth.input {
      for row in 0..<height.input {
        for column in 0..<width.input {
          var weight = weights
          for kz in 0..<depth.kernel {
            let oz = z * depth.stride + kz * depth.dilation - depth.padBegin
            for ky in 0..<height.kernel {
              let oy = row * height.stride + ky * height.dilation - height.padBegin
              guard oz >= 0, oz < depth.output, oy >= 0, oy < height.output else {
                weight += width.kernel
                continue
              }
              let line = target + (oz * height.output + oy) * width.output
              for kx in 0..<width.kernel {
                let ox = column * width.stride + kx * width.dilation - width.padBegin
                if ox >= 0 && ox < width.output {
                  line[ox] = T.add(line[ox], T.multiply(value.pointee, weight.pointee))
                }
                weight += 1
              }
            }
          }
          value += 1
        }
      }
    }
  }
}
