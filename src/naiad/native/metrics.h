// Naiad's metrics on Triton's /metrics; naiad.deploy.queries documents them.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
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

// One counter, resolved once: adding to it looks up nothing and takes no lock of ours.
class Counter {
 public:
  Counter(std::string name, Counters::Labels labels, const char* about)
      : key_(std::move(name), std::move(labels)), metric_(Counters::all().take(key_, about)) {}
  Counter(const Counter&) = delete;
  ~Counter() { Counters::all().give_back(key_); }

  bool is_on() const { return metric_ != nullptr; }

  void add(double amount) {
    if (metric_) TRITONSERVER_ErrorDelete(TRITONSERVER_MetricIncrement(metric_, amount));
  }

 private:
  const Counters::Key key_;
  TRITONSERVER_Metric* const metric_;
};

// Upper bound of a bucket, and its label as OpenMetrics writes numbers.
struct Bound {
  double most;
  const char* le;
};

constexpr Bound kSecondsBounds[] = {
    {1e-4, "0.0001"}, {2.5e-4, "0.00025"}, {5e-4, "0.0005"}, {1e-3, "0.001"},  {2.5e-3, "0.0025"},
    {5e-3, "0.005"},  {1e-2, "0.01"},      {2.5e-2, "0.025"}, {5e-2, "0.05"},  {0.1, "0.1"},
    {0.25, "0.25"},   {0.5, "0.5"},        {1, "1.0"},        {2.5, "2.5"},    {5, "5.0"},
    {10, "10.0"},     {25, "25.0"},        {60, "60.0"},      {120, "120.0"},  {300, "300.0"},
    {600, "600.0"}};

constexpr Bound kRowsBounds[] = {
    {1, "1.0"},           {2, "2.0"},           {4, "4.0"},           {8, "8.0"},
    {16, "16.0"},         {32, "32.0"},         {64, "64.0"},         {128, "128.0"},
    {256, "256.0"},       {512, "512.0"},       {1024, "1024.0"},     {4096, "4096.0"},
    {16384, "16384.0"},   {65536, "65536.0"},   {262144, "262144.0"}, {1e6, "1e+06"},
    {4e6, "4e+06"},       {1.6e7, "1.6e+07"},   {6.4e7, "6.4e+07"}};

// A histogram made of counters, as Triton 2.51 has no other kind that adds up: Prometheus knows
// histograms by the names of their samples. Triton does not tell when it is scraped, so the buckets
// are cumulative at all times.
class Histogram {
 public:
  template <size_t kCount>
  Histogram(
      const std::string& name, const Counters::Labels& labels, const char* about,
      const Bound (&bounds)[kCount])
      : bounds_(bounds), sum_(name + "_sum", labels, about), count_(name + "_count", labels, about) {
    Counters::Labels bucket = labels;
    for (auto& bound : bounds) {
      bucket["le"] = bound.le;
      buckets_.push_back(std::make_unique<Counter>(name + "_bucket", bucket, about));
    }
    bucket["le"] = "+Inf";
    buckets_.push_back(std::make_unique<Counter>(name + "_bucket", bucket, about));
  }

  // Count a value that was seen `times`.
  void observe(double value, double times = 1) {
    if (!count_.is_on() || times <= 0) return;
    value = std::max(value, 0.0);  // a worker's message may hold any number
    count_.add(times);
    sum_.add(value * times);
    // The largest first: a scrape in between finds no bucket above the next.
    size_t bucket = buckets_.size();
    do {
      buckets_[--bucket]->add(times);
    } while (bucket && value <= bounds_[bucket - 1].most);
  }

 private:
  const Bound* bounds_;
  Counter sum_, count_;
  std::vector<std::unique_ptr<Counter>> buckets_;  // the last has no bound
};

// Classes of errors, in naiad/errors.py. A worker's message may hold any text, a label must not.
constexpr const char* kErrorKinds[] = {
    "NaiadError",       "InvalidInput",  "PipelineError", "Unavailable",  "StoreError",
    "DeadlineExceeded", "ModelNotFound", "NotAllowed",    "SchemaError",  "WeightsError",
    "ArtifactError",    "EngineError",   "RepositoryError", "MissingExtra"};

class Metrics {
 public:
  Metrics(std::string model, std::string version)
      : labels_{{"model", std::move(model)}, {"version", std::move(version)}},
        requests_("naiad_requests_total", labels_, "Requests answered"),
        batches_("naiad_batches_total", labels_, "Merged batches run"),
        request_(
            "naiad_request_seconds", labels_, "Seconds from a request's arrival to its answer",
            kSecondsBounds) {}
  Metrics(const Metrics&) = delete;

  // Make the histograms of stages and named dimensions, before any is observed.
  void declare(const std::vector<std::string>& stages, const std::vector<std::string>& dims) {
    for (auto& stage : stages) {
      stages_.push_back(std::make_unique<Histogram>(
          "naiad_stage_seconds", with("stage", stage), "Seconds of requests, by stage",
          kSecondsBounds));
      if (stage == "queue") queue_ = stages_.back().get();
    }
    for (auto& dim : dims) {
      items_.push_back(std::make_unique<Histogram>(
          "naiad_batch_items", with("dimension", dim), "Rows of batches, by named dimension",
          kRowsBounds));
    }
  }

  // A request was answered, with or without an error.
  void request(double seconds) {
    requests_.add(1);
    request_.observe(seconds);
  }

  void error(const std::string& kind) {
    bool known = std::find(std::begin(kErrorKinds), std::end(kErrorKinds), kind) !=
                 std::end(kErrorKinds);
    rare("naiad_errors_total", "kind", known ? kind : kErrorKinds[0],
         "Requests answered with an error, by kind");
  }

  // `reason` is one of a few in this library.
  void restart(const char* reason) {
    rare("naiad_worker_restarts_total", "reason", reason,
         "Workers lost and restarted, by reason");
  }

  void batch() { batches_.add(1); }

  // Numbers of stages and dimensions are their positions in declare().
  void items(size_t dim, double rows) {
    if (dim < items_.size()) items_[dim]->observe(rows);
  }

  void stage(size_t number, double seconds, double requests) {
    if (number < stages_.size()) stages_[number]->observe(seconds, requests);
  }

  void queue(double seconds) {
    if (queue_) queue_->observe(seconds);
  }

 private:
  Counters::Labels with(const char* label, const std::string& value) const {
    Counters::Labels labels = labels_;
    labels[label] = value;
    return labels;
  }

  // Count what appears with its first event.
  void rare(const char* name, const char* label, const std::string& value, const char* about) {
    std::lock_guard<std::mutex> hold(mutex_);
    auto& counter = rare_[{name, value}];
    if (!counter) counter = std::make_unique<Counter>(name, with(label, value), about);
    counter->add(1);
  }

  const Counters::Labels labels_;
  Counter requests_, batches_;
  Histogram request_;
  std::vector<std::unique_ptr<Histogram>> stages_, items_;
  Histogram* queue_ = nullptr;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Counter>> rare_;
};

}  // namespace naiad
