// A model served in Triton's own process: its queue, its workers, and exactly one reply per request.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "worker_handle.h"
#include "request.h"

namespace naiad {

// The supervisor's file that says the server is stopping; checked a few times a second.
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

// Kind and devices of a model, from its config.
struct Settings {
  explicit Settings(const Json& config) : parameters(config["parameters"]) {
    is_pipeline = static_cast<bool>(parameters["naiad_pipeline"]);
    pipeline = parameters["naiad_pipeline"]["string_value"].text();
    if (is_pipeline) {
      devices.push_back(text("device").empty() ? "cpu" : text("device"));
    } else {
      for (auto& group : config["instance_group"].items()) add(group);
      if (devices.empty()) devices.push_back("cpu");
    }
    size_t instances = devices.size();
    if (auto said = text("instances"); !said.empty()) {
      instances = std::max(1, std::atoi(said.c_str()));
    } else if (instances == 1 && devices[0] == "cpu" && (is_pipeline || parameters["naiad_dims"])) {
      instances = usable_cores();
    }
    size_t groups = devices.size();
    while (devices.size() < instances) devices.push_back(devices[devices.size() % groups]);
    devices.resize(instances);
  }

  bool is_pipeline;                  // otherwise a model file of another backend
  std::string pipeline;              // "" for a model file
  std::vector<std::string> devices;  // per worker: cpu, cuda:0, ..., or model

 private:
  // Add the workers of an instance group; a KIND_MODEL runs on the devices in its file.
  void add(const Json& group) {
    std::vector<std::string> places;
    if (group["kind"].text() == "KIND_GPU") {
      for (auto& gpu : group["gpus"].items()) {
        places.push_back("cuda:" + std::to_string(gpu.integer(0)));
      }
      if (places.empty()) places.push_back("cuda:0");
    } else {
      places.push_back(group["kind"].text() == "KIND_MODEL" ? "model" : "cpu");
    }
    for (auto& place : places) {
      for (int64_t number = 0; number < group["count"].integer(1); ++number) {
        devices.push_back(place);
      }
    }
  }

  std::string text(const char* key) const {
    return parameters[(is_pipeline ? "" : "naiad_") + std::string(key)]["string_value"].text();
  }

  const Json& parameters;
};

// First message to a worker: the model, its device, and the number of workers that share its queue;
// without a device, a request to complete the config from the model's file.
inline std::string hello(
    const std::string& path, uint64_t version, const std::string& config,
    const std::string& device = "", size_t workers = 0) {
  return "{\"protocol\": " + std::to_string(kProtocol) + ", \"path\": " + quoted(path) +
         ", \"version\": " + std::to_string(version) + ", \"device\": " + quoted(device) +
         ", \"workers\": " + std::to_string(workers) + ", \"config\": " + config + "}";
}

class Model {
 public:
  // Start the workers and wait until all have loaded; throw the error of the first that fails.
  Model(
      const std::string& name, uint64_t version, const std::string& path, const std::string& config,
      const Settings& settings)
      : metrics_(name, std::to_string(version)) {
    std::vector<std::future<Contract>> loading;
    for (auto& device : settings.devices) {
      handles_.push_back(std::make_unique<WorkerHandle>(
          name + " " + settings.pipeline,
          hello(path, version, config, device, settings.devices.size()),
          static_cast<int>(handles_.size()), metrics_, [this] { shed(); }));
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
    origin_ = {name, "", version};
    for (auto& dim : contract_->dims) origin_.dims += (origin_.dims.empty() ? "" : ",") + dim;
    metrics_.declare(contract_->stages, contract_->dims);
    std::optional<LatencyTarget> target;
    if (contract_->latency_target > 0) {
      learner_ = std::make_shared<Learner>(contract_->dims.size(), contract_->cost);
      target = LatencyTarget{contract_->latency_target, learner_};
    }
    queue_ = std::make_unique<WorkerHandle::Queue>(
        contract_->budget, contract_->capacity, contract_->waiting, contract_->max_queue_delay,
        std::move(target));
    if (contract_->most_threads > contract_->least_threads) {
      work_ = std::make_unique<Learner>(contract_->dims.size(), contract_->cost);
    }
    for (auto& handle : handles_) {
      handle->serve(contract_.get(), queue_.get(), learner_.get(), work_.get());
    }
  }
  Model(const Model&) = delete;
  ~Model() { end(); }

  // Accept a request, to be answered from another thread, or refuse it at once.
  void accept(TRITONBACKEND_Request* request, TRITONBACKEND_ModelInstance* instance) {
    auto pending = std::make_unique<PendingRequest>(request, instance, metrics_);
    pending->story.origin = &origin_;
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
    shed();  // after queueing, so that a worker that rests from now on sheds it
  }

  // Wait until nothing uses an instance that Triton is about to free.
  void settle() {
    for (auto& handle : handles_) handle->settle();
  }

 private:
  // Refuse all queued requests if every worker rests.
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
  Origin origin_;
  StopFlag stopping_;
  std::unique_ptr<Contract> contract_;
  std::shared_ptr<Learner> learner_;  // null without a latency target
  std::unique_ptr<Learner> work_;     // null if all batches have the same number of threads
  std::unique_ptr<WorkerHandle::Queue> queue_;
  std::vector<std::unique_ptr<WorkerHandle>> handles_;
};

}  // namespace naiad
