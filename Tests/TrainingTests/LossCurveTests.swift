import Base
import Exchange
import Graphs
import Layers
import Tensors
import Testing

@testable import Training

/// 20 steps of whole models against PyTorch: Golden/curves.safetensors, which
/// scripts/generate-curves-golden.py writes. Same weights, same batches; the losses must stay together.
struct LossCurveTests {
  struct Curve: CustomTestStringConvertible, Sendable {
    let name: String
    /// The trainer's options as JSON.
    let options: String
    var zeroRows: Set<String> = []
    let build: @Sendable (Network) throws -> Void
    let batch: @Sendable (_ key: String) throws -> Batch
    var testDescription: String { name }
  }

  /// Relative. Weights that differ by 1e-7 move the curve of resnet18 by up to 2e-5, others by less
  /// than 1e-6.
  static let tolerance = 1e-4
  private static let batchCount = 4

  private static func golden() throws -> SafetensorsFile {
    var folder = "\(#filePath)"
    while folder.last != "/" { folder.removeLast() }
    return try SafetensorsFile.load(path: folder + "Golden/curves.safetensors")
  }

  @Test func everyCurveOfTheFileIsFollowed() throws {
    #expect(Set(try Self.golden().names) == Set(Self.curves.map(\.name)))
  }

  @Test(arguments: curves) func followsPyTorch(_ curve: Curve) throws {
    let expected = try #require(try Self.golden()[curve.name]).elements(as: Double.self)
    let network = Network(curve.name)
    try curve.build(network)
    let model = try CurveNumbers.filled(network.model(), zeroRows: curve.zeroRows)
    let trainer = try trainer(model, curve.options)
    var batches: [Batch] = []
    for index in 0..<Self.batchCount { batches.append(try curve.batch("\(curve.name).\(index)")) }
    for (step, loss) in expected.enumerated() {
      let found = try trainer.step(batches[step % Self.batchCount]).loss
      #expect(abs(found / loss - 1) < Self.tolerance, "step \(step + 1): \(found), not \(loss)")
    }
  }
}
