import Base
import Graphs
import Tensors

extension OperatorTable {
  static let signal: [OperatorDefinition] =
    [.dft, .stft, .melWeightMatrix] + windows
}

/// A type that Fourier transforms compute in.
protocol FourierNumber: BinaryFloatingPoint, Sendable {
  static func read<E: RealElement>(_ element: E) -> Self
  func element<E: RealElement>(_: E.Type) -> E
}

extension Double: FourierNumber {
  static func read<E: RealElement>(_ element: E) -> Double { element.double }
  func element<E: RealElement>(_: E.Type) -> E { E(rounding: self) }
}

/// For float32 alone: everything else computes in double precision.
extension Float: FourierNumber {
  static func read<E: RealElement>(_ element: E) -> Float { Float(element.double) }
  func element<E: RealElement>(_: E.Type) -> E { E(rounding: Double(self)) }
}

extension NodeView {
  /// The numeric element type that attribute `output_datatype` names.
  func outputDataType() throws(StackLensError) -> ElementType {
    let number = try int("output_datatype")
    guard let type = Int32(exactly: number).flatMap(ElementType.init(rawValue:)),
      ElementType.numbers.contains(type)
    else {
      throw .unsupported("attribute 'output_datatype' is \(number), expected a numeric type")
    }
    return type
  }
}

extension Tensor {
  /// The only element of an int32 or int64 tensor.
  func integer(_ name: String) throws(StackLensError) -> Int {
    guard count == 1 else {
      throw .shapeMismatch("\(name) has shape \(shape), expected one number")
    }
    return try integers()[0]
  }
}
