import Graphs
import Tensors

/// From the numbers that the probes found back to declared types: an extent that is the same
/// everywhere is fixed, one that follows a symbol is that symbol.
struct TypeSolver {
  private let symbols: SymbolTable
  private let kinds: [ProbeKind]
  /// Symbols that the model names, as far as they are tried in formulas.
  private let named: [Int]
  /// Extents by their numbers under the primes.
  private var dimensions: [[Int]: Dimension] = [:]
  /// How often each extent without a formula appears.
  private var uses: [String: Int] = [:]

  private static let formulaSymbols = 24
  private static let largestFactor = 1 << 20

  init(_ symbols: SymbolTable, _ kinds: [ProbeKind]) {
    self.symbols = symbols
    self.kinds = kinds
    named = Array(
      symbols.names.indices.lazy.filter { symbols.names[$0] != nil }.prefix(Self.formulaSymbols))
  }

  // Values -------------------------------------------------------------------------------------

  /// - Parameter values: one for each probe, nil where a probe did not get there.
  mutating func solve(_ values: [AbstractValue?]) -> ValueType {
    for case .sequence? in values {
      return .sequence(
        solve(values.map { if case .sequence(let item)? = $0 { item } else { nil } }))
    }
    for case .optional? in values {
      return .optional(
        solve(values.map { if case .optional(let item)? = $0 { item } else { nil } }))
    }
    for case .map(let key, _)? in values {
      return .map(
        key: key, value: solve(values.map { if case .map(_, let item)? = $0 { item } else { nil } })
      )
    }
    let elementTypes = Set(values.compactMap { $0?.elementType })
    guard let elementType = elementTypes.first, elementTypes.count == 1 else { return .unknown }
    let types = values.map { $0?.type }
    if kinds.count == 1, let only = types[0] {
      return .tensor(elementType, only.shape.dims.map { .fixed($0) })
    }
    return .tensor(elementType, kinds.count == 1 ? nil : dimensions(types))
  }

  private mutating func dimensions(_ types: [TensorType?]) -> [Dimension]? {
    let groups: [[ProbeKind]] = [
      ProbeKind.primes, [.divisible, .wide], [.wide, .widePrimes], [.firstPrimes], [.tiny],
    ]
    for group in groups {
      let shapes = group.compactMap { types[$0.rawValue]?.shape.dims }
      guard shapes.count == group.count else { continue }
      guard shapes.allSatisfy({ $0.count == shapes[0].count }) else { return nil }
      let tiny = types[ProbeKind.tiny.rawValue]?.shape.dims
      if let tiny, tiny.count != shapes[0].count { return nil }
      return shapes[0].indices.map { axis in
        let numbers = shapes.map { $0[axis] }
        let found =
          group.count == 1 ? .unknown : dimension(numbers, group)
        guard let tiny else { return found }
        // Cut off at a constant, or chosen by a condition: it only looked fixed.
        switch found {
        case .fixed(let extent): return extent == tiny[axis] ? found : .unknown
        case .named(let name) where symbols.names.contains(name):
          return tiny[axis] == ProbeKind.tiny.number(0) ? found : .unknown
        default: return found
        }
      }
    }
    return nil
  }

  // Extents ------------------------------------------------------------------------------------

  private mutating func dimension(_ numbers: [Int], _ kinds: [ProbeKind]) -> Dimension {
    let isFull = kinds == ProbeKind.primes
    if isFull, let known = dimensions[numbers] {
      if case .named(let name) = known { uses[name, default: 0] += 1 }
      return known
    }
    if numbers.allSatisfy({ $0 == numbers[0] }) { return .fixed(numbers[0]) }
    var name = named.first { symbol in kinds.map { $0.number(symbol) } == numbers }
      .flatMap { symbols.names[$0] }
    if isFull {
      name = name ?? linear(numbers) ?? product(numbers) ?? "\u{1}\(dimensions.count)"
      dimensions[numbers] = name.map { .named($0) }
      if let name { uses[name, default: 0] += 1 }
    }
    return name.map { .named($0) } ?? .unknown
  }

