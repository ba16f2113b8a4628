import Base
import CKernels
import Graphs
import Tensors

/// Attention in float32, a head and a run of queries at a time.
struct HeadAttention: Sendable {
  private let geometry: AttentionGeometry
  private let rules: AttentionRules
  private let keys: AttentionCache
  private let values: AttentionCache
  private let maskType: TensorType?
  private let maskRoom: Int
  private let partCount: Int
  private let partRoom: Int
  private let partByteCount: Int
  private let outputCount: Int
  let scratchByteCount: Int

  /// Queries of one item of work: the same whatever the number of threads.
  private static let queryRun = 256

  init(
    _ preparation: Preparation, _ geometry: AttentionGeometry, _ rules: AttentionRules
  ) throws(StackLensError) {
    (self.geometry, self.rules) = (geometry, rules)
    outputCount = preparation.outputs.count
    var plan = ScratchPlan()
    keys = try AttentionCache(
      geometry, geometry.key, geometry.presentKeyShape,
      present: outputCount > 1 ? preparation.outputs[1] : nil, &plan)
    values = try AttentionCache(
      geometry, geometry.value, geometry.presentValueShape,
      present: outputCount > 2 ? preparation.outputs[2] : nil, &plan)
    maskType = preparation.hasInput(3) ? try preparation.input(3) : nil
    maskRoom = try plan.reserve(
      maskType?.elementType == .bool ? maskType?.shape.count ?? 0 : 0, of: Float.self)
    let items = geometry.batch * geometry.queryHeads * Self.runCount(geometry)
    partCount = min(preparation.threadCount == 1 ? 1 : preparation.threadCount * 3, max(1, items))
    let bytes = slk_attention_scratch_bytes(
      geometry.keyCount, geometry.headSize, geometry.valueSize)
    partByteCount = (bytes + 63) & ~63
    partRoom = try plan.reserve(partByteCount * partCount, of: UInt8.self)
    scratchByteCount = plan.byteCount
  }

  private static func runCount(_ geometry: AttentionGeometry) -> Int {
    (geometry.queryCount + queryRun - 1) / queryRun
  }

  func run(_ wide: WideRun<Float>) throws(StackLensError) {
    let run = wide.run
    let counts = try run.validKeyCounts(6, geometry)
    let keySource = keys.join(wide, new: 1, past: 4, output: 1)
    let valueSource = values.join(wide, new: 2, past: 5, output: 2)
    guard run.outputs[0].count > 0, let query = wide.inputs[0], let key = keySource,
      let value = valueSource
    else { return }
    let bias = bias(wide)
    var common = slk_attention_view()
    (common.q_stride, common.out_stride) = (geometry.query.row, geometry.output.row)
    (common.k_stride, common.v_stride) = (keys.source.row, values.source.row)
    (common.head_size, common.value_size) = (geometry.headSize, geometry.valueSize)
    (common.scale, common.softcap) = (rules.scale, rules.softcap)
    common.bias_row_stride = geometry.maskSteps[2]
    common.before = rules.before ?? Int(bitPattern: UInt.max)
    common.after = rules.after ?? Int(bitPattern: UInt.max)
    common.empty_is_zero =
      bias != nil || counts != nil || rules.before != nil || rules.after != nil
      || geometry.keyCount == 0
    let (settings, output) = (common, wide.outputs[0])
    let runCount = Self.runCount(geometry)
    let items = geometry.batch * geometry.queryHeads * runCount
    let (parts, scratch) = (min(partCount, items), wide.scratch + partRoom)
    run.parallel.forEach(parts) { part in
      var view = settings
      for item in items * part / parts..<items * (part + 1) / parts {
        let (entry, chunk) = item.quotientAndRemainder(dividingBy: runCount)
        let (batch, head) = entry.quotientAndRemainder(dividingBy: geometry.queryHeads)
        let first = chunk * Self.queryRun
        let keyHead = head / geometry.groupSize
        view.query_count = min(Self.queryRun, geometry.queryCount - first)
        view.key_count = min(counts?[batch] ?? geometry.keyCount, geometry.maskedKeyCount)
        view.q = query + geometry.query.start(batch, head, first)
        view.k = key + keys.source.start(batch, keyHead)
        view.v = value + values.source.start(batch, keyHead)
        view.out = output + geometry.output.start(batch, head, first)
        if let bias {
          let steps = geometry.maskSteps
          view.bias = bias + (batch * steps[0] + head * steps[1] + first * steps[2])
        }
        let offset = counts.map { $0[batch] - geometry.queryCount } ?? geometry.pastCount
        view.position = offset + first
        slk_attend(&view, scratch + part * partByteCount)
      }
    }
  }

