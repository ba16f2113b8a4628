import Base

/// What the BERT normaliser does to text before it is cut into words.
struct NormalizerOptions: Sendable, Equatable {
  /// Drop control characters, turn white space into spaces.
  var cleansText = true
  /// Put spaces around ideographs.
  var splitsIdeographs = true
  /// Decompose and drop non-spacing marks.
  var stripsAccents = true
  var lowercases = true
}

/// Normalised UTF-8 together with the source bytes that each of its bytes stands for.
struct NormalizedText: ~Copyable {
  private(set) var bytes = Column<UInt8>()
  /// Source range of the character that each byte belongs to, as byte positions in the whole text.
  private(set) var starts = Column<Int32>()
  private(set) var ends = Column<Int32>()

  private struct Mark {
    var scalar: UInt32
    var combiningClass: UInt8
    /// Whether the mark is the first of its source character's decomposition.
    var isFirst: Bool
  }

  private struct Source {
    var start: Int32
    var end: Int32
  }

  /// Marks that wait for the next starter, to be put in canonical order.
  private var pending: [Mark] = []
  private var sources: [Source] = []
  private var nextSource = 0
  private var lastSource = Source(start: 0, end: 0)
  private let tables = CharacterTables.shared

  /// Replaces the content by the normal form of `text[range]`.
  mutating func assign(
    _ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ options: NormalizerOptions
  ) {
    bytes.truncate(to: 0)
    starts.truncate(to: 0)
    ends.truncate(to: 0)
    var position = range.lowerBound
    while position < range.upperBound {
      let (decoded, length, _) = UTF8Reader.decode(
        text + position, count: range.upperBound - position)
      let source = Source(start: Int32(position), end: Int32(position + length))
      position += length
      var scalar = decoded
      let flags = tables.flags(scalar)
      if options.cleansText {
        if flags & CharacterTables.removed != 0 { continue }
        if flags & CharacterTables.space != 0 { scalar = 0x20 }
      }
      if options.splitsIdeographs, flags & CharacterTables.ideograph != 0 {
        addSource(0x20, source, options)
        addSource(scalar, source, options)
        addSource(0x20, source, options)
      } else {
        addSource(scalar, source, options)
      }
    }
    if options.stripsAccents { flush(options) }
  }

  private mutating func addSource(
    _ scalar: UInt32, _ source: Source, _ options: NormalizerOptions
  ) {
    guard options.stripsAccents else { return addLowered(scalar, source, options) }
    sources.append(source)
    guard tables.flags(scalar) & CharacterTables.decomposes != 0 else {
      return addDecomposed(scalar, isFirst: true, options)
    }
    let parts = tables.decomposition(scalar)
    for index in 0..<parts.count {
      addDecomposed(parts[index], isFirst: index == 0, options)
    }
  }

  private mutating func addDecomposed(
    _ scalar: UInt32, isFirst: Bool, _ options: NormalizerOptions
  ) {
    let flags = tables.flags(scalar)
    if flags & CharacterTables.reorders != 0 {
      let combiningClass = tables.combiningClass(scalar)
      pending.append(Mark(scalar: scalar, combiningClass: combiningClass, isFirst: isFirst))
      return
    }
    flush(options)
    place(scalar, flags, isFirst, options)
  }

  /// Puts the waiting marks in canonical order and places them.
  private mutating func flush(_ options: NormalizerOptions) {
    if pending.isEmpty { return }
    if pending.count > 1 { sortPending() }
    for mark in pending {
      place(mark.scalar, tables.flags(mark.scalar), mark.isFirst, options)
    }
    pending.removeAll(keepingCapacity: true)
  }

  /// Stable, by combining class; linear, for text that is nothing but marks.
  private mutating func sortPending() {
    var isSorted = true
    for index in 1..<pending.count
    where pending[index - 1].combiningClass > pending[index].combiningClass {
      isSorted = false
    }
    if isSorted { return }
    var places = [Int](repeating: 0, count: 257)
    for mark in pending { places[Int(mark.combiningClass) + 1] += 1 }
    for index in 1...256 { places[index] += places[index - 1] }
    var sorted = pending
    for mark in pending {
      sorted[places[Int(mark.combiningClass)]] = mark
      places[Int(mark.combiningClass)] += 1
    }
    pending = sorted
  }

  /// The peer hands source ranges to first parts in output order, whichever character they came
  /// from, and lets the other parts share the range handed out last; marks that changed places thus
  /// carry each other's ranges.
  private mutating func place(
    _ scalar: UInt32, _ flags: UInt8, _ isFirst: Bool, _ options: NormalizerOptions
  ) {
    if isFirst {
      lastSource = sources[nextSource]
      nextSource += 1
      if nextSource == sources.count {
        sources.removeAll(keepingCapacity: true)
        nextSource = 0
      }
    }
    if flags & CharacterTables.mark != 0 { return }
    addLowered(scalar, lastSource, options)
  }

  private mutating func addLowered(
    _ scalar: UInt32, _ source: Source, _ options: NormalizerOptions
  ) {
    guard options.lowercases, tables.flags(scalar) & CharacterTables.lowers != 0 else {
      return add(scalar, source)
    }
    add(tables.lowercase(scalar), source)
    if scalar == 0x130 { add(0x307, source) }
  }

  private mutating func add(_ scalar: UInt32, _ source: Source) {
    var (packed, length) = UTF8Reader.encode(scalar)
    while length > 0 {
      bytes.append(UInt8(truncatingIfNeeded: packed))
      starts.append(source.start)
      ends.append(source.end)
      packed >>= 8
      length -= 1
    }
  }
}
