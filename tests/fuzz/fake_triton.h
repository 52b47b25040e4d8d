// Triton as a backend sees it, over requests that a fuzzer makes. What it is given is checked: one
// reply for each request, messages that can be sent, outputs that a worker can have written.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "text.h"
#include "triton_api.h"

#define REQUIRE(claim)                                          \
  do {                                                          \
    if (!(claim)) {                                             \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
      abort();                                                  \
    }                                                           \
  } while (false)

struct TRITONSERVER_Error {
  int code;
  std::string message;
};

struct TRITONSERVER_MetricFamily {};
struct TRITONSERVER_Metric {};

struct TRITONBACKEND_Input {
  std::string name;
  int dtype = 0;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;                 // as it is said
  std::vector<std::vector<char>> pieces;  // as it is; each on the heap, exactly as long
  int memory = naiad::kCpu;
};

struct Parameter {
  std::string name;
  std::variant<std::string, int64_t, bool, double> value;
  bool absent = false;
};

struct TRITONBACKEND_Request {
  std::string id;
  std::vector<Parameter> parameters;
  std::vector<TRITONBACKEND_Input> inputs;
  std::vector<std::string> outputs;
  int replies = 0, releases = 0;
};

struct TRITONBACKEND_Output {
  std::vector<char> data;
};

struct TRITONBACKEND_Response {
  TRITONBACKEND_Request* request;
  std::map<std::string, std::unique_ptr<TRITONBACKEND_Output>> outputs;
};

namespace {
constexpr size_t kMostMetrics = 300;  // of one model with six stages and three dimensions
constexpr size_t kRoom = 1 << 16;  // bytes of an outbox that a worker has written
}

extern "C" {

TRITONSERVER_Error* TRITONSERVER_ErrorNew(int code, const char* message) {
  return new TRITONSERVER_Error{code, message};
}
void TRITONSERVER_ErrorDelete(TRITONSERVER_Error* error) { delete error; }

TRITONSERVER_Parameter* TRITONSERVER_ParameterNew(const char*, int, const void*) { return nullptr; }
void TRITONSERVER_ParameterDelete(TRITONSERVER_Parameter*) {}
TRITONSERVER_Error* TRITONSERVER_MetricFamilyNew(
    TRITONSERVER_MetricFamily** family, int, const char*, const char*) {
  static TRITONSERVER_MetricFamily one;
  *family = &one;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricFamilyDelete(TRITONSERVER_MetricFamily*) { return nullptr; }
TRITONSERVER_Error* TRITONSERVER_MetricNew(
    TRITONSERVER_Metric** metric, TRITONSERVER_MetricFamily*, const TRITONSERVER_Parameter**,
    uint64_t) {
  static TRITONSERVER_Metric made[kMostMetrics];
  static size_t count = 0;
  REQUIRE(count < kMostMetrics);  // no label grows without bound
  *metric = &made[count++];
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricDelete(TRITONSERVER_Metric*) { return nullptr; }
TRITONSERVER_Error* TRITONSERVER_MetricIncrement(TRITONSERVER_Metric*, double value) {
  REQUIRE(value >= 0);  // counters refuse others
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportBatchStatistics(
    TRITONBACKEND_ModelInstance*, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) {
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportStatistics(
    TRITONBACKEND_ModelInstance*, TRITONBACKEND_Request*, bool, uint64_t, uint64_t, uint64_t,
    uint64_t) {
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestId(TRITONBACKEND_Request* request, const char** id) {
  *id = request->id.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestParameterCount(
    TRITONBACKEND_Request* request, uint32_t* count) {
  *count = request->parameters.size();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestParameter(
    TRITONBACKEND_Request* request, uint32_t index, const char** key, int* type,
    const void** value) {
  auto& one = request->parameters.at(index);
  *key = one.name.c_str();
  *type = static_cast<int>(one.value.index());  // in the order of TRITONSERVER_ParameterType
  if (auto* text = std::get_if<std::string>(&one.value)) *value = text->c_str();
  if (auto* number = std::get_if<int64_t>(&one.value)) *value = number;
  if (auto* flag = std::get_if<bool>(&one.value)) *value = flag;
  if (auto* number = std::get_if<double>(&one.value)) *value = number;
  if (one.absent) *value = nullptr;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestInput(
    TRITONBACKEND_Request* request, const char* name, TRITONBACKEND_Input** input) {
  for (auto& one : request->inputs) {
    if (one.name != name) continue;
    *input = &one;
    return nullptr;
  }
  return TRITONSERVER_ErrorNew(naiad::kInvalidArgument, "no such input");
}

TRITONSERVER_Error* TRITONBACKEND_RequestInputCount(
    TRITONBACKEND_Request* request, uint32_t* count) {
  *count = request->inputs.size();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_InputProperties(
    TRITONBACKEND_Input* input, const char** name, int* datatype, const int64_t** shape,
    uint32_t* rank, uint64_t* bytes, uint32_t* buffers) {
  if (name) *name = input->name.c_str();
  if (datatype) *datatype = input->dtype;
  if (shape) *shape = input->shape.data();
  if (rank) *rank = input->shape.size();
  if (bytes) *bytes = input->bytes;
  if (buffers) *buffers = input->pieces.size();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_InputBuffer(
    TRITONBACKEND_Input* input, uint32_t index, const void** buffer, uint64_t* bytes, int* memory,
    int64_t*) {
  auto& piece = input->pieces.at(index);
  *buffer = piece.empty() ? nullptr : piece.data();
  *bytes = piece.size();
  *memory = input->memory;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestOutputCount(
    TRITONBACKEND_Request* request, uint32_t* count) {
  *count = request->outputs.size();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestOutputName(
    TRITONBACKEND_Request* request, uint32_t index, const char** name) {
  *name = request->outputs.at(index).c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestRelease(TRITONBACKEND_Request* request, uint32_t) {
  ++request->releases;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseNew(
    TRITONBACKEND_Response** response, TRITONBACKEND_Request* request) {
  REQUIRE(!request->releases);
  *response = new TRITONBACKEND_Response{request, {}};
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseOutput(
    TRITONBACKEND_Response* response, TRITONBACKEND_Output** output, const char* name, int,
    const int64_t* shape, uint32_t rank) {
  for (uint32_t axis = 0; axis < rank; ++axis) REQUIRE(shape[axis] >= 0);
  auto& made = response->outputs[name];
  made = std::make_unique<TRITONBACKEND_Output>();
  *output = made.get();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_OutputBuffer(
    TRITONBACKEND_Output* output, void** buffer, uint64_t bytes, int* memory, int64_t*) {
  REQUIRE(bytes <= kRoom);  // no worker has written more
  output->data.resize(bytes);
  *buffer = output->data.data();
  *memory = naiad::kCpu;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseSend(
    TRITONBACKEND_Response* response, uint32_t, TRITONSERVER_Error* error) {
  ++response->request->replies;
  if (error) {
    REQUIRE(error->code >= 1 && error->code <= naiad::kLastCode);
    REQUIRE(naiad::is_utf8(error->message));
    REQUIRE(naiad::encoded_size(error->message) <= 2500);
    for (unsigned char c : error->message) REQUIRE((c >= 0x20 && c != 0x7F) || c == '\n');
  }
  delete response;
  return nullptr;
}

}  // extern "C"
