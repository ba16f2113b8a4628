import Base
import CKernels

/// A group of items on its way through a block of steps in one direction, for the cells whose gates
/// have a kernel with the product: LSTM as PyTorch and Keras have it, and GRU that resets after the
/// product. States go back and forth between two buffers, so that several threads can share the
/// units of a step and meet after it.
struct FusedWalk {
  let layer: RecurrentLayer
  let direction: Int
  let lengths: [Int]
  /// As in `PackedWalk`.
  let projection: UnsafePointer<Float>
  let weights: UnsafeRawPointer
  let candidateBias: UnsafePointer<Float>
  /// The states before even steps, and before odd ones.
  let states: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>)
  let cell: UnsafeMutablePointer<Float>
  let y: UnsafeMutablePointer<Float>?
  /// What gradients need of every step.
  let kept: UnsafeMutablePointer<Float>?
  /// Whether all states are 0 before the first step.
  let beginsWithZeros: Bool

  /// Whether a layer's gates are those of the kernels.
  static func fits(_ layer: RecurrentLayer, hasPeepholes: Bool) -> Bool {
    guard layer.cell != .rnn, layer.clip == .infinity, !hasPeepholes,
      !layer.couplesForgetToInput, layer.cell == .lstm || layer.appliesLinearBeforeReset
    else { return false }
    let expected = layer.cell.defaultActivations.map(\.function)
    return layer.activations.allSatisfy { $0.map(\.function) == expected }
  }

  func run(_ block: Range<Int>, items: Range<Int>, _ member: Parallel.Member) {
    let size = layer.hiddenSize
    let isReversed = layer.isReversed[direction]
    let width = slk_recurrent_block_units()
    let blocks = member.share(of: (size + width - 1) / width)
    let units = min(size, blocks.lowerBound * width)..<min(size, blocks.upperBound * width)
    for index in block {
      let step = isReversed ? layer.steps - 1 - index : index
      let place = isReversed ? block.upperBound - 1 - index : index - block.lowerBound
      let (before, after) = index % 2 == 0 ? states : (states.1, states.0)
      let first = layer.isBatchFirst ? place : place * layer.batch
      let rowStride = layer.isBatchFirst ? block.count : 1
      var item = items.lowerBound
      while item < items.upperBound {
        let isActive = step < lengths[item]
        var end = item + 1
        while end < items.upperBound, (step < lengths[end]) == isActive { end += 1 }
        if isActive {
          advance(
            item..<end, step, before, after, isZero: index == 0 && beginsWithZeros,
            descends: index % 2 == 1,
            projection + (first + item * rowStride) * layer.gateColumns,
            rowStride * layer.gateColumns, blocks)
        } else {
          for idle in item..<end {
            let start = idle * size + units.lowerBound
            (after + start).update(from: before + start, count: units.count)
          }
        }
        item = end
      }
      if let y {
        for item in items {
          let target =
            y + layer.outputOffset(step: step, direction: direction, item: item)
            + units.lowerBound
          if step < lengths[item] {
            target.update(from: after + item * size + units.lowerBound, count: units.count)
          } else {
            target.update(repeating: 0, count: units.count)
          }
        }
      }
      member.meet()
    }
  }

  /// One step of items that follow one another, for some of the units.
  private func advance(
    _ items: Range<Int>, _ index: Int, _ before: UnsafeMutablePointer<Float>,
    _ after: UnsafeMutablePointer<Float>, isZero: Bool, descends: Bool,
    _ sums: UnsafePointer<Float>, _ sumsStride: Int, _ blocks: Range<Int>
  ) {
    let size = layer.hiddenSize
    let start = items.lowerBound * size
    var step = slk_recurrent_step()
    (step.size, step.rows, step.packed) = (size, items.count, weights)
    (step.h, step.h_stride) = (UnsafePointer(before + start), size)
    (step.h_is_zero, step.descends) = (isZero, descends)
    (step.out, step.out_stride) = (after + start, size)
    (step.sums, step.sums_stride) = (sums, sumsStride)
    if let kept {
      step.kept =
        kept + layer.keptOffset(step: index, direction: direction, item: items.lowerBound)
      step.kept_stride = layer.keptColumns
    }
    if layer.cell == .lstm {
      step.c = cell + start
      slk_lstm_step_f32(&step, blocks.lowerBound, blocks.upperBound)
    } else {
      step.inner = candidateBias
      slk_gru_step_f32(&step, blocks.lowerBound, blocks.upperBound)
    }
  }
}
