import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Attention as exporters write it, and graphs that resemble it.
struct AttentionFusionTests {
  enum Scale: CaseIterable { case none, divided, multiplied, ofQueries, ofBoth }

  struct Form: Sendable, CustomTestStringConvertible {
    var name = "plain"
    var scale = Scale.divided
    var keysTurnTwice = false
    /// Keys and values come as caches hold them, [batch, heads, length, width].
    var keysByHead = false
    var batch = 2
    var keyBatch = 2
    var queryLength = 5
    var keyLength = 5
    var heads = 3
    var width = 4
    var valueWidth = 4
    var valueHeads = 3
    var mask: [Int]?
    var maskIsLeft = false
    var axis: Int64 = -1
    /// Write the softmax as files before opset 13 mean it, as a matrix cut at this axis.
    var flattenedAt: Int64?
    var sourceIsFlat = false
    var weightsAreAnOutput = false
    var lengthAndHeadsStay = false
    /// Reshape the mixed values to [batch, any, query length, value width].
    var isReshaped = false
    var shapeIsAnOutput = false
    var isFused = true
    var testDescription: String { name }

    static func with(_ name: String, _ change: (inout Form) -> Void) -> Form {
      var form = Form()
      form.name = name
      change(&form)
      return form
    }
  }

  static let forms: [Form] =
    Scale.allCases.map { scale in .with("scale \(scale)") { $0.scale = scale } } + [
      .with("keys turned twice") { $0.keysTurnTwice = true },
      .with("keys turned twice, both scaled") { ($0.keysTurnTwice, $0.scale) = (true, .ofBoth) },
      .with("cached keys") { ($0.keysByHead, $0.queryLength, $0.keyLength) = (true, 1, 9) },
      .with("cached keys, more queries and a mask") { form in
        (form.keysByHead, form.queryLength, form.keyLength) = (true, 6, 9)
        (form.mask, form.scale, form.isReshaped) = ([2, 1, 6, 9], .ofBoth, true)
      },
      .with("cached keys, mask of one") { form in
        (form.keysByHead, form.keyLength, form.mask) = (true, 9, [1, 1, 1, 1])
      },
      .with("cached keys, shared") { ($0.keysByHead, $0.keyBatch) = (true, 1) },
      .with("cached keys, one value head") { ($0.keysByHead, $0.valueHeads) = (true, 1) },
      .with("no cached key") { ($0.keysByHead, $0.keyLength) = (true, 0) },
      .with("mask of keys") { $0.mask = [2, 1, 1, 5] },
      .with("mask on the left") { ($0.mask, $0.maskIsLeft) = ([2, 1, 1, 5], true) },
      .with("mask of all") { $0.mask = [2, 3, 5, 5] },
      .with("mask of heads") { $0.mask = [1, 3, 1, 5] },
      .with("mask of pairs") { $0.mask = [5, 5] },
      .with("mask of one") { $0.mask = [1, 1, 1, 1] },
      .with("mask of queries") { $0.mask = [2, 1, 5, 1] },
      .with("scalar mask") { $0.mask = [] },
      .with("mask repeats the batch") { form in
        (form.batch, form.keyBatch, form.mask) = (1, 1, [2, 1, 1, 5])
      },
      .with("cross attention") { ($0.queryLength, $0.keyLength) = (3, 7) },
      .with("cross attention with mask") { form in
        (form.queryLength, form.keyLength, form.mask) = (3, 7, [2, 1, 1, 7])
      },
      .with("one query") { $0.queryLength = 1 },
      .with("one key") { $0.keyLength = 1 },
      .with("no key") { $0.keyLength = 0 },
      .with("no query") { $0.queryLength = 0 },
      .with("other value width") { $0.valueWidth = 6 },
      .with("shared keys") { $0.keyBatch = 1 },
      .with("one value head") { $0.valueHeads = 1 },
      .with("one head") { ($0.heads, $0.valueHeads) = (1, 1) },
      .with("flat sources") { $0.sourceIsFlat = true },
      .with("softmax over queries") { ($0.axis, $0.isFused) = (2, false) },
      .with("softmax by positive axis") { $0.axis = 3 },
      .with("softmax of a matrix") { $0.flattenedAt = 3 },
      .with("softmax of a wider matrix") { ($0.flattenedAt, $0.isFused) = (2, false) },
      .with("weights wanted") { ($0.weightsAreAnOutput, $0.isFused) = (true, false) },
      .with("reshaped") { ($0.isReshaped, $0.scale) = (true, .ofBoth) },
      .with("reshaped, the mask repeats the query") { form in
        (form.isReshaped, form.queryLength, form.mask) = (true, 1, [2, 1, 4, 5])
      },
      .with("reshaped, the mask repeats the batch") { form in
        (form.isReshaped, form.batch, form.keyBatch, form.mask) = (true, 1, 1, [2, 3, 5, 5])
      },
      .with("reshaped, the shape wanted") { form in
        (form.isReshaped, form.shapeIsAnOutput, form.isFused) = (true, true, false)
      },
      .with("no turn back") { ($0.lengthAndHeadsStay, $0.isFused) = (true, false) },
    ]

