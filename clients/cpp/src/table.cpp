#include "table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

namespace naiad {
namespace {

constexpr const char* kKey = "event_id";
constexpr const char* kCounts = "event_id.seq_cnt";
constexpr const char* kSequence = "event_id.seq";
constexpr std::array<const char*, 3> kIdColumns{"run", "subrun", "event"};

template <class T>
std::vector<std::int32_t> exactly(const std::vector<T>& values, const std::string& where) {
  std::vector<std::int32_t> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    constexpr auto least = static_cast<T>(std::numeric_limits<std::int32_t>::min());
    constexpr auto most = static_cast<T>(std::numeric_limits<std::int32_t>::max());
    const T value = values[i];
    // False for NaN, too.
    const bool fits = value >= least && value <= most;
    if (!fits || static_cast<T>(static_cast<std::int32_t>(value)) != value) {
      std::ostringstream text;
      text << where << " has " << value << "; it must be a whole int32 number";
      throw InvalidInput(text.str());
    }
    result[i] = static_cast<std::int32_t>(value);
  }
  return result;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<std::int32_t> Column::integers(std::uint64_t start, std::uint64_t stop,
                                           const std::string& where) const {
  if (empty) return {};
  if (dataset.kind() == hdf5::Kind::real) {
    return exactly(dataset.read<double>(start, stop, part), where);
  }
  return exactly(dataset.read<std::int64_t>(start, stop, part), where);
}

std::vector<float> Column::numbers(std::uint64_t start, std::uint64_t stop) const {
  if (empty) return {};
  return dataset.read<float>(start, stop, part);
}

std::optional<Table> Table::open(const hdf5::Handle& file, const std::string& path,
                                 const std::string& name) {
  if (!hdf5::exists(file, name)) return std::nullopt;
  const hdf5::Handle group = hdf5::open_group(file, name);
  if (!group) {
    throw InvalidInput(path + ": " + name + " is a dataset; it must be a group with a column each");
  }
  if (hdf5::exists(group, "table")) {
    throw InvalidInput(path + ": " + name +
                       " is in pandas' \"table\" format; write it with format=\"fixed\"");
  }
  Table table;
  table.path_ = path;
  table.name_ = name;
  if (hdf5::exists(group, "axis0")) {
    table.read_pandas(group);
  } else {
    table.read_pynuml(group);
  }
  return table;
}

void Table::require(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    const auto found = columns_.find(name);
    if (found == columns_.end()) {
      std::vector<std::string> there;
      for (const auto& [column, _] : columns_) there.push_back(column);
      throw InvalidInput(path_ + ": " + name_ + " has no column '" + name + "'; it must have " +
                         joined(names) + "; it has " + joined(there));
    }
    if (found->second.dataset.kind() == hdf5::Kind::other) {
      throw InvalidInput(where(name) + " has no numbers");
    }
  }
}

void Table::read_pynuml(const hdf5::Handle& group) {
  std::map<std::string, std::uint64_t> rows;
  for (const std::string& name : hdf5::names(group)) {
    if (name == kCounts || name == kSequence) continue;
    const hdf5::Dataset dataset = hdf5::Dataset::open(group, name);
    if (!dataset) continue;
    rows[name] = dataset.rows();
    if (name == kKey) {
      if (dataset.rank() != 2 || dataset.columns() != 3) {
        throw InvalidInput(where(kKey) + " must be [rows, 3]: run, subrun, event");
      }
      ids_.emplace();
      for (std::uint64_t part = 0; part < 3; ++part) {
        ids_->push_back({{dataset, part, false}, std::nullopt});
      }
    } else if (name == "hit_id" && dataset.rank() == 2 && dataset.columns() == 3) {
      for (std::uint64_t part = 0; part < 3; ++part) {
        columns_[std::string("hit_id_") + "uvy"[part]] = {dataset, part, false};
      }
    } else if (dataset.columns() == 1) {
      columns_[name] = {dataset, 0, false};
    }
  }
  if (rows.empty()) return;
  const auto [shortest, longest] = std::minmax_element(
      rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (shortest->second != longest->second) {
    throw InvalidInput(where(longest->first) + " has " + std::to_string(longest->second) +
                       " rows, but " + name_ + "/" + shortest->first + " has " +
                       std::to_string(shortest->second) +
                       "; columns of one table must be equally long");
  }
  rows_ = longest->second;
  read_counts(group);
}

void Table::read_counts(const hdf5::Handle& group) {
  const hdf5::Dataset dataset = hdf5::Dataset::open(group, kCounts);
  if (!dataset) return;
  if (dataset.rank() != 2 || dataset.columns() != 2) {
    throw InvalidInput(where(kCounts) + " must be [events, 2]: sequence number, rows");
  }
  const auto values = dataset.read<std::int64_t>(0, dataset.rows(), 0, 2);
  counts_.emplace();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
    if (values[i] < 0 || values[i + 1] < 0) {
      throw InvalidInput(where(kCounts) + " has a negative number");
    }
    counts_->push_back({values[i], static_cast<std::uint64_t>(values[i + 1])});
    if (counts_->back().rows > rows_ - total) {
      throw InvalidInput(where(kCounts) + " counts more rows than the table has, which are " +
                         std::to_string(rows_));
    }
    total += counts_->back().rows;
  }
  if (total != rows_) {
    throw InvalidInput(where(kCounts) + " counts " + std::to_string(total) +
                       " rows; the table has " + std::to_string(rows_));
  }
}

void Table::read_pandas(const hdf5::Handle& group) {
  for (int block = 0;; ++block) {
    const std::string prefix = "block" + std::to_string(block);
    if (!hdf5::exists(group, prefix + "_values")) break;
    const auto values = hdf5::Dataset::open(group, prefix + "_values");
    const auto items = hdf5::Dataset::open(group, prefix + "_items");
    // Strings are pickled there, and unpickling a foreign file is not worth the risk.
    if (!values || !items || values.kind() == hdf5::Kind::other) continue;
    const bool empty = values.has_attribute("shape");
    rows_ = empty ? 0 : values.rows();
    std::uint64_t part = 0;
    for (const std::string& name : items.strings()) {
      if (!empty && part >= values.columns()) {
        throw InvalidInput(where(prefix + "_values") + " has fewer columns than names");
      }
      columns_[name] = {values, part++, empty};
    }
  }
  find_pandas_ids(group);
}

void Table::find_pandas_ids(const hdf5::Handle& group) {
  std::vector<Level> levels;
  for (const char* name : kIdColumns) {
    if (const auto found = columns_.find(name); found != columns_.end()) {
      levels.push_back({found->second, std::nullopt});
    }
  }
  if (levels.size() != kIdColumns.size()) {
    levels.clear();
    for (int level = 0; level < 3; ++level) {
      const std::string number = std::to_string(level);
      const auto values = hdf5::Dataset::open(group, "axis1_level" + number);
      const auto labels = hdf5::Dataset::open(group, "axis1_label" + number);
      if (!values || !labels || values.kind() != hdf5::Kind::integer) return;
      // Read before, since GCC 12 releases the first member twice if a later one throws.
      auto all = values.read<std::int64_t>(0, values.rows());
      levels.push_back({{labels, 0, rows_ == 0}, std::move(all)});
    }
  }
  ids_ = std::move(levels);
}

std::vector<EventId> Table::ids(std::uint64_t start, std::uint64_t stop) const {
  std::vector<EventId> result;
  for (std::size_t part = 0; part < 3; ++part) {
    const Level& level = (*ids_)[part];
    if (level.positions.empty) return {};
    const hdf5::Dataset& dataset = level.positions.dataset;
    if (dataset.kind() != hdf5::Kind::integer) {
      throw InvalidInput(where(kKey) + " has no whole numbers");
    }
    const auto numbers = dataset.read<std::int64_t>(start, stop, level.positions.part);
    result.resize(numbers.size());  // the same each time
    for (std::size_t row = 0; row < numbers.size(); ++row) {
      std::int64_t number = numbers[row];
      if (level.values) {
        if (number < 0 || static_cast<std::size_t>(number) >= level.values->size()) {
          throw InvalidInput(where("axis1") + " has position " + std::to_string(number) + " of " +
                             std::to_string(level.values->size()) + " values");
        }
        number = (*level.values)[static_cast<std::size_t>(number)];
      }
      result[row][part] = number;
    }
  }
  return result;
}

}  // namespace naiad
