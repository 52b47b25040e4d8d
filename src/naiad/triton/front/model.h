// A model of Naiad, as it is served in Triton's own process: its queue, its lanes, and exactly one
// reply per request.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lane.h"

namespace naiad {

// A file by which the supervisor says that the server is stopping; looked for a few times a second.
class StopFlag {
 public:
  bool is_up() {
    if (!path_) return false;
    int64_t now = Clock::now().time_since_epoch().count();
    int64_t looked = looked_.load(std::memory_order_relaxed);
    if (now - looked > 50'000'000 && looked_.compare_exchange_strong(looked, now)) {
      up_ = access(path_, F_OK) == 0;
    }
    return up_;
  }

 private:
  const char* path_ = getenv("NAIAD_STOPPING");
  std::atomic<int64_t> looked_{0};
  std::atomic<bool> up_{false};
};

// What a model's config says that concerns the front.
struct Settings {
  explicit Settings(const Json& config) : parameters(config["parameters"]) {
    exported = !parameters["naiad_pipeline"];  // a model file with naiad_dims, and no pipeline
    ours = (parameters["naiad_pipeline"] || parameters["naiad_dims"]) &&
           !config["input"].items().empty() && !config["output"].items().empty() &&
           text("executor") != "thread" && text("latency_target").empty();
    int64_t groups = 0;
    bool gpu = text("device").rfind("cuda", 0) == 0;
    for (auto& group : config["instance_group"].items()) {
      groups += static_cast<int64_t>(group["count"].number(1));
      gpu = gpu || (exported && group["kind"].text() == "KIND_GPU");
    }
    if (auto said = text("instances"); !said.empty()) {
      instances = std::atoi(said.c_str());
    } else {
      instances = exported && groups > 1 ? groups : gpu ? 1 : cores();
    }
    device = gpu ? "GPU" : "CPU";
    pipeline = parameters["naiad_pipeline"]["string_value"].text();
  }

  // Whether it is served here. All other models, and those with features that only Python has, are
  // the Python backend's.
  bool ours;
  int64_t instances;
  std::string device;
  std::string pipeline;  // "" for a model file

 private:
  std::string text(const char* key) const {
    return parameters[(exported ? "naiad_" : "") + std::string(key)]["string_value"].text();
  }

  static int64_t cores() {
    cpu_set_t usable;
    return sched_getaffinity(0, sizeof usable, &usable) ? 1 : CPU_COUNT(&usable);
  }

  const Json& parameters;
  bool exported;
};

class Model {
 public:
  // Start the workers and wait until each has loaded; throws what the first that fails says.
  Model(
      const std::string& name, uint64_t version, const std::string& path, const std::string& config,
      const Settings& settings)
      : metrics_(name, std::to_string(version)) {
    std::string hello = "{\"path\": " + quoted(path) + ", \"version\": " + std::to_string(version) +
                        ", \"device\": " + quoted(settings.device) + ", \"config\": " + config + "}";
    std::vector<std::future<Contract>> loading;
    for (int64_t number = 0; number < std::max<int64_t>(1, settings.instances); ++number) {
      lanes_.push_back(std::make_unique<Lane>(
          name + " " + settings.pipeline, hello, metrics_, [this] { shed(); }));
      loading.push_back(lanes_.back()->start());
    }
    std::exception_ptr failed;
    for (auto& one : loading) {
      try {
        Contract contract = one.get();
        if (!contract_) contract_ = std::make_unique<Contract>(std::move(contract));
      } catch (...) {
        if (!failed) failed = std::current_exception();
      }
    }
    if (failed) {
      end();
      std::rethrow_exception(failed);
    }
    queue_ = std::make_unique<Lane::Queue>(
        contract_->budget, contract_->capacity, contract_->waiting, contract_->max_queue_delay);
    for (size_t input = 0; input < contract_->inputs.size(); ++input) {
      by_name_[contract_->inputs[input].name] = input;
    }
    for (auto& lane : lanes_) lane->serve(contract_.get(), queue_.get());
  }
  Model(const Model&) = delete;
  ~Model() { end(); }

  // Take a request on; it is answered from another thread, or now where it is refused.
  void accept(TRITONBACKEND_Request* request, TRITONBACKEND_ModelInstance* instance) {
    auto ticket = std::make_unique<Ticket>(request, instance, metrics_);
    if (stopping_.is_up()) return ticket->refuse_unavailable("the server is stopping");
    measure(*ticket);
    if (auto wrong = oversize(ticket->sizes); !wrong.empty()) {
      return ticket->refuse(kInvalidArgument, "InvalidInput", wrong);
    }
    if (auto wrong = read_parameters(*ticket); !wrong.empty()) {
      return ticket->refuse(kInvalidArgument, "InvalidInput", wrong);
    }
    uint64_t microseconds = 0;
    TRITONSERVER_ErrorDelete(
        TRITONBACKEND_InferenceRequestTimeoutMicroseconds(request, &microseconds));
    ticket->timeout = 1e-6 * microseconds;
    if (auto why = queue_->put(ticket, contract_->dims); !why.empty()) {
      return ticket->refuse_unavailable(why);
    }
    shed();  // after it is queued, so that a lane that rests from now on sheds it
  }

