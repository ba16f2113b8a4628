/// Finds pieces of a text that match a pattern: the first place, and the longest piece there.
struct RegexSearch {
  private struct Thread {
    let step: Int
    let start: Int
  }
  private let program: RegexProgram
  /// The last place at which each step was reached.
  private var visits: [Int]

  init(_ program: RegexProgram) {
    self.program = program
    visits = Array(repeating: -1, count: program.steps.count)
  }

  /// The first match that does not begin before `first`, in characters.
  /// - Parameter classes: the class of each character of the text.
  mutating func match(in classes: [Int], from first: Int) -> Range<Int>? {
    for index in visits.indices { visits[index] = -1 }
    // Threads that began earlier come first, so a step belongs to the earliest.
    var threads: [Thread] = []
    var found: Range<Int>?
    for place in first..<classes.count + 1 {
      if found == nil { threads.append(Thread(step: 0, start: place)) }
      let before = place > 0 ? program.neighbours[classes[place - 1]] : .edge
      let next = place < classes.count ? program.neighbours[classes[place]] : .edge
      var survivors: [Thread] = []
      for thread in threads where thread.start <= found?.lowerBound ?? place {
        var stack = [thread.step]
        while let index = stack.popLast() {
          if visits[index] == place { continue }
          visits[index] = place
          switch program.steps[index] {
          case .split(let one, let other): stack += [index + one, index + other]
          case .jump(let distance): stack.append(index + distance)
          case .assert(let assertion):
            if assertion.holds(between: before, and: next) { stack.append(index + 1) }
          case .take(let set):
            if place < classes.count, program.set(set, contains: classes[place]) {
              survivors.append(Thread(step: index + 1, start: thread.start))
            }
          case .accept: found = thread.start..<place
          }
        }
      }
      threads = survivors
      if threads.isEmpty, found != nil { break }
    }
    return found
  }
}
