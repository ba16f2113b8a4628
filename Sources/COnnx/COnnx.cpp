#include "COnnx.h"

#include <climits>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include <google/protobuf/io/coded_stream.h>
#include <onnx/checker.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>

namespace {

void store(const char *text, char *message, size_t capacity) {
  if (!message || capacity == 0) return;
  size_t length = std::strlen(text);
  if (length >= capacity) length = capacity - 1;
  std::memcpy(message, text, length);
  message[length] = 0;
}

bool parse(const void *bytes, size_t byte_count, onnx::ModelProto &model) {
  if (!bytes || byte_count > INT_MAX) return false;
  google::protobuf::io::CodedInputStream stream(static_cast<const uint8_t *>(bytes),
                                                static_cast<int>(byte_count));
  return model.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

bool has_external_data(const onnx::GraphProto &graph) {
  for (const auto &tensor : graph.initializer()) {
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL) return true;
  }
  return false;
}

// Runs `body`, which returns a status, and turns every exception into a status and a message.
template <typename Body>
int32_t guarded(char *message, size_t capacity, Body body) noexcept {
  try {
    store("", message, capacity);
    return body();
  } catch (const onnx::checker::ValidationError &error) {
    store(error.what(), message, capacity);
    return SLX_REFUSED;
  } catch (const std::exception &error) {
    store(error.what(), message, capacity);
    return SLX_FAILED;
  } catch (...) {
    store("unknown exception", message, capacity);
    return SLX_FAILED;
  }
}

int32_t read(const void *bytes, size_t byte_count, onnx::ModelProto &model, char *message,
             size_t capacity) {
  if (!parse(bytes, byte_count, model)) {
    store("the bytes are no ONNX model", message, capacity);
    return SLX_REFUSED;
  }
  if (has_external_data(model.graph())) {
    store("models with external data are not read", message, capacity);
    return SLX_REFUSED;
  }
  return SLX_OK;
}

}  // namespace

int32_t slx_newest_opset(void) {
  return onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map().at("").second;
}

int32_t slx_check(const void *bytes, size_t byte_count, char *message, size_t capacity) {
  return guarded(message, capacity, [&]() -> int32_t {
    onnx::ModelProto model;
    int32_t status = read(bytes, byte_count, model, message, capacity);
    if (status == SLX_OK) onnx::checker::check_model(model);
    return status;
  });
}
