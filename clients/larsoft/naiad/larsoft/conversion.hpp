// Conversion between LArSoft's hits and spacepoints and the tensors of NuGraph2 and NuGraph3, which
// have the same inputs. NuGraph2 has neither scores nor a vertex of the event.
//
// Nothing here depends on art or LArSoft: any type with the accessors is a hit. It has `key()` and
// points to `View()`, `PeakTime()`, `WireID().Wire`, `Integral()` and `RMS()`, as
// art::Ptr<recob::Hit> does. Ranges are pairs of input iterators.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <naiad/error.hpp>
#include <naiad/nugraph3.hpp>
#include <naiad/scores.hpp>

namespace naiad::larsoft {

using models::Nugraph3Input;
using models::Nugraph3Output;

inline constexpr std::size_t kPlanes = 3;  // u, v, y: views 0, 1, 2
inline constexpr std::size_t kEventClasses = 4;

/// Placeholder for missing scores.
inline constexpr float kNoScore = -1.F;

/// The parts of an answer that a job needs.
struct Parts {
  bool filter = false;
  std::size_t semantic_classes = 0;  ///< 0: no semantic scores
  bool vertex = false;
  bool event = false;
};

/// The outputs that hold the parts; a server is asked for no others, as it may not have them.
inline Schema schema(const Parts& parts) {
  Schema schema;
  if (parts.semantic_classes > 0) {
    schema.push_back({"x_semantic_u", DataType::FP32, {"hits_u", "classes"}});
    schema.push_back({"x_semantic_v", DataType::FP32, {"hits_v", "classes"}});
    schema.push_back({"x_semantic_y", DataType::FP32, {"hits_y", "classes"}});
  }
  if (parts.filter) {
    schema.push_back({"x_filter_u", DataType::FP32, {"hits_u"}});
    schema.push_back({"x_filter_v", DataType::FP32, {"hits_v"}});
    schema.push_back({"x_filter_y", DataType::FP32, {"hits_y"}});
  }
  if (parts.vertex) schema.push_back({"v_evt", DataType::FP32, {1, 3}});
  if (parts.event) schema.push_back({"e_evt", DataType::FP32, {1, 4}});
  return schema;
}

/// Names of the outputs that hold the parts.
inline std::vector<std::string> outputs(const Parts& parts) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : schema(parts)) names.emplace_back(spec.name);
  return names;
}

template <class Hit>
std::int32_t hit_id(const Hit& hit) {
  const auto key = static_cast<std::uint64_t>(hit.key());
  if (key > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
    throw InvalidInput("a hit has the key " + std::to_string(key) + "; it must fit 32 bits");
  }
  return static_cast<std::int32_t>(key);
}

template <class Hit>
std::int32_t plane(const Hit& hit) {
  const auto view = static_cast<std::int64_t>(hit->View());
  if (view < 0 || view >= static_cast<std::int64_t>(kPlanes)) {
    throw InvalidInput("hit " + std::to_string(hit_id(hit)) + " has view " + std::to_string(view) +
                       "; it must be 0 (u), 1 (v) or 2 (y)");
  }
  return static_cast<std::int32_t>(view);
}

/// The request for the hits from `first` to `last` and the spacepoints from `first_spacepoint` to
/// `last_spacepoint`, each of which is the range of its hits. If a spacepoint has several hits on
/// one plane, the last one counts. Throws InvalidInput for a hit on another view.
template <class HitIterator, class SpacepointIterator>
Nugraph3Input request(HitIterator first, HitIterator last, SpacepointIterator first_spacepoint,
                      SpacepointIterator last_spacepoint) {
  Nugraph3Input input;
  for (; first != last; ++first) {
    const auto& hit = *first;
    input.hit_table_hit_id.push_back(hit_id(hit));
    input.hit_table_local_plane.push_back(plane(hit));
    input.hit_table_local_time.push_back(static_cast<float>(hit->PeakTime()));
    input.hit_table_local_wire.push_back(static_cast<std::int32_t>(hit->WireID().Wire));
    input.hit_table_integral.push_back(static_cast<float>(hit->Integral()));
    input.hit_table_rms.push_back(static_cast<float>(hit->RMS()));
  }
  for (std::int32_t id = 0; first_spacepoint != last_spacepoint; ++first_spacepoint, ++id) {
    std::array<std::int32_t, kPlanes> hits{-1, -1, -1};
    for (const auto& hit : *first_spacepoint) {
      hits[static_cast<std::size_t>(plane(hit))] = hit_id(hit);
    }
    input.spacepoint_table_spacepoint_id.push_back(id);
    input.spacepoint_table_hit_id_u.push_back(hits[0]);
    input.spacepoint_table_hit_id_v.push_back(hits[1]);
    input.spacepoint_table_hit_id_y.push_back(hits[2]);
  }
  return input;
}

