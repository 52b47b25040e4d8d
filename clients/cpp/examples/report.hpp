// Results of NuGraph2 and NuGraph3 for the terminal, as `naiad infer` prints them.
#pragma once

#include <array>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <naiad/events.hpp>
#include <naiad/tensor.hpp>

namespace report {

/// An answer of either network.
struct Answer {
  std::array<naiad::Array<float>, 3> semantic;  // by plane
  std::array<std::vector<float>, 3> filter;
  std::vector<float> event;   // scores; empty if the model has none
  std::vector<float> vertex;  // cm; empty if the model has none
  std::size_t unknown_hits = 0;
};

template <class Output, class = void>
struct HasEvent : std::false_type {};
template <class Output>
struct HasEvent<Output, std::void_t<decltype(Output::e_evt)>> : std::true_type {};

template <class Output, class = void>
struct HasVertex : std::false_type {};
template <class Output>
struct HasVertex<Output, std::void_t<decltype(Output::v_evt)>> : std::true_type {};

template <class Output, class = void>
struct HasUnknownHits : std::false_type {};
template <class Output>
struct HasUnknownHits<Output, std::void_t<decltype(Output::unknown_hits)>> : std::true_type {};

/// From the generated struct of a model, with the outputs that it has.
template <class Output>
Answer answer_of(Output output) {
  Answer answer;
  answer.semantic = {std::move(output.x_semantic_u), std::move(output.x_semantic_v),
                     std::move(output.x_semantic_y)};
  answer.filter = {std::move(output.x_filter_u), std::move(output.x_filter_v),
                   std::move(output.x_filter_y)};
  if constexpr (HasEvent<Output>::value) answer.event = std::move(output.e_evt.data);
  if constexpr (HasVertex<Output>::value) answer.vertex = std::move(output.v_evt.data);
  if constexpr (HasUnknownHits<Output>::value) {
    if (!output.unknown_hits.empty()) {
      answer.unknown_hits = static_cast<std::size_t>(output.unknown_hits.front());
    }
  }
  return answer;
}

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

/// One event as the network reconstructs it.
struct Result {
  naiad::EventId id;
  Labels labels;
  std::vector<float> event_probabilities;  // empty if the model has none
  std::vector<float> vertex;               // x, y, z in cm; empty if the model has none
  /// Signal hits by semantic class; the last row counts the other hits.
  std::vector<PlaneCounts> counts;
  std::size_t unknown_hits = 0;

  /// `planes` are those of the event's hits. Throws naiad::PipelineError if the answer does not fit
  /// the event.
  static Result from(const naiad::EventId& id, const std::vector<std::int32_t>& planes,
                     const Answer& answer, const Labels& labels);
  std::size_t event_class() const;
  std::size_t hits() const;
  std::size_t signal() const;
};

/// Sums over many results.
struct Tally {
  Labels labels;
  std::size_t total = 0;
  std::vector<std::size_t> events;  // by class
  std::vector<PlaneCounts> counts;
  std::size_t unknown_hits = 0;

  void add(const Result& result);
};

void print(const Result& result);
/// Print a line for each event: its class, vertex, and number of hits. `results` must not be empty.
void print_lines(const std::vector<Result>& results);
void print(const Tally& tally, double seconds);
/// Print the notice of the weights, unless it is empty.
void print_notice(const std::string& notice);

/// As "1 event" and "1,200 events".
std::string count_of(std::size_t number, const std::string& noun);
/// As "1,200".
std::string grouped(std::size_t number);

}  // namespace report
