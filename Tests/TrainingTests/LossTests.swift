import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Training

struct LossTests {
  private func run(
    _ name: String, _ outputs: [Tensor], _ targets: [Tensor], _ options: String = "{}"
  ) throws -> [[Float]] {
    let loss = try Loss(named: name, options: json(options))
    return try LossRun(loss, outputs, targets).run().map { try $0.elements(as: Float.self) }
  }

  private func floats(_ dims: Int...) throws -> Tensor {
    var numbers = SeededNumbers(3)
    return try numbers.tensor(.float32, dims)
  }

  @Test(arguments: ["cross_entropy", "nll", "focal", "multi_margin"], [Int64(4), -1, .max])
  func labelsOutOfRangeAreErrors(_ name: String, _ label: Int64) throws {
    let error = failure {
      _ = try run(name, [try floats(2, 4)], [try Tensor([Int64(1), label])])
    }
    #expect(error?.status == .invalidArgument)
    #expect(error?.message.contains("\(label)") == true, "\(error?.message ?? "")")
  }

  @Test func tagsAndSpelledLabelsOutOfRangeAreErrors() throws {
    let tags = try Tensor([Int64(0), 1, 3, 1], shape: Shape([2, 2]))
    let chain = failure {
      _ = try run("crf", [try floats(2, 2, 3), try floats(3, 3)], [tags])
    }
    #expect(chain?.message.contains("tag 3 at [1, 0] is outside [0, 3)") == true)
    let text = failure { _ = try run("ctc", [try floats(2, 5, 3)], [tags]) }
    #expect(text?.message.contains("label 0 of text 0") == true)
    let steps = try Tensor([Int64(6), 1])
    let ones = try Tensor([Int64(1), 1, 1, 1], shape: Shape([2, 2]))
    let long = failure { _ = try run("ctc", [try floats(2, 5, 3)], [ones, steps]) }
    #expect(long?.message.contains("6 steps, outside [0, 5]") == true)
  }

