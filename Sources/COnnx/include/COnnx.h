// COnnx: the official ONNX checker (libonnx) behind a C surface that lets no exception out. It is a library of its own, opened on demand, so that libstacklens.so needs
// neither libonnx nor protobuf. Give it only bytes that the library itself has written: libonnx
// follows external data out of a model's folder and crashes on crafted graphs.
#ifndef STACKLENS_CONNX_H
#define STACKLENS_CONNX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLX_API __attribute__((visibility("default")))

enum { SLX_OK = 0, SLX_REFUSED = 1, SLX_FAILED = 2 };

/// The newest version of the default operator domain that libonnx knows.
SLX_API int32_t slx_newest_opset(void);

/// Runs the official checker over a model in memory.
/// @param message  Receives the reason, cut to `capacity` and always terminated; "" on SLX_OK.
/// @return SLX_OK, SLX_REFUSED when the checker objects, SLX_FAILED for anything else.
SLX_API int32_t slx_check(const void *bytes, size_t byte_count, char *message, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
