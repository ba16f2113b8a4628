import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

import struct Synchronization.Atomic

@testable import Execution

/// Sessions from outside: inputs, options, threads.
struct SessionTests {
  private func sum() throws -> Graph {
    let g = GraphBuilder("sum")
    let x = g.input("x", .float32, [.named("n"), .fixed(3)])
    let y = g.input("y", .float32, [.named("n"), .fixed(3)])
    g.output(x + y, "z")
    return g.graph
  }

  @Test func refusesWhatTheModelDoesNotDeclare() throws {
    let session = try session(sum())
    let good = try Tensor(zeros: .float32, Shape([2, 3]))
    func refusal(_ values: [String: Value], outputs: [String]? = nil) -> StackLensError? {
      failure { _ = try session.run(values, outputs: outputs) }
    }
    let missing = refusal(["x": .tensor(good)])
    #expect(missing?.status == .invalidArgument && missing?.message.contains("'y'") == true)
    let unknown = refusal(["x": .tensor(good), "y": .tensor(good), "w": .tensor(good)])
    #expect(unknown?.status == .invalidArgument && unknown?.message.contains("'w'") == true)
    let output = refusal(["x": .tensor(good), "y": .tensor(good)], outputs: ["q"])
    #expect(output?.status == .invalidArgument && output?.message.contains("'q'") == true)
    let wide = try Tensor(zeros: .float64, Shape([2, 3]))
    #expect(refusal(["x": .tensor(good), "y": .tensor(wide)])?.status == .typeMismatch)
    #expect(refusal(["x": .tensor(good), "y": .sequence([])])?.status == .typeMismatch)
    for dims in [[2, 4], [3], [2, 3, 1]] {
      let other = try Tensor(zeros: .float32, Shape(dims))
      #expect(refusal(["x": .tensor(good), "y": .tensor(other)])?.status == .shapeMismatch)
    }
    let longer = try Tensor(zeros: .float32, Shape([5, 3]))
    let named = refusal(["x": .tensor(good), "y": .tensor(longer)])
    #expect(named?.status == .shapeMismatch && named?.message.contains("'n'") == true)
  }

  @Test func namesTheNodeThatFails() throws {
    let graph = Graph(
      inputs: [ValueInfo("x", .tensor(.float32, nil)), ValueInfo("y", .tensor(.float32, nil))],
      outputs: [ValueInfo("z", .unknown)],
      nodes: [Node("Add", inputs: ["x", "y"], outputs: ["z"], name: "the_sum")])
    let inputs = ["x": try Tensor([Float(1), 2]), "y": try Tensor([Float(1), 2, 3])]
    let error = failure { _ = try session(graph).run(tensors: inputs) }
    #expect(error?.status == .shapeMismatch)
    #expect(error?.message.contains("'the_sum' (Add)") == true)
    let unknown = Graph(nodes: [Node("Nonsense", inputs: [], outputs: ["y"], name: "n")])
    #expect(failure { _ = try session(unknown, level: 0) }?.status == .unsupported)
  }

  @Test func picksOutputsByName() throws {
    let g = GraphBuilder("two")
    let x = g.floats("x", 1)
    g.output(g.add("Neg", [x]), "a")
    g.output(g.add("Abs", [x]), "b")
    let session = try session(g.graph)
    let found = try session.run(["x": .tensor(Tensor([Float(-2)]))], outputs: ["b", "a", "b"])
    #expect(try found.map { try $0.tensor().elements(as: Float.self) } == [[2], [2], [2]])
  }

