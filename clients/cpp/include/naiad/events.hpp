// Neutrino events from HDF5 files, as NuGraph3 takes them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "naiad/error.hpp"

namespace naiad {

/// Run, subrun and event number; -1 each where a file does not say.
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
  std::vector<std::int32_t> hit_id_u;  ///< the spacepoint's hit on plane u; -1 where it has none
  std::vector<std::int32_t> hit_id_v;
  std::vector<std::int32_t> hit_id_y;
};

/// The request of an event: `In` is models::Nugraph3Input, of the generated header.
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

/// The events of an HDF5 file, read when they are asked for: pynuml's layout (a dataset per column,
/// `event_id`, `event_id.seq_cnt`), or pandas' HDFStore in "fixed" format.
///
/// May be used by several threads; they read one after the other, since libhdf5 does not allow
/// more.
class EventFile {
 public:
  /// Throws InvalidInput where the file is not there, is no HDF5, or lacks a table or column.
  explicit EventFile(const std::string& path);
  ~EventFile();
  EventFile(EventFile&&) noexcept;
  EventFile& operator=(EventFile&&) = delete;

  std::size_t size() const;
  EventId id(std::size_t number) const;
  /// Throws InvalidInput for a number that is not less than size(), and for values that are not
  /// what their column must have.
  Event read(std::size_t number) const;

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
};

}  // namespace naiad
