import Base
import CKernels
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

/// Runs every sample of every operator through every kernel.
struct SampleSweepTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let definition: OperatorDefinition
    let sample: Sample
    let index: Int
    var testDescription: String { "\(definition.title) #\(index)" }
  }

  static let cases = OperatorTable.all.flatMap { definition in
    definition.samples.enumerated().map { Case(definition: definition, sample: $1, index: $0) }
  }

  /// A sample has only tensors; sequences and maps are tested by hand. Upsample only exists in
  /// files.
  static let withoutSamples: Set<String> = [
    "ai.onnx.ml.CastMap", "ai.onnx.ml.DictVectorizer",
    "ConcatFromSequence", "SequenceAt", "SequenceErase", "SequenceInsert", "SequenceLength",
    "SequenceMap", "Upsample", "ai.onnx.preview.training.Gradient",
  ]

  /// Operators of tables whose fast kernels are for other members, and those that need a
  /// constant: SampleRoundTripTests runs these.
  static let unreachedKernels: Set<String> = [
    "And: vector", "BitShift: vector", "BitwiseAnd: vector", "BitwiseOr: vector",
    "BitwiseXor: vector", "Celu: vector", "Hardmax: vector", "Or: vector", "ReduceL1: vector",
    "ReduceLogSum: vector", "ReduceLogSumExp: vector", "ReduceProd: vector", "Shrink: vector",
    "Xor: vector", "ai.stacklens.ChannelsLastConv: depthwise",
    "ai.stacklens.ChannelsLastConv: packed", "ai.stacklens.ChannelsLastConv: winograd",
    "ai.stacklens.ChannelsLastQLinearConv: depthwise",
    "ai.stacklens.ChannelsLastQLinearConv: taps", "ai.stacklens.PackedLinear: packed",
  ]

  @Test func everyOperatorHasSamples() {
    let bare = OperatorTable.all.filter {
      $0.samples.isEmpty && !Self.withoutSamples.contains($0.title)
    }
    #expect(bare.map(\.title) == [])
  }

  @Test func everyKernelIsReachedBySomeSample() throws {
    var unreached: [String] = []
    for definition in OperatorTable.all {
      guard case .kernels(let kernels) = definition.execution else { continue }
      for kernel in kernels where kernel.name != "reference" {
        let isReached = try definition.samples.contains { sample in
          try outputs(definition, sample, kernel: kernel.name) != nil
        }
        if !isReached { unreached.append("\(definition.title): \(kernel.name)") }
      }
    }
    let missing: Set<String> =
      slk_cpu_has_bf16() ? [] : ["ai.stacklens.BFloat16MatMul: packed"]
    #expect(Set(unreached).subtracting(Self.unreachedKernels).subtracting(missing) == [])
  }

  @Test(arguments: cases) func kernelsAgreeWithTheReference(_ test: Case) throws {
    guard test.definition.isDeterministic, case .kernels(let kernels) = test.definition.execution
    else { return }
    #expect(kernels.last?.name == "reference")
    let expected = try #require(try outputs(test.definition, test.sample, kernel: "reference"))
    for kernel in kernels where kernel.name != "reference" {
      guard let found = try outputs(test.definition, test.sample, kernel: kernel.name) else {
        continue
      }
      #expect(difference(found, expected) == nil, "kernel \(kernel.name)")
    }
  }

  @Test(arguments: cases) func resultsDoNotDependOnThreads(_ test: Case) throws {
    let pool = Parallel(ThreadPool.withThreads(2))
    for kernel in kernelNames(test.definition) {
      guard let alone = try outputs(test.definition, test.sample, kernel: kernel) else { continue }
      let together = try #require(
        try outputs(test.definition, test.sample, kernel: kernel, parallel: pool))
      #expect(alone.count == together.count)
      guard test.definition.isDeterministic else { continue }
      for (one, two) in zip(alone, together) {
        #expect(one.isIdentical(to: two), "kernel \(kernel ?? "none")")
      }
    }
  }

  @Test(arguments: cases) func inferredTypesAreTheRealOnes(_ test: Case) throws {
    if case .evaluate = test.definition.execution { return }
    if test.definition.isComposition { return }
    let tensors = try test.sample.tensors()
    let inference = Inference(
      node: test.sample.node(test.definition), definition: test.definition,
      inputs: tensors.map { $0.map { TensorType($0) } }, values: tensors)
    let types: [TensorType]
    do throws(StackLensError) { types = try test.definition.infer(inference) } catch {
      try #require(error == Inference.needsValue)
      return
    }
    let found = try #require(try outputs(test.definition, test.sample, kernel: nil))
    #expect(found.count == test.sample.outputCount && types.count >= found.count)
    for (type, value) in zip(types, found) { #expect(try TensorType(value.tensor()) == type) }
  }

  @Test(arguments: cases) func nodesAndTheirShapesAreDescribed(_ test: Case) throws {
    let node = test.sample.node(test.definition)
    try test.definition.verify(node)
    let known = Set(test.definition.attributes.map(\.name))
    #expect(Set(node.attributes.keys).subtracting(known) == [])
    #expect(test.definition.versions == test.definition.versions.sorted())
  }

  private func kernelNames(_ definition: OperatorDefinition) -> [String?] {
    guard case .kernels(let kernels) = definition.execution else { return [nil] }
    return kernels.map(\.name)
  }

  /// Nil when the kernel does not take the sample.
  private func outputs(
    _ definition: OperatorDefinition, _ sample: Sample, kernel: String?,
    parallel: Parallel = .serial
  ) throws -> [Value]? {
    let node = sample.node(definition)
    do throws(StackLensError) {
      let values = try definition.evaluate(
        node, inputs: sample.tensors().map { $0.map { .tensor($0) } }, parallel: parallel,
        kernel: kernel, subgraphs: node.subgraphEntries())
      // A kernel need not write outputs that the node leaves out.
      return Array(values.prefix(sample.outputCount))
    } catch {
      if error.status == .unsupported, error.message.contains("has no kernel for") { return nil }
      throw error
    }
  }
}
