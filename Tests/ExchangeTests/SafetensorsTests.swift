import Base
import Tensors
import Testing

@testable import Exchange

struct SafetensorsTests {
  private func file(_ header: String, _ data: [UInt8], length: UInt64? = nil) -> [UInt8] {
    let header = Array(header.utf8)
    let size = length ?? UInt64(header.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + header + data
  }

  @Test func readsTensorsInTheOrderOfTheirData() throws {
    let data: [UInt8] = [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 1, 2]
    let read = try SafetensorsFile.load(
      bytes: file(
        """
        {"b":{"dtype":"U8","shape":[2],"data_offsets":[8,10]},"__metadata__":{"k":"v"},
        "a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}
        """, data))
    #expect(read.names == ["a", "b"])
    #expect(try read["a"]?.elements(as: Float.self) == [1, 2])
    #expect(read["a"]?.shape.dims == [2, 1])
    #expect(try read["b"]?.elements(as: UInt8.self) == [1, 2])
    #expect(read.metadata.map(\.value) == ["v"])
  }

  @Test func readsEmptyTensorsAndScalars() throws {
    let read = try SafetensorsFile.load(
      bytes: file(
        """
        {"e":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},
        "s":{"dtype":"I16","shape":[],"data_offsets":[0,2]}}
        """, [5, 0]))
    #expect(read["e"]?.count == 0)
    #expect(try read["s"]?.elements(as: Int16.self) == [5])
  }

  @Test func readsSmallTypes() throws {
    let read = try SafetensorsFile.load(
      bytes: file(
        """
        {"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},
        "b":{"dtype":"F4","shape":[2,2],"data_offsets":[2,4]}}
        """, [0x38, 0x7f, 0x21, 0xf3]))
    #expect(read["a"]?.elementType == .float8e4m3fn)
    #expect(read["b"].map { Array($0.bytes) } == [1, 2, 3, 15])
  }

  @Test(arguments: [
    #"[]"#, #"{"#, #"{"a":1}"#, #"{"a":{}}"#, "",
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#,
    #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#,
    #"{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F8_E9","shape":[8],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
    #"{"__metadata__":{"a":1}}"#, #"{"__metadata__":[]}"#,
  ])
  func refusesBrokenHeaders(header: String) {
    let bytes = file(header, [UInt8](repeating: 0, count: 8))
    let error = failure { () throws(StackLensError) in
      _ = try SafetensorsFile.load(bytes: bytes)
    }
    #expect(error.status != .internalError, "\(header): \(error)")
  }

  @Test func refusesBrokenLengths() {
    let whole = file(
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, [UInt8](repeating: 0, count: 8))
    for length in 0..<whole.count {
      let error = failure { () throws(StackLensError) in
        _ = try SafetensorsFile.load(bytes: Array(whole[..<length]))
      }
      #expect(error.status == .formatError, "length \(length): \(error)")
    }
    for length in [UInt64.max, 1 << 63, 1 << 40, 9] {
      let error = failure { () throws(StackLensError) in
        _ = try SafetensorsFile.load(bytes: file("{}", [0], length: length))
      }
      #expect(error.status == .formatError, "\(error)")
    }
  }
}
