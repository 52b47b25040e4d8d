// Conversion between LArSoft's hits and spacepoints and the tensors of NuGraph3.
//
// Nothing here depends on art or LArSoft: any type with the accessors is a hit. It has `key()` and
// points to `View()`, `PeakTime()`, `WireID().Wire`, `Integral()` and `RMS()`, as
// art::Ptr<recob::Hit> does. Ranges are pairs of input iterators.
#pragma once

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
inline constexpr std::size_t kSemanticClasses = 7;
inline constexpr std::size_t kEventClasses = 4;

/// Placeholder for missing scores.
inline constexpr float kNoScore = -1.F;

/// The outputs of NuGraph3's wire contract.
inline const std::vector<std::string>& outputs() {
  static const std::vector<std::string> names{"e_evt",        "x_semantic_u", "x_semantic_v",
                                              "x_semantic_y", "x_filter_u",   "x_filter_v",
                                              "x_filter_y",   "v_evt"};
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

/// NuGraph3's answer for an event, one row per hit, in the order of the request.
struct Decoded {
  std::vector<std::array<float, kSemanticClasses>> semantic;  ///< probabilities
  std::vector<std::array<float, 1>> filter;  ///< probability that the hit is signal
  std::array<float, kEventClasses> event;    ///< probabilities
  std::vector<std::array<float, 3>> vertex;  ///< cm; one, or none without an answer

  /// Scores of an event without an answer: kNoScore for each hit.
  static Decoded empty(std::size_t hits) {
    Decoded decoded;
    decoded.semantic.resize(hits);
    for (auto& row : decoded.semantic) row.fill(kNoScore);
    decoded.filter.assign(hits, {kNoScore});
    decoded.event.fill(kNoScore);
    return decoded;
  }
};

/// Assign the answer's rows, which are by plane, to the hits of the request. Throws PipelineError
/// unless there is one row for each hit.
inline Decoded decode(const Nugraph3Input& input, const Nugraph3Output& output) {
  const std::array semantic{&output.x_semantic_u, &output.x_semantic_v, &output.x_semantic_y};
  const std::array filter{&output.x_filter_u, &output.x_filter_v, &output.x_filter_y};
  Decoded decoded = Decoded::empty(input.hit_table_local_plane.size());
  std::array<std::size_t, kPlanes> next{};
  for (std::size_t hit = 0; hit < input.hit_table_local_plane.size(); ++hit) {
    const auto plane = static_cast<std::size_t>(input.hit_table_local_plane[hit]);
    const std::size_t row = next[plane]++;
    if (semantic[plane]->columns() != kSemanticClasses) {
      throw PipelineError("the answer has no " + std::to_string(kSemanticClasses) +
                          " scores for a hit on plane " + std::to_string(plane));
    }
    if (row >= semantic[plane]->rows() || row >= filter[plane]->size()) {
      throw PipelineError("the answer has too few rows for the hits on plane " +
                          std::to_string(plane));
    }
    auto& scores = decoded.semantic[hit];
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = (*semantic[plane])(row, i);
    softmax(scores.begin(), scores.end());
    decoded.filter[hit] = {(*filter[plane])[row]};
  }
  for (std::size_t plane = 0; plane < kPlanes; ++plane) {
    if (next[plane] != semantic[plane]->rows() || next[plane] != filter[plane]->size()) {
      throw PipelineError("the answer has too many rows for the hits on plane " +
                          std::to_string(plane));
    }
  }
  if (output.e_evt.data.size() != kEventClasses || output.v_evt.data.size() != 3) {
    throw PipelineError("the answer lacks the scores of the event, or its vertex");
  }
  std::copy(output.e_evt.data.begin(), output.e_evt.data.end(), decoded.event.begin());
  softmax(decoded.event.begin(), decoded.event.end());
  decoded.vertex.push_back({output.v_evt(0, 0), output.v_evt(0, 1), output.v_evt(0, 2)});
  return decoded;
}

}  // namespace naiad::larsoft
