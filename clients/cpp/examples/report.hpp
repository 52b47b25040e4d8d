// Results of NuGraph3 for the terminal, as `naiad infer nugraph3` prints them.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include <naiad/events.hpp>
#include <naiad/nugraph3.hpp>

namespace report {

/// Names of a model's classes, in the order of its scores, and the notice of its weights.
struct Labels {
  std::vector<std::string> semantic;
  std::vector<std::string> event;
  std::string notice;

  /// From the parameters in the model's configuration.
  static Labels from(const std::map<std::string, std::string>& parameters);
  /// The names for this number of scores; if the model has none, "class 0" and so on. Throws
  /// naiad::PipelineError if it has another number.
  Labels sized(std::size_t semantic, std::size_t event) const;
};

using PlaneCounts = std::array<std::size_t, 3>;  // u, v, y

/// One event as NuGraph3 reconstructs it.
struct Result {
  naiad::EventId id;
  Labels labels;
  std::vector<float> event_probabilities;
  std::array<float, 3> vertex;  // cm
  /// Signal hits by semantic class; the last row counts the other hits.
  std::vector<PlaneCounts> counts;
  std::size_t unknown_hits = 0;

  /// `planes` are those of the event's hits. Throws naiad::PipelineError if the output does not fit
  /// the event.
  static Result from(const naiad::EventId& id, const std::vector<std::int32_t>& planes,
                     const naiad::models::Nugraph3Output& output, const Labels& labels);
  std::size_t event_class() const;
};

/// Sums over many results.
struct Tally {
  Labels labels;
  std::vector<std::size_t> events;  // by class
  std::vector<PlaneCounts> counts;
  std::size_t unknown_hits = 0;

  void add(const Result& result);
  std::size_t total() const;
};

void print(const Result& result);
void print(const Tally& tally, double seconds);
/// Print the notice of the weights, unless it is empty.
void print_notice(const std::string& notice);

/// As "1 event" and "1,200 events".
std::string count_of(std::size_t number, const std::string& noun);
/// As "1,200".
std::string grouped(std::size_t number);

}  // namespace report
