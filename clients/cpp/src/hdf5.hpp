// Datasets of HDF5 files, read by row.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace naiad::hdf5 {

using Id = std::int64_t;  // hid_t, without its header

/// Held during calls of libhdf5, which is not thread-safe.
std::mutex& lock();

/// An open object of libhdf5, closed when the last copy is gone.
class Handle {
 public:
  Handle() = default;
  Handle(Id id, int (*close)(Id))
      : id_(new Id(id), [close](Id* open) {
          if (*open >= 0) close(*open);
          delete open;
        }) {}
  Id id() const { return id_ ? *id_ : -1; }
  explicit operator bool() const { return id() >= 0; }

 private:
  std::shared_ptr<Id> id_;
};

/// Throws InvalidInput if the file is missing, or is not HDF5.
Handle open_file(const std::string& path);

enum class Kind { integer, real, other };

/// A dataset of one or two dimensions.
class Dataset {
 public:
  /// The dataset with this name in a group, or nothing.
  static Dataset open(const Handle& group, const std::string& name);

  explicit operator bool() const { return static_cast<bool>(handle_); }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t columns() const { return columns_; }
  std::size_t rank() const { return rank_; }
  Kind kind() const { return kind_; }
  bool has_attribute(const std::string& name) const;

  /// Rows `start` to `stop`, from `column` on, row-major. `T` is std::int64_t, float or double;
  /// libhdf5 converts.
  template <class T>
  std::vector<T> read(std::uint64_t start, std::uint64_t stop, std::uint64_t column = 0,
                      std::uint64_t count = 1) const;

  /// The strings of a one-dimensional dataset of fixed-length strings.
  std::vector<std::string> strings() const;

 private:
  Handle handle_;
  std::uint64_t rows_ = 1;
  std::uint64_t columns_ = 1;
  std::size_t rank_ = 0;
  Kind kind_ = Kind::other;
};

/// A group, or nothing.
Handle open_group(const Handle& parent, const std::string& name);
bool exists(const Handle& parent, const std::string& name);
std::vector<std::string> names(const Handle& group);

}  // namespace naiad::hdf5
