// A model of Naiad, as it is served in Triton's own process: its queue, its workers, and exactly one
// reply per request.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "worker_handle.h"
#include "request.h"

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
           text("executor") != "thread";
    int64_t groups = 0;
    bool gpu = text("device").rfind("cuda", 0) == 0;
    for (auto& group : config["instance_group"].items()) {
      groups += group["count"].integer(1);
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
      handles_.push_back(std::make_unique<WorkerHandle>(
          name + " " + settings.pipeline, hello, metrics_, [this] { shed(); }));
      loading.push_back(handles_.back()->start());
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
    std::optional<LatencyTarget> target;
    if (contract_->latency_target > 0) {
      learner_ = std::make_shared<Learner>(contract_->dims.size(), contract_->cost);
      target = LatencyTarget{contract_->latency_target, learner_};
    }
    queue_ = std::make_unique<WorkerHandle::Queue>(
        contract_->budget, contract_->capacity, contract_->waiting, contract_->max_queue_delay,
        std::move(target));
    for (auto& handle : handles_) handle->serve(contract_.get(), queue_.get(), learner_.get());
  }
  Model(const Model&) = delete;
  ~Model() { end(); }

  // Take a request on; it is answered from another thread, or now where it is refused.
  void accept(TRITONBACKEND_Request* request, TRITONBACKEND_ModelInstance* instance) {
    auto pending = std::make_unique<PendingRequest>(request, instance, metrics_);
    if (stopping_.is_up()) return pending->refuse_unavailable("the server is stopping");
    if (auto wrong = Examination(*pending, *contract_).run(); !wrong.empty()) {
      return pending->refuse(kInvalidArgument, "InvalidInput", wrong);
    }
    uint64_t microseconds = 0;
    TRITONSERVER_ErrorDelete(
        TRITONBACKEND_InferenceRequestTimeoutMicroseconds(request, &microseconds));
    pending->timeout = 1e-6 * microseconds;
    if (auto why = queue_->put(pending, contract_->dims); !why.empty()) {
      return pending->refuse_unavailable(why);
    }
    shed();  // after it is queued, so that a worker that rests from now on sheds it
  }

 private:
  // Refuse all that waits while every worker rests.
  void shed() {
    double soonest = 1e9;
    for (auto& handle : handles_) soonest = std::min(soonest, handle->breaker.rest());
    if (soonest <= 0 || !queue_) return;
    std::string why = handles_[0]->breaker.refusal() + "; try again in about " +
                      std::to_string(static_cast<int64_t>(std::ceil(soonest))) + " s";
    for (auto& pending : queue_->drain()) pending->refuse_unavailable(why);
  }

  void end() {
    if (queue_) queue_->close();
    for (auto& handle : handles_) handle->close();
    for (auto& handle : handles_) handle->join();
    if (queue_) {
      for (auto& pending : queue_->drain()) {
        pending->refuse_unavailable("the model is being unloaded");
      }
    }
  }

  Metrics metrics_;
  StopFlag stopping_;
  std::unique_ptr<Contract> contract_;
  std::shared_ptr<Learner> learner_;  // null without a latency target
  std::unique_ptr<WorkerHandle::Queue> queue_;
  std::vector<std::unique_ptr<WorkerHandle>> handles_;
};

}  // namespace naiad
