// Memory that this process and a server on the same machine both see.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace naiad {

/// A region of POSIX shared memory, readable by this user alone.
class Region {
 public:
  /// Throws Unavailable where the machine has no such memory left.
  explicit Region(std::size_t size);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  /// Take its name away: it lives on in those that have it, and is gone with them.
  void unlink();

  const std::string& name() const { return name_; }
  char* data() { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::string name_;
  std::size_t size_;
  char* data_ = nullptr;
  bool linked_ = true;
};

/// Regions that are not in use now.
class Regions {
 public:
  /// One of at least `size` bytes, or nullptr.
  std::unique_ptr<Region> take(std::size_t size);
  void put(std::unique_ptr<Region> region);
  std::vector<std::unique_ptr<Region>> take_all();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Region>> free_;
};

}  // namespace naiad