/// The answer for an event, one row per hit, in the order of the request. Parts that were not
/// needed are empty.
struct Decoded {
  Array<float> semantic;                     ///< probabilities, [hits, classes]
  std::vector<float> filter;                 ///< probability that the hit is signal
  std::array<float, kEventClasses> event{};  ///< probabilities
  std::vector<std::array<float, 3>> vertex;  ///< cm; one, or none without an answer

  /// Scores of an event without an answer: kNoScore for each hit.
  static Decoded empty(std::size_t hits, const Parts& parts) {
    Decoded decoded;
    const std::size_t classes = parts.semantic_classes;
    decoded.semantic.shape = {static_cast<std::int64_t>(hits), static_cast<std::int64_t>(classes)};
    decoded.semantic.data.assign(hits * classes, kNoScore);
    if (parts.filter) decoded.filter.assign(hits, kNoScore);
    decoded.event.fill(kNoScore);
    return decoded;
  }
};

/// Assign the answer's rows, which are by plane, to the hits of the request. Throws PipelineError
/// unless there is one row for each hit, with as many scores as the parts have classes.
inline Decoded decode(const Nugraph3Input& input, const Nugraph3Output& output,
                      const Parts& parts) {
  const std::array semantic{&output.x_semantic_u, &output.x_semantic_v, &output.x_semantic_y};
  const std::array filter{&output.x_filter_u, &output.x_filter_v, &output.x_filter_y};
  const std::size_t classes = parts.semantic_classes;
  const std::size_t hits = input.hit_table_local_plane.size();
  Decoded decoded = Decoded::empty(hits, parts);
  std::array<std::size_t, kPlanes> next{};
  const auto rows = [&](const char* what, std::size_t plane) {
    return PipelineError("the answer has too " + std::string(what) +
                         " rows for the hits on plane " + std::to_string(plane));
  };
  for (std::size_t hit = 0; hit < hits; ++hit) {
    const auto plane = static_cast<std::size_t>(input.hit_table_local_plane[hit]);
    const std::size_t row = next[plane]++;
    if (classes > 0) {
      const Array<float>& scores = *semantic[plane];
      if (row >= scores.rows()) throw rows("few", plane);
      if (scores.columns() != classes) {
        throw PipelineError("the answer has " + std::to_string(scores.columns()) +
                            " semantic scores per hit on plane " + std::to_string(plane) + "; " +
                            std::to_string(classes) + " categories are configured");
      }
      const auto first = decoded.semantic.data.begin() + static_cast<std::ptrdiff_t>(hit * classes);
      for (std::size_t i = 0; i < classes; ++i) first[static_cast<std::ptrdiff_t>(i)] = scores(row, i);
      softmax(first, first + static_cast<std::ptrdiff_t>(classes));
    }
    if (parts.filter) {
      if (row >= filter[plane]->size()) throw rows("few", plane);
      decoded.filter[hit] = (*filter[plane])[row];
    }
  }
  for (std::size_t plane = 0; plane < kPlanes; ++plane) {
    const bool more_scores = classes > 0 && next[plane] != semantic[plane]->rows();
    const bool more_filters = parts.filter && next[plane] != filter[plane]->size();
    if (more_scores || more_filters) throw rows("many", plane);
  }
  if (parts.event) {
    if (output.e_evt.data.size() != kEventClasses) {
      throw PipelineError("the answer lacks the scores of the event");
    }
    std::copy(output.e_evt.data.begin(), output.e_evt.data.end(), decoded.event.begin());
    softmax(decoded.event.begin(), decoded.event.end());
  }
  if (parts.vertex) {
    const std::vector<float>& at = output.v_evt.data;
    if (at.size() != 3) throw PipelineError("the answer lacks the vertex of the event");
    decoded.vertex.push_back({at[0], at[1], at[2]});
  }
  return decoded;
}

}  // namespace naiad::larsoft