  @Test(arguments: forms) func givesTheSameNumbers(_ form: Form) throws {
    let g = GraphBuilder("attention")
    var numbers = SeededNumbers(7)
    var inputs: [String: Tensor] = [:]
    func source(_ name: String, _ batch: Int, _ length: Int, _ heads: Int, _ width: Int) throws
      -> Edge
    {
      let dims =
        form.sourceIsFlat ? [batch * length, heads * width] : [batch, length, heads * width]
      inputs[name] = try numbers.tensor(.float32, dims, low: -2, high: 2)
      let edge = g.input(name, .float32, dims.map { _ in .unknown })
      return try g.reshape(edge, [batch, length, heads, width].map { Int64($0) })
    }
    func scaled(_ edge: Edge, _ isScaled: Bool) throws -> Edge {
      isScaled ? edge * (try g.scalar("s", 0.6)) : edge
    }
    let query = g.transpose(
      try source("q", form.batch, form.queryLength, form.heads, form.width), [0, 2, 1, 3])
    func cached(_ name: String, _ heads: Int, _ width: Int) throws -> Edge {
      let dims = [form.keyBatch, heads, form.keyLength, width]
      inputs[name] = try numbers.tensor(.float32, dims, low: -2, high: 2)
      return g.input(name, .float32, dims.map { _ in .unknown })
    }
    let (key, value): (Edge, Edge)
    if form.keysByHead {
      key = g.transpose(try cached("k", form.heads, form.width), [0, 1, 3, 2])
      value = try cached("v", form.valueHeads, form.valueWidth)
    } else {
      let keys = try source("k", form.keyBatch, form.keyLength, form.heads, form.width)
      key =
        form.keysTurnTwice
        ? g.transpose(g.transpose(keys, [0, 2, 1, 3]), [0, 1, 3, 2])
        : g.transpose(keys, [0, 2, 3, 1])
      value = g.transpose(
        try source("v", form.keyBatch, form.keyLength, form.valueHeads, form.valueWidth),
        [0, 2, 1, 3])
    }
    var scores = g.matMul(
      try scaled(query, form.scale == .ofQueries || form.scale == .ofBoth),
      try scaled(key, form.scale == .ofBoth))
    if form.scale == .divided { scores = scores / (try g.scalar("root", 2)) }
    if form.scale == .multiplied { scores = try g.scalar("factor", 0.5) * scores }
    if let dims = form.mask {
      inputs["mask"] = try numbers.tensor(.float32, dims, low: -3, high: 0)
      let mask = g.input("mask", .float32, dims.map { _ in .unknown })
      scores = form.maskIsLeft ? mask + scores : scores + mask
    }
    let weights: Edge
    if let axis = form.flattenedAt {
      let rows = g.add("Softmax", [g.add("Flatten", [scores], ["axis": .int(axis)])])
      weights = g.add("Reshape", [rows, g.add("Shape", [scores])])
    } else {
      weights = g.add("Softmax", [scores], ["axis": .int(form.axis)])
    }
    var mixed = g.matMul(weights, value)
    if form.isReshaped {
      func extent(_ edge: Edge, _ axis: Int64) throws -> Edge {
        let place = g.constant(try Tensor(scalar: axis))
        let found = g.add("Gather", [g.add("Shape", [edge]), place])
        return g.add("Unsqueeze", [found, g.constant(try Tensor([Int64(0)]))])
      }
      let shape = g.add(
        "Concat",
        [
          try extent(mixed, 0), g.constant(try Tensor([Int64(-1)])), try extent(query, 2),
          try extent(value, 3),
        ], ["axis": .int(0)])
      mixed = g.add("Reshape", [mixed, shape])
      if form.shapeIsAnOutput { g.output(shape, "target", .int64, nil) }
    }
    g.output(form.lengthAndHeadsStay ? mixed : g.transpose(mixed, [0, 2, 1, 3]), "y")
    if form.weightsAreAnOutput { g.output(weights, "weights") }
    let operators = try expectSameAtAllLevels(g.graph, inputs, tolerance: 1e-5)
    #expect(operators.contains("Attention") == form.isFused)
    #expect(operators.contains("Softmax") != form.isFused)
  }

