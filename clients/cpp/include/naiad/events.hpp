// Neutrino events in HDF5 files, for NuGraph3.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "naiad/error.hpp"

namespace naiad {

/// Run, subrun and event number; each is -1 if the file lacks it.
using EventId = std::array<std::int64_t, 3>;

/// One event: columns of its hits, equally long, and of its spacepoints.
struct Event {
  EventId id{-1, -1, -1};
  std::vector<std::int32_t> hit_id;
  std::vector<std::int32_t> local_plane;  ///< 0 u, 1 v, 2 y
  std::vector<float> local_time;          ///< ticks
  std::vector<std::int32_t> local_wire;
  std::vector<float> integral;  ///< ADC counts
  std::vector<float> rms;       ///< ticks
  std::vector<std::int32_t> spacepoint_id;
  std::vector<std::int32_t> hit_id_u;  ///< the spacepoint's hit on plane u; -1 if it has none
  std::vector<std::int32_t> hit_id_v;
  std::vector<std::int32_t> hit_id_y;
};

/// Return the request for an event; `In` is models::Nugraph3Input of the generated header.
template <class In>
In request_of(Event event) {
  In in;
  in.hit_table_hit_id = std::move(event.hit_id);
  in.hit_table_local_plane = std::move(event.local_plane);
  in.hit_table_local_time = std::move(event.local_time);
  in.hit_table_local_wire = std::move(event.local_wire);
  in.hit_table_integral = std::move(event.integral);
  in.hit_table_rms = std::move(event.rms);
  in.spacepoint_table_spacepoint_id = std::move(event.spacepoint_id);
  in.spacepoint_table_hit_id_u = std::move(event.hit_id_u);
  in.spacepoint_table_hit_id_v = std::move(event.hit_id_v);
  in.spacepoint_table_hit_id_y = std::move(event.hit_id_y);
  return in;
}

/// Events of an HDF5 file, read on demand: pynuml's layout (a dataset per column, `event_id`,
/// `event_id.seq_cnt`), or pandas' HDFStore in "fixed" format.
///
/// Safe to use from several threads, which read one after the other, as libhdf5 requires.
class EventFile {
 public:
  /// Throws InvalidInput if the file is missing, is not HDF5, or lacks a table or column.
  explicit EventFile(const std::string& path);
  ~EventFile();
  EventFile(EventFile&&) noexcept;
  EventFile& operator=(EventFile&&) = delete;

  std::size_t size() const;
  EventId id(std::size_t number) const;
  /// Throws InvalidInput for a number that is not less than size(), and for values that do not fit
  /// their column.
  Event read(std::size_t number) const;

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
};

}  // namespace naiad
