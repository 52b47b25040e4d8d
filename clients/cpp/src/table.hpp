// One table of an event file, in either layout.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hdf5.hpp"
#include "naiad/events.hpp"

namespace naiad {

/// A column of numbers in a dataset.
struct Column {
  hdf5::Dataset dataset;
  std::uint64_t part = 0;
  bool empty = false;  // pandas writes a placeholder value if there are no rows

  /// Rows `start` to `stop`; integers must convert without loss. `where` is for messages.
  std::vector<std::int32_t> integers(std::uint64_t start, std::uint64_t stop,
                                     const std::string& where) const;
  std::vector<float> numbers(std::uint64_t start, std::uint64_t stop) const;
};

/// The number of rows of an event, from `event_id.seq_cnt`.
struct Count {
  std::int64_t event;
  std::uint64_t rows;
};

class Table {
 public:
  /// The table, or nothing if the file lacks it.
  static std::optional<Table> open(const hdf5::Handle& file, const std::string& path,
                                   const std::string& name);

  /// Throw InvalidInput unless the table has these columns, with one number per row each.
  void require(const std::vector<std::string>& names) const;

  const Column& column(const std::string& name) const { return columns_.at(name); }
  const std::string& name() const { return name_; }
  std::string where(const std::string& column) const { return path_ + ": " + name_ + "/" + column; }
  std::uint64_t rows() const { return rows_; }
  const std::optional<std::vector<Count>>& counts() const { return counts_; }
  bool has_ids() const { return ids_.has_value(); }
  /// Run, subrun and event of some rows.
  std::vector<EventId> ids(std::uint64_t start, std::uint64_t stop) const;

 private:
  /// A level of pandas' index: its values, and for each row the position of its value. Without
  /// values the positions are the values.
  struct Level {
    Column positions;
    std::optional<std::vector<std::int64_t>> values;
  };

  void read_pynuml(const hdf5::Handle& group);
  void read_counts(const hdf5::Handle& group);
  void read_pandas(const hdf5::Handle& group);
  void find_pandas_ids(const hdf5::Handle& group);

  std::string path_;
  std::string name_;
  std::uint64_t rows_ = 0;
  std::map<std::string, Column> columns_;
  std::optional<std::vector<Level>> ids_;
  std::optional<std::vector<Count>> counts_;
};

}  // namespace naiad