 private:
  // The size of each dimension, and of what tensors count. Where tensors disagree, the worker says
  // so; here one is as good.
  void measure(Ticket& ticket) const {
    ticket.sizes.assign(contract_->dims.size(), 0);
    ticket.sizes[0] = 1;
    uint32_t count = 0;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestInputCount(ticket.request, &count));
    for (uint32_t number = 0; number < count; ++number) {
      TRITONBACKEND_Input* input = nullptr;
      const char* name = "";
      const int64_t* shape = nullptr;
      uint32_t rank = 0;
      uint64_t bytes = 0;
      TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestInputByIndex(ticket.request, number, &input));
      TRITONSERVER_ErrorDelete(TRITONBACKEND_InputProperties(
          input, &name, nullptr, &shape, &rank, &bytes, nullptr));
      auto found = by_name_.find(name);
      if (found == by_name_.end()) continue;
      auto& port = contract_->inputs[found->second];
      auto& dims = port.dims;
      for (size_t axis = 0; axis < std::min<size_t>(rank, dims.size()); ++axis) {
        if (dims[axis] > 0) ticket.sizes[dims[axis]] = shape[axis];
      }
      if (port.counts > 0) ticket.sizes[port.counts] += amount(port, bytes, shape, rank);
    }
  }

  // How much is in an input: bytes of a tensor of those, numbers of any other.
  static int64_t amount(const Port& port, uint64_t bytes, const int64_t* shape, uint32_t rank) {
    if (port.dtype != kBytes) return bytes / port.itemsize;
    uint64_t lengths = 4;  // the length of each element is before it, in 32 bits
    for (uint32_t axis = 0; axis < rank; ++axis) lengths *= shape[axis];
    return bytes > lengths ? bytes - lengths : 0;
  }

  std::string oversize(const Sizes& sizes) const {
    for (size_t dim = 0; dim < sizes.size(); ++dim) {
      if (sizes[dim] > contract_->limit.sizes[dim]) {
        return "the request has " + grouped(sizes[dim]) + " " + contract_->dims[dim] +
               "; this model takes at most " + grouped(contract_->limit.sizes[dim]);
      }
    }
    return "";
  }

  static std::string read_parameters(Ticket& ticket) {
    uint32_t count = 0;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestParameterCount(ticket.request, &count));
    for (uint32_t number = 0; number < count; ++number) {
      const char* key = "";
      int type = 0;
      const void* value = nullptr;
      TRITONSERVER_ErrorDelete(
          TRITONBACKEND_RequestParameter(ticket.request, number, &key, &type, &value));
      std::string text = value ? as_json(type, value) : "null";
      ticket.parameters += (number ? ", " : "{") + quoted(key) + ": " + text;
      if (std::string(key) != "naiad_priority") continue;
      int64_t priority = type == kInt && value ? *static_cast<const int64_t*>(value) : INT64_MAX;
      if (priority < -10 || priority > 10) {
        return "parameter naiad_priority is " + text +
               "; it must be an integer from -10 (most urgent) to 10";
      }
      ticket.priority = priority;
    }
    if (count) ticket.parameters += "}";
    return "";
  }

  static std::string as_json(int type, const void* value) {
    switch (type) {
      case kString: return quoted(static_cast<const char*>(value));
      case kInt: return std::to_string(*static_cast<const int64_t*>(value));
      case kBool: return *static_cast<const bool*>(value) ? "true" : "false";
      case kDouble: {
        char text[32];
        snprintf(text, sizeof text, "%.17g", *static_cast<const double*>(value));
        return text;
      }
      default: return "null";
    }
  }

  // Refuse all that waits while every lane rests.
  void shed() {
    double soonest = 1e9;
    for (auto& lane : lanes_) soonest = std::min(soonest, lane->circuit.rest());
    if (soonest <= 0 || !queue_) return;
    std::string why = lanes_[0]->circuit.refusal() + "; try again in about " +
                      std::to_string(static_cast<int64_t>(std::ceil(soonest))) + " s";
    for (auto& ticket : queue_->drain()) ticket->refuse_unavailable(why);
  }

  void end() {
    if (queue_) queue_->close();
    for (auto& lane : lanes_) lane->close();
    for (auto& lane : lanes_) lane->join();
    if (queue_) {
      for (auto& ticket : queue_->drain()) {
        ticket->refuse_unavailable("the model is being unloaded");
      }
    }
  }

  Metrics metrics_;
  StopFlag stopping_;
  std::unique_ptr<Contract> contract_;
  std::unique_ptr<Lane::Queue> queue_;
  std::unordered_map<std::string, size_t> by_name_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace naiad
