/// The symbols of a graph: named extents, undeclared ones, and those that depend on data.
final class SymbolTable {
  private var indices: [String: Int] = [:]
  /// The name that the model gives a symbol, nil for the others.
  private(set) var names: [String?] = []

  /// The symbol of a declared name.
  func index(named name: String) -> Int { index("n\(name)", name) }

  /// The symbol of a place in the graph.
  func index(at place: String) -> Int { index("p\(place)", nil) }

  private func index(_ key: String, _ name: String?) -> Int {
    if let index = indices[key] { return index }
    let index = names.count
    indices[key] = index
    names.append(name)
    return index
  }
}

/// The assignments of numbers to symbols under which the type rules are asked.
enum ProbeKind: Int, CaseIterable {
  /// Three assignments of primes: an extent that is equal under all three is equal.
  case firstPrimes, secondPrimes, thirdPrimes
  /// Numbers with many divisors, for rules that cut an extent into equal parts.
  case divisible
  /// Large numbers, for rules whose windows need room: with many divisors, and primes.
  case wide, widePrimes
  /// All symbols are 2: tells where an extent is only fixed because something was cut off.
  case tiny

  static let primes: [ProbeKind] = [.firstPrimes, .secondPrimes, .thirdPrimes]

  /// The number of a symbol.
  func number(_ symbol: Int) -> Int {
    switch self {
    case .firstPrimes: Self.prime(55 + symbol)
    case .secondPrimes: Self.prime(70 + 2 * symbol)
    case .thirdPrimes: Self.prime(85 + 3 * symbol)
    case .divisible: 192 * (symbol + 2)
    case .wide: 7680 * (2 * symbol + 3)
    case .widePrimes: Self.prime(4300 + 5 * symbol)
    case .tiny: 2
    }
  }

  private static func prime(_ index: Int) -> Int {
    index < table.count ? table[index] : 2 * index + (1 << 18) + 1
  }

  private static let table: [Int] = {
    let bound = 1 << 16
    var isComposite = [Bool](repeating: false, count: bound)
    var primes: [Int] = []
    for number in 2..<bound where !isComposite[number] {
      primes.append(number)
      var multiple = number * number
      while multiple < bound {
        isComposite[multiple] = true
        multiple += number
      }
    }
    return primes
  }()
}
