// Memory shared by this process and a server on the same machine.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace naiad {

/// A region of POSIX shared memory, readable only by this user.
class Region {
 public:
  /// Throws Unavailable if the machine has no shared memory left.
  explicit Region(std::size_t size);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  /// Remove its name: it lives as long as a process has it mapped.
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

/// Regions that are not in use.
class Regions {
 public:
  /// A region of at least `size` bytes, or nullptr.
  std::unique_ptr<Region> take(std::size_t size);
  void put(std::unique_ptr<Region> region);
  std::vector<std::unique_ptr<Region>> take_all();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Region>> free_;
};

}  // namespace naiad