  @Test(arguments: 0...2) func defaultsCanBeOverridden(level: Int) throws {
    let g = GraphBuilder("defaults")
    let x = g.floats("x", 2)
    _ = g.input("w", .float32, [.fixed(2)])
    let w = g.constant("w", try Tensor([Float(10), 20]))
    g.output(x * g.add("Neg", [w]), "y")
    let session = try session(g.graph, level: level)
    let x2 = try Tensor([Float(1), 2])
    for _ in 0..<2 {
      #expect(try floats(session.run(tensors: ["x": x2])) == [-10, -40])
      #expect(
        try floats(session.run(tensors: ["x": x2, "w": Tensor([Float(1), 1])])) == [-1, -2])
    }
    let bad = failure { _ = try session.run(tensors: ["x": x2, "w": Tensor([Float(1)])]) }
    #expect(bad?.status == .shapeMismatch)
  }

  @Test func staysBelowTheMemoryLimit() throws {
    let g = GraphBuilder("large")
    let x = g.input("x", .float32, [.named("n")])
    let column = try g.reshape(x, [-1, 1])
    let square = g.add("Exp", [column * x])
    g.output(g.add("ReduceSum", [square], ["keepdims": .int(0)]), "y")
    let limited = try session(g.graph) { $0.memoryLimit = 1 << 20 }
    #expect(
      try floats(limited.run(tensors: ["x": Tensor(zeros: .float32, Shape([100]))])) == [10_000])
    let error = failure {
      _ = try limited.run(tensors: ["x": Tensor(zeros: .float32, Shape([1000]))])
    }
    #expect(error?.status == .limitExceeded)
    let f = GraphBuilder("late")
    let shape = f.input("shape", .int64, [.fixed(2)])
    f.output(f.add("Expand", [f.floats("x", 1), shape]), "y")
    let late = try session(f.graph) { $0.memoryLimit = 1 << 20 }
    let huge = try Tensor([Int64(1 << 20), 1 << 20])
    let refused = failure { _ = try late.run(tensors: ["x": Tensor([Float(1)]), "shape": huge]) }
    #expect(refused?.status == .limitExceeded)
  }

  @Test func stopsWhenCancelled() throws {
    let body = Graph(
      inputs: [
        ValueInfo("i", .tensor(.int64, [])), ValueInfo("go", .tensor(.bool, [])),
        ValueInfo("v", .tensor(.float32, nil)),
      ],
      outputs: [ValueInfo("g", .unknown), ValueInfo("w", .unknown)],
      nodes: [
        Node("Identity", inputs: ["go"], outputs: ["g"]),
        Node("Neg", inputs: ["v"], outputs: ["w"]),
      ])
    let graph = Graph(
      inputs: [ValueInfo("x", .tensor(.float32, nil))], outputs: [ValueInfo("y", .unknown)],
      nodes: [
        Node("Loop", inputs: ["", "", "x"], outputs: ["y"], attributes: ["body": .graph(body)])
      ])
    let session = try session(graph)
    let cancellation = Cancellation()
    let status = Mutex<Status?>(nil)
    onThreads(2) { index in
      if index == 0 {
        rest(milliseconds: 50)
        cancellation.cancel()
      } else {
        let error = failure {
          _ = try session.run(["x": .tensor(Tensor([Float(1)]))], cancellation: cancellation)
        }
        status.withLock { $0 = error?.status }
      }
    }
    #expect(status.withLock { $0 } == .cancelled)
  }

  @Test func tellsWhereTheTimeWent() throws {
    let g = GraphBuilder("profile")
    let name = "odd \"name\"\n\\ü"
    let x = g.floats("x", 2)
    var graph = g.graph
    graph.nodes.append(Node("Neg", inputs: [x.name], outputs: ["y"], name: name))
    graph.outputs = [ValueInfo("y", .tensor(.float32, nil))]
    let profiled = try session(graph) { $0.isProfiling = true }
    for _ in 0..<3 { _ = try profiled.run(tensors: ["x": Tensor([Float(1), 2])]) }
    let json = try JSON.parse(Array(profiled.profile().utf8))
    let events = try #require(json["traceEvents"]?.arrayValue)
    #expect(events.count == 3)
    #expect(
      events.allSatisfy { $0["name"]?.stringValue == name && $0["cat"]?.stringValue == "Neg" })
    #expect(events.allSatisfy { ($0["dur"]?.numberValue ?? -1) >= 0 })
    let silent = try session(graph)
    _ = try silent.run(tensors: ["x": Tensor([Float(1), 2])])
    let empty = try JSON.parse(Array(silent.profile().utf8))
    #expect(empty["traceEvents"]?.arrayValue?.isEmpty == true)
  }

  @Test func eightThreadsShareASession() throws {
    let g = GraphBuilder("shared")
    var numbers = SeededNumbers(5)
    let x = g.input("x", .float32, [.named("n"), .fixed(16)])
    let hidden = g.add("Gelu", [g.matMul(x, g.constant("w", try numbers.floats(16, 32)))])
    let scores = g.add("Softmax", [g.matMul(hidden, g.constant("v", try numbers.floats(32, 8)))])
    g.output(scores, "y")
    let session = try session(g.graph, threads: 2)
    let inputs = try (1...6).map { try numbers.floats($0 * 7, 16) }
    let expected = try inputs.map { try session.run(tensors: ["x": $0])[0] }
    let wrong = Atomic<Int>(0)
    onThreads(8) { index in
      for round in 0..<30 {
        let place = (index + round) % inputs.count
        guard let found = try? session.run(tensors: ["x": inputs[place]])[0],
          found.isIdentical(to: expected[place])
        else {
          wrong.add(1, ordering: .relaxed)
          continue
        }
        if round == 15, index == 3 { session.trim() }
      }
    }
    #expect(wrong.load(ordering: .relaxed) == 0)
  }
}
