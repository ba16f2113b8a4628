// swift-tools-version: 6.2
import PackageDescription

// The floors of the house, lowest first. A target imports only targets above it in this list;
// docs/architecture.md says what each one is for.

let optimised: [CSetting] = [.unsafeFlags(["-O3", "-fno-math-errno", "-ffp-contract=off"])]

/// Floors whose own time does not count are built for size.
let small: [SwiftSetting] = [.unsafeFlags(["-Osize"], .when(configuration: .release))]

let package = Package(
  name: "stacklens",
  products: [
    .library(name: "stacklens", type: .dynamic, targets: ["CABI"]),
    // Opened on demand: the official ONNX checker, which brings libonnx and protobuf.
    .library(name: "stacklens-onnx", type: .dynamic, targets: ["COnnx"]),
  ],
  targets: [
    .target(name: "CPlatform", cSettings: optimised),
    .target(name: "CKernels", cSettings: optimised),
    .target(name: "Base", dependencies: ["CPlatform"]),
    .target(name: "Tensors", dependencies: ["Base", "CPlatform"]),
    .target(name: "Graphs", dependencies: ["Tensors", "Base"], swiftSettings: small),
    .target(name: "CUnicode", cSettings: optimised),
    .target(name: "CImages", cSettings: optimised),
    .target(
      name: "Operators",
      dependencies: ["Graphs", "Tensors", "Base", "CKernels", "CUnicode", "CImages"]),
    .target(
      name: "Execution", dependencies: ["Operators", "Graphs", "Tensors", "Base", "CPlatform"]),
    .target(
      name: "Exchange", dependencies: ["Operators", "Graphs", "Tensors", "Base"],
      swiftSettings: small),
    .target(
      name: "COnnx",
      cxxSettings: [
        .define("ONNX_NAMESPACE", to: "onnx"), .define("ONNX_ML", to: "1"),
        .unsafeFlags(["-O2", "-fvisibility=hidden", "-fvisibility-inlines-hidden"]),
      ],
      linkerSettings: [
        .linkedLibrary("onnx"), .linkedLibrary("onnx_proto"), .linkedLibrary("protobuf"),
        // Nothing here uses the Swift runtime: it stays unlinked, or its names stay inside.
        .unsafeFlags([
          "-Xlinker", "--as-needed", "-Xlinker", "--exclude-libs=ALL", "-Xlinker", "--gc-sections",
        ]),
      ]),
    .target(name: "Text", dependencies: ["Base", "CUnicode"]),
    .target(
      name: "Insight",
      dependencies: [
        "Execution", "Exchange", "Text", "Operators", "Graphs", "Tensors", "Base", "CKernels",
      ]),
    .target(
      name: "Layers", dependencies: ["Operators", "Graphs", "Tensors", "Base"],
      swiftSettings: small),
    .target(
      name: "Training",
      dependencies: [
        "Execution", "Exchange", "Operators", "Graphs", "Tensors", "Base", "CKernels",
      ], swiftSettings: small),
    .target(
      name: "Models",
      dependencies: [
        "Insight", "Training", "Layers", "Execution", "Exchange", "Text", "Operators", "Graphs",
        "Tensors", "Base", "CKernels",
      ], swiftSettings: small),
    .target(name: "CStackLens"),
    .target(
      name: "CABI",
      dependencies: [
        "Models", "Insight", "Training", "Layers", "Execution", "Exchange", "Text", "Operators",
        "Graphs", "Tensors", "Base", "CStackLens", "CPlatform", "CKernels",
      ], swiftSettings: small),
    .target(
      name: "TestSupport", dependencies: ["Operators", "Graphs", "Tensors", "Base"],
      path: "Tests/TestSupport", exclude: ["README.md"]),
    .testTarget(name: "BaseTests", dependencies: ["Base", "TestSupport"]),
    .testTarget(name: "TextTests", dependencies: ["Text", "Base"], exclude: ["Golden"]),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "TestSupport"]),
    .testTarget(name: "GraphsTests", dependencies: ["Graphs", "TestSupport"]),
    .testTarget(name: "OperatorsTests", dependencies: ["Operators", "TestSupport"]),
    .testTarget(name: "ExchangeTests", dependencies: ["Exchange", "TestSupport"]),
    .testTarget(
      name: "ExecutionTests", dependencies: ["Execution", "Exchange", "TestSupport"],
      exclude: ["Golden"]),
    .testTarget(
      name: "LayersTests",
      dependencies: ["Layers", "Execution", "Exchange", "Operators", "TestSupport"],
      exclude: ["Golden"]),
    .testTarget(
      name: "TrainingTests",
      dependencies: ["Training", "Layers", "Execution", "Exchange", "Operators", "TestSupport"],
      exclude: ["Golden"]),
    .testTarget(
      name: "ModelsTests",
      dependencies: [
        "Models", "Training", "Layers", "Execution", "Exchange", "Operators", "Graphs", "Tensors",
        "Base", "TestSupport",
      ]),
    .testTarget(
      name: "InsightTests",
      dependencies: [
        "Insight", "Execution", "Exchange", "Operators", "Tensors", "Base", "TestSupport",
      ]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11,
  cxxLanguageStandard: .cxx17
)

// Every folder of Sources says in a README what it is and what it must not know about.
for target in package.targets where target.type == .regular && target.path == nil {
  target.exclude.append("README.md")
}
