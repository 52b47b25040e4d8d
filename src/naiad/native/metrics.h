// Naiad's metrics on Triton's /metrics; naiad.deploy.queries documents them.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "triton_api.h"

namespace naiad {

class Metrics {
 public:
  Metrics(std::string model, std::string version)
      : model_(std::move(model)), version_(std::move(version)) {}
  Metrics(const Metrics&) = delete;
  ~Metrics() {
    for (auto& [key, metric] : metrics_) TRITONSERVER_ErrorDelete(TRITONSERVER_MetricDelete(metric));
    for (auto& [name, family] : families_) {
      TRITONSERVER_ErrorDelete(TRITONSERVER_MetricFamilyDelete(family));
    }
  }

  void requests(double count) { add("naiad_requests_total", "Requests answered", "", "", count); }
  void error(const std::string& kind) {
    add("naiad_errors_total", "Requests answered with an error, by kind", "kind", kind, 1);
  }
  void batch() { add("naiad_batches_total", "Merged batches run", "", "", 1); }
  void items(const std::string& dimension, double rows) {
    add("naiad_batch_items_total", "Rows run in batches, by named dimension", "dimension",
        dimension, rows);
  }
  void stage(const std::string& name, double seconds) {
    add("naiad_stage_seconds_total", "Seconds spent, by stage", "stage", name, seconds);
  }
  void restart(const std::string& reason) {
    add("naiad_worker_restarts_total", "Workers lost and restarted, by reason", "reason",
        reason, 1);
  }

 private:
  using Key = std::tuple<std::string, std::string>;

  void add(
      const char* family, const char* about, const char* label, const std::string& value,
      double amount) {
    std::lock_guard<std::mutex> hold(mutex_);
    TRITONSERVER_Metric*& metric = metrics_[Key{family, value}];
    if (!metric) metric = make(family, about, label, value);
    if (metric) TRITONSERVER_ErrorDelete(TRITONSERVER_MetricIncrement(metric, amount));
  }

  TRITONSERVER_Metric* make(
      const char* name, const char* about, const char* label, const std::string& value) {
    TRITONSERVER_MetricFamily*& family = families_[name];
    if (!family) {
      TRITONSERVER_ErrorDelete(TRITONSERVER_MetricFamilyNew(&family, kCounter, name, about));
    }
    if (!family) return nullptr;  // metrics may be switched off
    TRITONSERVER_Parameter* labels[] = {
        TRITONSERVER_ParameterNew("model", kString, model_.c_str()),
        TRITONSERVER_ParameterNew("version", kString, version_.c_str()),
        *label ? TRITONSERVER_ParameterNew(label, kString, value.c_str()) : nullptr};
    TRITONSERVER_Metric* metric = nullptr;
    TRITONSERVER_ErrorDelete(TRITONSERVER_MetricNew(
        &metric, family, const_cast<const TRITONSERVER_Parameter**>(labels), *label ? 3 : 2));
    for (auto* parameter : labels) {
      if (parameter) TRITONSERVER_ParameterDelete(parameter);
    }
    return metric;
  }

  std::string model_, version_;
  std::mutex mutex_;
  std::map<std::string, TRITONSERVER_MetricFamily*> families_;
  std::map<Key, TRITONSERVER_Metric*> metrics_;
};

}  // namespace naiad
