#include "naiad/events.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "table.hpp"

namespace naiad {
namespace {

// Rows of event_id that are read at once to find events by it.
constexpr std::uint64_t kScanRows = 1'000'000;

/// Consecutive rows with the same id.
struct Stretch {
  EventId id;
  std::uint64_t start;
  std::uint64_t stop;
};

std::vector<Stretch> stretches(const Table& table) {
  std::vector<Stretch> result;
  for (std::uint64_t low = 0; low < table.rows(); low += kScanRows) {
    const std::uint64_t high = std::min(low + kScanRows, table.rows());
    std::uint64_t row = low;
    for (const EventId& id : table.ids(low, high)) {
      if (result.empty() || result.back().id != id) result.push_back({id, row, row});
      result.back().stop = ++row;
    }
  }
  return result;
}

/// Ids by sequence number, of all events that the tables count.
std::map<std::int64_t, EventId> counted_events(const std::vector<const Table*>& tables) {
  std::map<std::int64_t, EventId> events;
  for (const Table* table : tables) {
    if (!table->counts()) continue;
    if (!table->has_ids() && !table->counts()->empty()) {
      throw InvalidInput(table->where("event_id") + ": no such column");
    }
    std::uint64_t row = 0;
    for (const Count& count : *table->counts()) {
      if (count.rows > 0) events.try_emplace(count.event, table->ids(row, row + 1).front());
      row += count.rows;
    }
  }
  return events;
}

}  // namespace

struct EventFile::Contents {
  /// Consecutive rows of an event.
  struct Run {
    std::size_t event;
    std::uint64_t start;
    std::uint64_t stop;
  };

  explicit Contents(const std::string& path);

  /// The rows of an event in a column, joined from `read(start, stop)` of each range.
  template <class Read>
  static auto gathered(const std::vector<Run>& runs, std::size_t event, Read read) {
    auto [first, last] =
        std::equal_range(runs.begin(), runs.end(), Run{event, 0, 0},
                         [](const Run& a, const Run& b) { return a.event < b.event; });
    if (first == last) return read(0, 0);
    auto values = read(first->start, first->stop);
    for (++first; first != last; ++first) {
      const auto more = read(first->start, first->stop);
      values.insert(values.end(), more.begin(), more.end());
    }
    return values;
  }

  std::vector<Run> runs_of(const Table& table, const std::map<std::int64_t, std::size_t>& sequence,
                           const std::map<EventId, std::size_t>& numbers) const;

