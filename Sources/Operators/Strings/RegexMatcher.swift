/// Matches texts against a pattern. Sets of steps become states as they are met, so that most
/// characters cost one look into a table.
struct RegexMatcher {
  private struct State: Hashable {
    /// Where the program may be before it looks at the next character, ascending.
    var steps: [Int]
    var before: RegexNeighbour
  }
  private let program: RegexProgram
  private var states: [State] = []
  private var numbers: [State: Int] = [:]
  /// For each state the next one by class: -1 where it is not known yet.
  private var table: [Int32] = []
  private var stepCount = 0
  /// How often all states were forgotten.
  private var generation = 0
  private var isVisited: [Bool]

  /// States that are kept before all are forgotten, as entries of the table and as steps.
  private static let tableLimit = 1 << 20
  private static let stepLimit = 1 << 22

  init(_ program: RegexProgram) {
    self.program = program
    isVisited = Array(repeating: false, count: program.steps.count)
  }

  /// Whether the pattern matches the whole text.
  mutating func matches(_ text: String) -> Bool {
    var state = number(State(steps: [0], before: .edge))
    for scalar in text.unicodeScalars {
      let kind = program.classOf(scalar.value)
      let known = table[state * program.classCount + kind]
      state = known >= 0 ? Int(known) : advance(from: state, by: kind)
      if states[state].steps.isEmpty { return false }
    }
    let accepting = follow(states[state], next: .edge) { step in
      if case .accept = step { true } else { false }
    }
    return !accepting.isEmpty
  }

  private mutating func number(_ state: State) -> Int {
    if let number = numbers[state] { return number }
    if table.count + program.classCount > Self.tableLimit && !states.isEmpty
      || stepCount > Self.stepLimit
    {
      (states, numbers, table, stepCount) = ([], [:], [], 0)
      generation += 1
    }
    numbers[state] = states.count
    states.append(state)
    stepCount += state.steps.count
    table.append(contentsOf: repeatElement(-1, count: program.classCount))
    return states.count - 1
  }

  private mutating func advance(from number: Int, by kind: Int) -> Int {
    let next = program.neighbours[kind]
    let taken = follow(states[number], next: next) { [program] step in
      guard case .take(let set) = step else { return false }
      return program.set(set, contains: kind)
    }
    let state = State(
      steps: taken.map { $0 + 1 }, before: program.hasAssertions ? next : .edge)
    let known = generation
    let result = self.number(state)
    if generation == known { table[number * program.classCount + kind] = Int32(result) }
    return result
  }

  /// The steps reached without taking a character for which the test holds, ascending.
  private mutating func follow(
    _ state: State, next: RegexNeighbour, _ test: (RegexStep) -> Bool
  ) -> [Int] {
    var stack = state.steps
    var visited: [Int] = []
    var result: [Int] = []
    while let index = stack.popLast() {
      if isVisited[index] { continue }
      isVisited[index] = true
      visited.append(index)
      let step = program.steps[index]
      if test(step) { result.append(index) }
      switch step {
      case .split(let first, let second):
        stack.append(index + first)
        stack.append(index + second)
      case .jump(let distance): stack.append(index + distance)
      case .assert(let assertion):
        if assertion.holds(between: state.before, and: next) { stack.append(index + 1) }
      case .take, .accept: break
      }
    }
    for index in visited { isVisited[index] = false }
    return result.sorted()
  }
}