  @Test func keepsDoublePrecision() throws {
    let g = GraphBuilder("attention")
    var numbers = SeededNumbers(8)
    var inputs: [String: Tensor] = [:]
    func heads(_ name: String, _ permutation: [Int64]) throws -> Edge {
      inputs[name] = try numbers.tensor(.float64, [1, 4, 2, 3])
      return g.transpose(g.input(name, .float64, nil), permutation)
    }
    let scores = g.matMul(try heads("q", [0, 2, 1, 3]), try heads("k", [0, 2, 3, 1]))
    let weights = g.add("Softmax", [scores])
    let mixed = g.matMul(weights, try heads("v", [0, 2, 1, 3]))
    g.output(g.transpose(mixed, [0, 2, 1, 3]), "y", .float64, nil)
    try expectSameAtAllLevels(g.graph, inputs, tolerance: 1e-14)
  }

  @Test func hidesNothingThatOthersRead() throws {
    let g = GraphBuilder("attention")
    var numbers = SeededNumbers(9)
    let x = g.floats("x", 1, 4, 2, 3)
    let query = g.transpose(x, [0, 2, 1, 3])
    let scores = g.matMul(query, g.transpose(x, [0, 2, 3, 1]))
    let turned = g.transpose(g.matMul(g.add("Softmax", [scores]), query), [0, 2, 1, 3])
    g.output(turned, "y")
    g.output(scores, "scores")
    g.output(g.add("Neg", [query]), "q")
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.floats(1, 4, 2, 3)], tolerance: 1e-5)
    #expect(operators.contains("Attention"))
  }
}

extension AttentionFusionTests {
  enum Guard: CaseIterable { case none, zeroForNaN, oneForNaN, testOfAnother }

  /// A mask that leaves a query no key gives NaN, or what the graph puts in its place, fused or not.
  @Test(arguments: Guard.allCases, [4, 3]) func queriesWithoutKeys(_ form: Guard, keys: Int) throws
  {
    let g = GraphBuilder("attention")
    var numbers = SeededNumbers(10)
    let (x, y) = (g.floats("x", 1, 4, 1, 4), g.floats("k", 1, keys, 1, 4))
    var mask = [Float](repeating: 0, count: 4 * keys)
    for key in 0..<keys { mask[2 * keys + key] = -.infinity }
    mask[1] = -.infinity
    let scores =
      g.matMul(g.transpose(x, [0, 2, 1, 3]), g.transpose(y, [0, 2, 3, 1]))
      + g.constant("mask", try Tensor(mask, shape: Shape([1, 1, 4, keys])))
    var weights = g.add("Softmax", [scores])
    if form != .none {
      let test = g.add("IsNaN", [form == .testOfAnother ? scores : weights])
      let other = try g.scalar("other", form == .oneForNaN ? 1 : 0)
      weights = g.add("Where", [test, other, weights])
    }
    let mixed = g.matMul(weights, g.transpose(y, [0, 2, 1, 3]))
    g.output(g.transpose(mixed, [0, 2, 1, 3]), "y")
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.floats(1, 4, 1, 4), "k": numbers.floats(1, keys, 1, 4)],
      tolerance: 1e-5)
    #expect(operators.contains("Attention") == [.none, .zeroForNaN].contains(form))
  }
}