  @Test(arguments: ["cross_entropy", "focal", "crf"])
  func aBatchWithoutLabelsCostsNothing(_ name: String) throws {
    let isChain = name == "crf"
    let outputs = isChain ? [try floats(2, 3, 4), try floats(4, 4)] : [try floats(2, 4)]
    let labels = try Tensor(
      [Int64](repeating: -100, count: isChain ? 6 : 2), shape: Shape(isChain ? [2, 3] : [2]))
    for values in try run(name, outputs, [labels]) { #expect(values.allSatisfy { $0 == 0 }) }
  }

  @Test(arguments: ["mse", "mae", "huber", "smooth_l1", "bce_with_logits", "hinge"])
  func nothingIsBroadcastByMistake(_ name: String) throws {
    let error = failure { _ = try run(name, [try floats(4, 1)], [try floats(4, 4)]) }
    #expect(error?.status == .shapeMismatch)
    #expect(error?.message.contains("target has shape [4, 4], expected [4, 1]") == true)
    #expect(try run(name, [try floats(4, 1)], [try floats(4)])[1].count == 4)
  }

  @Test func extremeLogitsStayFinite() throws {
    let far = try Tensor([Float(1e4), -1e4, -1e4, 1e4], shape: Shape([4]))
    let labels = try Tensor([Int64(1), 0, 1, 0])
    for name in ["bce_with_logits", "binary_focal", "hinge"] {
      for values in try run(name, [far], [labels]) { #expect(values.allSatisfy { $0.isFinite }) }
    }
    let rows = try far.reshaped(to: Shape([2, 2]))
    let classes = try Tensor([Int64(1), 0])
    for options in ["{}", #"{"gamma": 0.5}"#] {
      for values in try run("focal", [rows], [classes], options) {
        #expect(values.allSatisfy { $0.isFinite })
      }
    }
    let zeros = try Tensor([Float](repeating: 0, count: 8), shape: Shape([2, 4]))
    let signs = try Tensor([Int64(1), -1])
    for values in try run("cosine_embedding", [zeros, zeros], [signs]) {
      #expect(values.allSatisfy { $0.isFinite })
    }
    for values in try run("triplet", [zeros, zeros, zeros], []) {
      #expect(values.allSatisfy { $0.isFinite })
    }
  }

  @Test func nothingIsInfinitelyHardToSpell() throws {
    let labels = try Tensor([Int64(1), 1, 1, 2], shape: Shape([2, 2]))
    let scores = try floats(2, 2, 3)
    #expect(try run("ctc", [scores], [labels], #"{"reduction": "sum"}"#)[0] == [.infinity])
    let found = try run("ctc", [scores], [labels], #"{"zero_infinity": true}"#)
    #expect(found.allSatisfy { $0.allSatisfy { $0.isFinite } })
  }

  @Test func aTableBeyondAllMemoryIsRefused() throws {
    let count = 1_000_000
    let scores = try Tensor([Float](repeating: 0, count: 2 * count), shape: Shape([1, count, 2]))
    let labels = try Tensor([Int64](repeating: 1, count: count), shape: Shape([1, count]))
    let error = failure { _ = try run("ctc", [scores], [labels]) }
    #expect(error?.status == .limitExceeded)
  }

  @Test func forbiddenTransitionsAreNeverTaken() throws {
    let transitions = try Tensor([Float(0), -.infinity, 0, 0], shape: Shape([2, 2]))
    let tags = try Tensor([Int64(1), 0, 0], shape: Shape([1, 3]))
    let found = try run("crf", [try floats(1, 3, 2), transitions], [tags])
    #expect(found.allSatisfy { $0.allSatisfy { $0.isFinite } })
  }

  @Test func otherElementTypesAreTaken() throws {
    let bytes = try Tensor([UInt8(1), 0], shape: Shape([2]))
    let half = try Tensor([Float16(1), 2, 3, 4], shape: Shape([2, 2]))
    #expect(try run("cross_entropy", [try floats(2, 2)], [bytes])[0][0].isFinite)
    let loss = try Loss(named: "cross_entropy")
    let found = try LossRun(loss, [half], [bytes]).run()
    #expect(found[0].elementType == .float32 && found[1].elementType == .float16)
  }

  @Test(arguments: [
    ("crossentropy", "{}", "no loss 'crossentropy'"),
    ("mse", #"{"delta": 1}"#, "no option 'delta'"),
    ("mse", #"{"reduction": "none"}"#, "mean, sum"),
    ("cross_entropy", #"{"label_smoothing": 1.5}"#, "label_smoothing"),
    ("cross_entropy", #"{"weight": [1, -1]}"#, "weight"),
    ("cross_entropy", #"{"axis": 0}"#, "axis"), ("huber", #"{"delta": 0}"#, "delta"),
    ("binary_focal", #"{"alpha": -0.5}"#, "alpha"), ("triplet", #"{"p": 3}"#, "'p'"),
    ("kl_div", #"{"reduction": "none"}"#, "batchmean"),
    ("elbo", #"{"reconstruction": "mae"}"#, "mse, bce"),
  ])
  func refusesOptions(_ name: String, _ options: String, _ message: String) throws {
    let json = try json(options)
    let error = failure { _ = try Loss(named: name, options: json) }
    #expect(error?.status == .invalidArgument)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test func refusesTheWrongNumberOfValues() throws {
    let error = failure { _ = try run("mse", [try floats(2)], []) }
    #expect(error?.message.contains("loss 'mse' takes 1 targets, found 0") == true)
    let weights = failure {
      _ = try run(
        "cross_entropy", [try floats(2, 3)], [try Tensor([Int64(0), 1])], #"{"weight": [1, 2]}"#)
    }
    #expect(weights?.status == .shapeMismatch)
  }
}
