import Tensors
import Testing

struct RandomGeneratorTests {
  @Test func goesOnFromItsState() throws {
    var first = RandomGenerator(seed: 7)
    _ = first.next()
    var second = try #require(RandomGenerator(state: first.state))
    #expect((0..<5).map { _ in first.next() } == (0..<5).map { _ in second.next() })
    #expect(RandomGenerator(state: [0, 0, 0, 0]) == nil)
    #expect(RandomGenerator(state: [1, 2]) == nil)
  }

  @Test func numbersHaveTheirDistributions() {
    var random = RandomGenerator(seed: 1)
    let count = 20_000
    let uniform = (0..<count).map { _ in random.uniform() }
    #expect(abs(uniform.reduce(0, +) / Double(count) - 0.5) < 0.01)
    #expect(uniform.allSatisfy { $0 >= 0 && $0 < 1 })
    let normal = (0..<count).map { _ in random.normal() }
    #expect(abs(normal.reduce(0, +) / Double(count)) < 0.03)
    #expect(abs(normal.map { $0 * $0 }.reduce(0, +) / Double(count) - 1) < 0.04)
    var seen = [Int](repeating: 0, count: 7)
    for _ in 0..<count { seen[random.index(below: 7)] += 1 }
    #expect(seen.allSatisfy { abs(Double($0) - Double(count) / 7) < 300 })
    var order = Array(0..<50)
    random.shuffle(&order)
    #expect(order != Array(0..<50))
    #expect(order.sorted() == Array(0..<50))
  }
}
