// A request being served, and its one reply.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base64.h"
#include "batcher.h"
#include "given.h"
#include "history.h"
#include "metrics.h"
#include "text.h"
#include "triton_api.h"

namespace naiad {

// One output of one request in the worker's outbox: `runs` pieces of `run` bytes, `stride` bytes
// apart.
struct Value {
  const std::string* name;
  int dtype;
  std::vector<int64_t> shape;
  const char* data = nullptr;
  uint64_t run = 0, runs = 1, stride = 0;
};

class PendingRequest {
 public:
  PendingRequest(
      TRITONBACKEND_Request* request, TRITONBACKEND_ModelInstance* instance, Metrics& metrics)
      : request(request), instance_(instance), metrics_(metrics) {}
  PendingRequest(const PendingRequest&) = delete;
  ~PendingRequest() {
    if (request) refuse(kInternal, "PipelineError", "internal error: this request was dropped");
    History::all().write(story, id, sizes, arrived);
  }

  // Answer with an error of Naiad's class `kind`; `text` may hold any bytes.
  void refuse(int code, const std::string& kind, const std::string& text) {
    auto now = Clock::now();
    auto* error = TRITONSERVER_ErrorNew(code, sendable(text).c_str());
    TRITONBACKEND_Response* response = nullptr;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseNew(&response, request));
    if (response) TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseSend(response, kFinal, error));
    TRITONSERVER_ErrorDelete(error);
    metrics_.error(kind);
    story.code = code;
    story.kind = kind;
    release(false, {now, now, now});
  }

  void refuse_unavailable(const std::string& text) { refuse(kUnavailable, "Unavailable", text); }

  // Answer with the outputs that the client asked for.
  void answer(const std::vector<Value>& values, const Times& times) {
    TRITONBACKEND_Response* response = nullptr;
    TRITONSERVER_Error* failed = TRITONBACKEND_ResponseNew(&response, request);
    uint32_t wanted = 0;
    if (!failed) failed = TRITONBACKEND_RequestOutputCount(request, &wanted);
    for (uint32_t number = 0; !failed && number < wanted; ++number) {
      const char* name = nullptr;
      failed = TRITONBACKEND_RequestOutputName(request, number, &name);
      for (auto& value : values) {
        if (failed || *value.name != name) continue;
        bool coded = base64 && value.dtype == kBytes;
        failed = coded ? place_coded(response, value) : place(response, value);
      }
    }
    if (response) {
      TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseSend(response, kFinal, failed));
    }
    if (failed) {
      metrics_.error("PipelineError");
      story.code = kInternal;
      story.kind = "PipelineError";
    }
    release(!failed, times);
    TRITONSERVER_ErrorDelete(failed);
  }

  // Count a batch in Triton's statistics of the model.
  void report_batch(uint64_t requests, const Times& times) {
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelInstanceReportBatchStatistics(
        instance_, requests, nanoseconds(times.begun), nanoseconds(times.sent),
        nanoseconds(times.received), nanoseconds(Clock::now())));
  }

  TRITONBACKEND_Request* request;  // null once it is answered
  Sizes sizes;
  std::vector<Given> given;  // by position of the input in the contract
  Clock::time_point arrived = Clock::now();
  int64_t priority = 0;
  double timeout = 0;          // seconds; 0 for none
  double waited = 0;           // seconds in the queue, once a worker has it
  size_t claim = 0;  // byte of the inbox that is 0 until the request is refused or begun
  std::string id, parameters;  // from the client; JSON, or ""
  bool base64 = false;         // BYTES tensors are in base64, given ones and answers
  std::vector<std::unique_ptr<char[]>> decoded;  // memory of given ones
  Story story;

 private:
  // Place a BYTES output with its elements in base64.
  static TRITONSERVER_Error* place_coded(TRITONBACKEND_Response* response, const Value& value) {
    std::string text;
    if (!append_coded(text, {value.data, value.run})) {
      return TRITONSERVER_ErrorNew(
          kInternal, (*value.name + " has elements that cannot be sent in base64").c_str());
    }
    Value coded = value;
    coded.data = text.data();
    coded.run = text.size();
    return place(response, coded);
  }

  static TRITONSERVER_Error* place(TRITONBACKEND_Response* response, const Value& value) {
    TRITONBACKEND_Output* output = nullptr;
    if (auto* failed = TRITONBACKEND_ResponseOutput(
            response, &output, value.name->c_str(), value.dtype, value.shape.data(),
            value.shape.size())) {
      return failed;
    }
    void* buffer = nullptr;
    int memory = kCpu;
    int64_t device = 0;
    if (auto* failed =
            TRITONBACKEND_OutputBuffer(output, &buffer, value.run * value.runs, &memory, &device)) {
      return failed;
    }
    if (memory != kCpu && memory != kPinned) {
      return TRITONSERVER_ErrorNew(kInternal, "outputs can only be written to CPU memory");
    }
    for (uint64_t run = 0; value.run && run < value.runs; ++run) {
      memcpy(static_cast<char*>(buffer) + run * value.run, value.data + run * value.stride,
             value.run);
    }
    return nullptr;
  }

  void release(bool success, const Times& times) {
    metrics_.request(Seconds(Clock::now() - arrived).count());
    // The worker may have begun others of the batch before this one arrived.
    auto begun = std::max(times.begun, arrived), sent = std::max(times.sent, arrived);
    story.ended = Clock::now();
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelInstanceReportStatistics(
        instance_, request, success, nanoseconds(begun), nanoseconds(sent),
        nanoseconds(times.received), nanoseconds(story.ended)));
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestRelease(request, kAll));
    request = nullptr;
  }

  TRITONBACKEND_ModelInstance* instance_;
  Metrics& metrics_;
};

}  // namespace naiad