  /// What is added to the scores: the mask, where a bool becomes 0 or -infinity.
  private func bias(_ wide: WideRun<Float>) -> UnsafePointer<Float>? {
    guard let maskType, let mask = wide.run.inputs[3] else { return nil }
    guard maskType.elementType == .bool else { return wide.inputs[3] }
    let bias = (wide.scratch + maskRoom).assumingMemoryBound(to: Float.self)
    let flags = mask.base.assumingMemoryBound(to: UInt8.self)
    wide.run.parallel.ranges(mask.count, grain: cheapGrain) { range in
      for i in range { bias[i] = flags[i] != 0 ? 0 : -.infinity }
    }
    return UnsafePointer(bias)
  }
}

/// Keys or values of a call behind those of the past.
struct AttentionCache: Sendable {
  /// Where the joined rows lie.
  let source: AttentionGeometry.Layout
  private let room: Int
  private let needsJoin: Bool
  private let isWanted: Bool
  private let isWantedAsIs: Bool
  private let presentShape: Shape
  private let copies: [StridedCopy]
  private let rawCopies: [StridedCopy]

  /// - Parameter present: the type of the output that holds the joined rows, if there is one.
  init(
    _ geometry: AttentionGeometry, _ layout: AttentionGeometry.Layout, _ joined: Shape,
    present: TensorType?, _ plan: inout ScratchPlan
  ) throws(StackLensError) {
    isWanted = present != nil
    isWantedAsIs = present?.elementType == .float32
    needsJoin = geometry.hasPast
    presentShape = joined
    source = needsJoin ? AttentionGeometry.Layout(joined, heads: geometry.keyHeads) : layout
    room = try plan.reserve(needsJoin && !isWantedAsIs ? joined.count : 0, of: Float.self)
    copies = Self.copies(.float32, geometry, layout, joined)
    rawCopies = present.map { Self.copies($0.elementType, geometry, layout, joined) } ?? []
  }

  /// One copy for the past rows, one for the new ones.
  private static func copies(
    _ type: ElementType, _ geometry: AttentionGeometry, _ layout: AttentionGeometry.Layout,
    _ joined: Shape
  ) -> [StridedCopy] {
    let (width, past) = (joined[3], geometry.pastCount)
    let new = geometry.keyCount - past
    let target = [
      geometry.keyHeads * geometry.keyCount * width, geometry.keyCount * width, width, 1,
    ]
    return [
      StridedCopy(
        type, [geometry.batch, geometry.keyHeads, past, width],
        from: [geometry.keyHeads * past * width, past * width, width, 1], to: target),
      StridedCopy(
        type, [geometry.batch, geometry.keyHeads, new, width],
        from: [layout.batch, layout.head, layout.row, 1], to: target,
        targetStart: past * width),
    ]
  }

  /// Writes the output that holds all rows, if there is one, and says where they are as float32.
  func join(
    _ wide: WideRun<Float>, new: Int, past: Int, output: Int
  ) -> UnsafePointer<Float>? {
    let run = wide.run
    if isWanted {
      let target = run.outputs[output].base
      if needsJoin, let tensor = run.inputs[past] {
        rawCopies[0].run(from: tensor.base, to: target, run.parallel)
      }
      if let tensor = run.inputs[new] {
        rawCopies[1].run(from: tensor.base, to: target, run.parallel)
      }
      if needsJoin, isWantedAsIs {
        return UnsafePointer(target.assumingMemoryBound(to: Float.self))
      }
    }
    guard needsJoin, let old = wide.inputs[past], let recent = wide.inputs[new] else {
      return wide.inputs[new]
    }
    let target = wide.scratch + room
    copies[0].run(from: old, to: target, run.parallel)
    copies[1].run(from: recent, to: target, run.parallel)
    return UnsafePointer(target.assumingMemoryBound(to: Float.self))
  }
}
