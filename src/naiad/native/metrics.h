// Naiad's metrics on Triton's /metrics; naiad.deploy.queries documents them.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "triton_api.h"

namespace naiad {

// Triton's counters, for as long as a model uses them. A model and its successor have the same labels
// while both are loaded, for which Triton 2.51 has one object: deleted for one, it is freed for both.
class Counters {
 public:
  using Labels = std::map<std::string, std::string>;
  using Key = std::tuple<std::string, Labels>;

  static Counters& all() {
    static auto* one = new Counters;  // never destroyed: Triton may call as the process ends
    return *one;
  }

  // Return the counter, or null if metrics are switched off; give each back once.
  TRITONSERVER_Metric* take(const Key& key, const char* about) {
    std::lock_guard<std::mutex> hold(mutex_);
    Shared& shared = counters_[key];
    if (!shared.users++) shared.metric = make(key, about);
    return shared.metric;
  }

  void give_back(const Key& key) {
    std::lock_guard<std::mutex> hold(mutex_);
    auto found = counters_.find(key);
    if (--found->second.users) return;
    if (found->second.metric) {
      TRITONSERVER_ErrorDelete(TRITONSERVER_MetricDelete(found->second.metric));
    }
    counters_.erase(found);
  }

 private:
  struct Shared {
    TRITONSERVER_Metric* metric = nullptr;
    int users = 0;
  };

  TRITONSERVER_Metric* make(const Key& key, const char* about) {
    auto& [name, labels] = key;
    TRITONSERVER_MetricFamily*& family = families_[name];
    if (!family) {
      TRITONSERVER_ErrorDelete(TRITONSERVER_MetricFamilyNew(&family, kCounter, name.c_str(), about));
    }
    if (!family) return nullptr;
    std::vector<TRITONSERVER_Parameter*> given;
    for (auto& [label, value] : labels) {
      given.push_back(TRITONSERVER_ParameterNew(label.c_str(), kString, value.c_str()));
    }
    TRITONSERVER_Metric* metric = nullptr;
    TRITONSERVER_ErrorDelete(TRITONSERVER_MetricNew(
        &metric, family, const_cast<const TRITONSERVER_Parameter**>(given.data()), given.size()));
    for (auto* parameter : given) TRITONSERVER_ParameterDelete(parameter);
    return metric;
  }

  std::mutex mutex_;
  std::map<std::string, TRITONSERVER_MetricFamily*> families_;
  std::map<Key, Shared> counters_;
};

class Metrics {
 public:
  Metrics(std::string model, std::string version)
      : labels_{{"model", std::move(model)}, {"version", std::move(version)}} {}
  Metrics(const Metrics&) = delete;
  ~Metrics() {
    for (auto& [name, taken] : taken_) Counters::all().give_back(taken.key);
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
  void add(
      const char* family, const char* about, const char* label, const std::string& value,
      double amount) {
    std::lock_guard<std::mutex> hold(mutex_);
    Taken& taken = taken_[{family, value}];
    if (std::get<0>(taken.key).empty()) {
      taken.key = {family, labels_};
      if (*label) std::get<1>(taken.key)[label] = value;
      taken.metric = Counters::all().take(taken.key, about);
    }
    if (taken.metric) TRITONSERVER_ErrorDelete(TRITONSERVER_MetricIncrement(taken.metric, amount));
  }

  struct Taken {
    Counters::Key key;
    TRITONSERVER_Metric* metric = nullptr;
  };

  const Counters::Labels labels_;
  std::mutex mutex_;
  std::map<std::tuple<std::string, std::string>, Taken> taken_;
};

}  // namespace naiad