  hdf5::Handle file;
  std::optional<Table> hits;
  std::optional<Table> spacepoints;
  std::vector<EventId> ids;
  std::vector<Run> hit_runs;  // in the order of events
  std::vector<Run> spacepoint_runs;
};

EventFile::Contents::Contents(const std::string& path) : file(hdf5::open_file(path)) {
  const auto required = [&](const char* name, const std::vector<std::string>& columns) {
    std::optional<Table> table = Table::open(file, path, name);
    if (!table) {
      std::string there;
      for (const std::string& other : hdf5::names(file))
        there += (there.empty() ? "" : ", ") + other;
      throw InvalidInput(path + " has no table '" + name +
                         "'; an event file has hit_table and spacepoint_table; this one has " +
                         (there.empty() ? "nothing" : there));
    }
    table->require(columns);
    return table;
  };
  hits = required("hit_table",
                  {"hit_id", "local_plane", "local_time", "local_wire", "integral", "rms"});
  spacepoints = required("spacepoint_table", {"spacepoint_id", "hit_id_u", "hit_id_v", "hit_id_y"});
  const std::optional<Table> events = Table::open(file, path, "event_table");
  const std::vector<const Table*> tables{&*hits, &*spacepoints};

  // The events are the rows of event_table if it names them, and otherwise those that have rows in
  // the tables. If no table names events, the file is one event.
  std::map<std::int64_t, std::size_t> sequence;
  const bool counted = hits->counts() || spacepoints->counts();
  if (events && events->has_ids()) {
    ids = events->ids(0, events->rows());
    for (std::size_t i = 0; i < ids.size(); ++i) sequence[static_cast<std::int64_t>(i)] = i;
  } else if (counted) {
    for (const auto& [number, id] : counted_events(tables)) {
      sequence[number] = ids.size();
      ids.push_back(id);
    }
  } else if (hits->has_ids() || spacepoints->has_ids()) {
    std::set<EventId> known;
    for (const Table* table : tables) {
      if (!table->has_ids()) continue;
      for (const Stretch& stretch : stretches(*table)) {
        if (known.insert(stretch.id).second) ids.push_back(stretch.id);
      }
    }
  } else {
    ids = {{-1, -1, -1}};
  }
  // If two events have the same id, rows found by it belong to the first.
  std::map<EventId, std::size_t> numbers;
  for (std::size_t i = 0; i < ids.size(); ++i) numbers.try_emplace(ids[i], i);
  hit_runs = runs_of(*hits, sequence, numbers);
  spacepoint_runs = runs_of(*spacepoints, sequence, numbers);
}

auto EventFile::Contents::runs_of(const Table& table,
                                  const std::map<std::int64_t, std::size_t>& sequence,
                                  const std::map<EventId, std::size_t>& numbers) const
    -> std::vector<Run> {
  std::vector<Run> runs;
  if (table.counts()) {
    std::uint64_t row = 0;
    for (const Count& count : *table.counts()) {
      const auto found = sequence.find(count.event);
      if (found == sequence.end() && count.rows > 0) {
        throw InvalidInput(table.where("event_id.seq_cnt") + " has sequence number " +
                           std::to_string(count.event) + "; event_table has " +
                           std::to_string(ids.size()) + " events, counted from 0");
      }
      if (count.rows > 0) runs.push_back({found->second, row, row + count.rows});
      row += count.rows;
    }
  } else if (table.has_ids()) {
    for (const Stretch& stretch : stretches(table)) {
      const auto found = numbers.find(stretch.id);
      if (found == numbers.end()) {
        throw InvalidInput(table.where("event_id") + " has rows of run " +
                           std::to_string(stretch.id[0]) + ", subrun " +
                           std::to_string(stretch.id[1]) + ", event " +
                           std::to_string(stretch.id[2]) + ", which event_table lacks");
      }
      runs.push_back({found->second, stretch.start, stretch.stop});
    }
  } else if (ids.size() == 1) {
    if (table.rows() > 0) runs.push_back({0, 0, table.rows()});
  } else {
    throw InvalidInput(table.where("event_id") +
                       " and event_id.seq_cnt are missing; without one "
                       "of them rows cannot be assigned to the " +
                       std::to_string(ids.size()) + " events of the file");
  }
  std::stable_sort(runs.begin(), runs.end(),
                   [](const Run& a, const Run& b) { return a.event < b.event; });
  return runs;
}

EventFile::EventFile(const std::string& path) {
  const std::lock_guard lock(hdf5::lock());
  contents_ = std::make_unique<Contents>(path);
}

EventFile::~EventFile() {
  const std::lock_guard lock(hdf5::lock());
  contents_.reset();
}

EventFile::EventFile(EventFile&&) noexcept = default;

std::size_t EventFile::size() const {
  return contents_->ids.size();
}

EventId EventFile::id(std::size_t number) const {
  if (number >= size()) {
    throw InvalidInput("event " + std::to_string(number) + " is asked for; the file has " +
                       std::to_string(size()));
  }
  return contents_->ids[number];
}

Event EventFile::read(std::size_t number) const {
  Event event;
  event.id = id(number);
  const std::lock_guard lock(hdf5::lock());
  const auto integers = [&](const Table& table, const auto& runs, const char* name) {
    return Contents::gathered(runs, number, [&](std::uint64_t start, std::uint64_t stop) {
      return table.column(name).integers(start, stop, table.where(name));
    });
  };
  const auto numbers = [&](const char* name) {
    return Contents::gathered(contents_->hit_runs, number,
                              [&](std::uint64_t start, std::uint64_t stop) {
                                return contents_->hits->column(name).numbers(start, stop);
                              });
  };
  const auto of_hits = [&](const char* name) {
    return integers(*contents_->hits, contents_->hit_runs, name);
  };
  const auto of_spacepoints = [&](const char* name) {
    return integers(*contents_->spacepoints, contents_->spacepoint_runs, name);
  };
  event.hit_id = of_hits("hit_id");
  event.local_plane = of_hits("local_plane");
  event.local_time = numbers("local_time");
  event.local_wire = of_hits("local_wire");
  event.integral = numbers("integral");
  event.rms = numbers("rms");
  event.spacepoint_id = of_spacepoints("spacepoint_id");
  event.hit_id_u = of_spacepoints("hit_id_u");
  event.hit_id_v = of_spacepoints("hit_id_v");
  event.hit_id_y = of_spacepoints("hit_id_y");
  return event;
}

}  // namespace naiad
