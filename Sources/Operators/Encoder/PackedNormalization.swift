import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// y[t] = LayerNorm(word[ids[t]] + position[place of t in its text] + type[0]) over the rows in
  /// use: the input block of a BERT encoder.
  ///
  /// Inputs: ids int32 [T], offsets [S + 1], word [V, D], position [P, D], type [Y, D], scale [D],
  /// bias [D].
  static let packedEmbedding = OperatorDefinition(
    "PackedEmbedding", domain: stackLensDomain, versions: [1], inputs: 7...7,
    attributes: [.float("epsilon", default: 1e-12)],
    infer: { (context) throws(StackLensError) in
      let (ids, word) = (try context.input(0, oneOf: [.int32]), try context.input(2))
      try PackedRows.check(context.input(1))
      guard ids.rank == 1, word.rank == 2 else {
        throw .shapeMismatch("ids are \(ids), word vectors \(word)")
      }
      let width = word.shape[1]
      for index in 2...6 {
        let type = try context.input(index)
        guard type.elementType == .float32, type.shape.dims.last == width,
          type.rank == (index < 5 ? 2 : 1), type.shape[0] > 0
        else { throw .shapeMismatch("input \(index) is \(type), expected width \(width)") }
      }
      return [TensorType(.float32, try Shape([ids.shape[0], width]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (rows, epsilon) = (
          try preparation.input(0).shape[0], try preparation.float("epsilon")
        )
        return PreparedKernel(scratchByteCount: rows * 4) { (run) throws(StackLensError) in
          let (ids, offsets, word) = (try run.input(0), try run.input(1), try run.input(2))
          let (position, type) = (try run.input(3), try run.input(4))
          let (scale, bias) = (try run.input(5), try run.input(6))
          let bounds = try PackedRows.checked(offsets, rows: rows)
          let idValues = ids.base.assumingMemoryBound(to: Int32.self)
          let places = run.scratch.assumingMemoryBound(to: Int32.self)
          for text in 0..<offsets.count - 1 {
            let (first, last) = (Int(bounds[text]), Int(bounds[text + 1]))
            guard last - first <= position.shape[0] else {
              throw .invalidArgument(
                "text \(text) has \(last - first) tokens, the encoder has \(position.shape[0]) "
                  + "positions")
            }
            for row in first..<last {
              guard idValues[row] >= 0, idValues[row] < word.shape[0] else {
                throw .invalidArgument(
                  "token id \(idValues[row]) is outside the vocabulary of \(word.shape[0])")
              }
              places[row] = Int32(truncatingIfNeeded: row - first)
            }
          }
          let used = Int(bounds[offsets.count - 1])
          let (y, width) = (run.outputs[0].floats, word.shape[1])
          run.parallel.ranges(used, grain: 64) { range in
            slk_embed_layer_norm(
              word.floats, idValues + range.lowerBound, position.floats,
              places + range.lowerBound, type.floats, nil, scale.floats, bias.floats, epsilon,
              y + range.lowerBound * width, width, range.count, width)
          }
        }
      }
    ]),
    samples: [
      Sample([
        .random(.int32, [5], low: 0, high: 9), .ints([0, 2, 2, 5]), .floats(9, 8), .floats(3, 8),
        .floats(2, 8), .floats(8), .floats(8),
      ])
    ])

  /// y = LayerNorm(x) of the rows in use. Inputs: x [T, D], scale [D], bias [D], offsets [S + 1].
  static let packedLayerNormalization = OperatorDefinition(
    "PackedLayerNormalization", domain: stackLensDomain, versions: [1], inputs: 4...4,
    attributes: [.float("epsilon", default: 1e-12)],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.float32])
      try PackedRows.check(context.input(3))
      guard x.rank == 2, try context.input(1).shape.dims == [x.shape[1]],
        try context.input(2).shape.dims == [x.shape[1]]
      else { throw .shapeMismatch("scale and bias do not fit x \(x)") }
      return [x]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (type, epsilon) = (try preparation.input(0), try preparation.float("epsilon"))
        return PreparedKernel { (run) throws(StackLensError) in
          let (x, scale, bias) = (try run.input(0), try run.input(1), try run.input(2))
          let used = try PackedRows.count(run.input(3), rows: type.shape[0])
          let (y, width) = (run.outputs[0].floats, type.shape[1])
          run.parallel.ranges(used, grain: 16) { range in
            let first = range.lowerBound * width
            slk_layer_norm(
              x.floats + first, width, nil, 0, scale.floats, bias.floats, epsilon, y + first,
              width, range.count, width, nil, nil)
          }
        }
      }
    ]),
    samples: [
      Sample([.floats(5, 8), .floats(8), .floats(8), .ints([0, 2, 5])]),
      Sample([.floats(2, 3), .floats(3), .floats(3), .ints([0, 0, 2])]),
    ])

  /// One vector for each text: the mean, the first or the largest of its rows; zeros for a text
  /// without rows. Inputs: x [T, D], offsets [S + 1]. Output: [S, D].
  static let packedPooling = OperatorDefinition(
    "PackedPooling", domain: stackLensDomain, versions: [1], inputs: 2...2,
    attributes: [.string("mode", default: "mean"), .int("normalize", default: 0)],
    infer: { (context) throws(StackLensError) in
      let (x, offsets) = (try context.input(0, oneOf: [.float32]), try context.input(1))
      try PackedRows.check(offsets)
      guard x.rank == 2 else { throw .shapeMismatch("x is \(x), expected rank 2") }
      return [TensorType(.float32, try Shape([offsets.shape[0] - 1, x.shape[1]]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let type = try preparation.input(0)
        let (mode, normalize) = (try preparation.string("mode"), try preparation.flag("normalize"))
        guard ["mean", "cls", "max"].contains(mode) else {
          throw .invalidArgument("mode '\(mode)' is none of mean, cls, max")
        }
        return PreparedKernel { (run) throws(StackLensError) in
          let (x, offsets) = (try run.input(0), try run.input(1))
          let bounds = try PackedRows.checked(offsets, rows: type.shape[0])
          let (y, width) = (run.outputs[0].floats, type.shape[1])
          run.parallel.ranges(offsets.count - 1, grain: 8) { range in
            for text in range {
              let (first, count) = (Int(bounds[text]), Int(bounds[text + 1] - bounds[text]))
              let (source, target) = (x.floats + first * width, y + text * width)
              switch mode {
              case "cls" where count > 0: target.update(from: source, count: width)
              case "max" where count > 0:
                target.update(from: source, count: width)
                for row in 1..<max(count, 1) {
                  slk_binary_f32(
                    Int32(SLK_BINARY_MAX.rawValue), target, 1, source + row * width, 1, target,
                    width)
                }
              default: slk_mean_rows(source, width, count, width, target)
              }
              if normalize { slk_normalise_rows(target, width, 1, width, 1e-12) }
            }
          }
        }
      }
    ]),
    samples: [
      Sample([.floats(5, 8), .ints([0, 2, 2, 5])]),
      Sample([.floats(3, 4), .ints([0, 3])], ["mode": .string("max"), "normalize": .int(1)]),
    ])
}