  /// a · symbol + b, as "2*batch + 1".
  private func linear(_ numbers: [Int]) -> String? {
    for symbol in named {
      let given = ProbeKind.primes.map { $0.number(symbol) }
      let (rise, run) = (numbers[1] - numbers[0], given[1] - given[0])
      let factor = rise / run
      guard rise % run == 0, (1...Self.largestFactor).contains(factor),
        let name = symbols.names[symbol]
      else { continue }
      let offset = numbers[0] - factor * given[0]
      guard factor * given[2] + offset == numbers[2] else { continue }
      let scaled = factor == 1 ? name : "\(factor)*\(name)"
      if offset == 0 { return scaled }
      return offset > 0 ? "\(scaled) + \(offset)" : "\(scaled) - \(-offset)"
    }
    return nil
  }

  /// c · symbol · symbol, as "12*batch*heads".
  private func product(_ numbers: [Int]) -> String? {
    for (place, left) in named.enumerated() {
      for right in named[place...] {
        let given = ProbeKind.primes.map { $0.number(left) * $0.number(right) }
        guard numbers[0] >= given[0], zip(numbers, given).allSatisfy({ $0 % $1 == 0 }) else {
          continue
        }
        let factors = zip(numbers, given).map { $0 / $1 }
        guard factors.allSatisfy({ $0 == factors[0] }), let leftName = symbols.names[left],
          let rightName = symbols.names[right]
        else { continue }
        return (factors[0] == 1 ? "" : "\(factors[0])*") + "\(leftName)*\(rightName)"
      }
    }
    return nil
  }

  // Names --------------------------------------------------------------------------------------

  /// Names for the extents without a formula that appear more than once; the others are unknown.
  func names() -> [String: String] {
    let taken = Set(symbols.names.compactMap { $0 })
    var counter = 0
    var names: [String: String] = [:]
    let shared = uses.filter { $0.key.hasPrefix("\u{1}") && $0.value > 1 }.keys
    for key in shared.sorted(by: { Int($0.dropFirst()) ?? 0 < Int($1.dropFirst()) ?? 0 }) {
      repeat { counter += 1 } while taken.contains("dim\(counter)")
      names[key] = "dim\(counter)"
    }
    return names
  }
}

extension ValueType {
  /// The type with the names of extents as they are shown.
  func renamed(_ names: [String: String]) -> ValueType {
    switch self {
    case .tensor(let elementType, let dims?):
      return .tensor(
        elementType,
        dims.map { dimension in
          guard case .named(let name) = dimension, name.hasPrefix("\u{1}") else { return dimension }
          return names[name].map { .named($0) } ?? .unknown
        })
    case .sequence(let item): return .sequence(item.renamed(names))
    case .optional(let content): return .optional(content.renamed(names))
    case .map(let key, let value): return .map(key: key, value: value.renamed(names))
    case .tensor, .unknown: return self
    }
  }

  /// The type with what a declaration adds.
  func completed(by declared: ValueType) -> ValueType {
    switch (self, declared) {
    case (.unknown, _): return declared
    case (.tensor(let type, nil), .tensor(let other, let dims)) where type == other:
      return .tensor(type, dims)
    case (.tensor(let type, let dims?), .tensor(let other, let others?))
    where type == other && dims.count == others.count:
      return .tensor(type, zip(dims, others).map { $0 == .unknown ? $1 : $0 })
    case (.sequence(let item), .sequence(let other)): return .sequence(item.completed(by: other))
    case (.optional(let content), .optional(let other)):
      return .optional(content.completed(by: other))
    case (.map(let key, let value), .map(let otherKey, let other)) where key == otherKey:
      return .map(key: key, value: value.completed(by: other))
    default: return self
    }
  }

  /// Whether no value can have both types.
  func contradicts(_ other: ValueType) -> Bool {
    switch (self, other) {
    case (.unknown, _), (_, .unknown): return false
    case (.tensor(let type, let dims), .tensor(let otherType, let otherDims)):
      guard type == otherType else { return true }
      guard let dims, let otherDims else { return false }
      guard dims.count == otherDims.count else { return true }
      return zip(dims, otherDims).contains { left, right in
        if case .fixed(let left) = left, case .fixed(let right) = right { return left != right }
        return false
      }
    case (.sequence(let item), .sequence(let other)): return item.contradicts(other)
    case (.optional(let content), .optional(let other)): return content.contradicts(other)
    case (.optional(let content), let other), (let other, .optional(let content)):
      return content.contradicts(other)
    case (.map(let key, let value), .map(let otherKey, let other)):
      return key != otherKey || value.contradicts(other)
    default: return true
    }
  }

  /// Whether every extent is a number.
  var isFixed: Bool {
    guard case .tensor(_, let dims?) = self else { return false }
    return dims.allSatisfy { if case .fixed = $0 { true } else { false } }
  }
}
