#include "shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>

#include "naiad/error.hpp"

namespace naiad {
namespace {

// Rounded up to size classes, so that events of similar size share regions.
constexpr std::size_t kSmallest = 64 * 1024;

std::string unique_name() {
  static std::atomic<unsigned> count{0};
  return "/naiad-" + std::to_string(getpid()) + "-" + std::to_string(std::random_device{}()) + "-" +
         std::to_string(count++);
}

}  // namespace

Region::Region(std::size_t size) : name_(unique_name()), size_(kSmallest) {
  while (size_ < size) size_ *= 2;
  const int file = shm_open(name_.c_str(), O_RDWR | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
  int error = file < 0 ? errno : 0;
  if (file >= 0) {
    // Reserved at once: otherwise missing memory would show as a crash on write.
    error = posix_fallocate(file, 0, static_cast<off_t>(size_));
    if (error == 0) {
      void* mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      if (mapped == MAP_FAILED) {
        error = errno;
      } else {
        data_ = static_cast<char*>(mapped);
      }
    }
    close(file);
    if (error != 0) shm_unlink(name_.c_str());
  }
  if (error != 0) {
    throw Unavailable("no shared memory of " + std::to_string(size_) +
                      " bytes: " + std::strerror(error));
  }
}

Region::~Region() {
  munmap(data_, size_);
  unlink();
}

void Region::unlink() {
  if (linked_) shm_unlink(name_.c_str());
  linked_ = false;
}

std::unique_ptr<Region> Regions::take(std::size_t size) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(free_.begin(), free_.end(),
                                  [&](const auto& region) { return region->size() >= size; });
  if (found == free_.end()) return nullptr;
  std::unique_ptr<Region> region = std::move(*found);
  free_.erase(found);
  return region;
}

void Regions::put(std::unique_ptr<Region> region) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(region));
}

std::vector<std::unique_ptr<Region>> Regions::take_all() {
  const std::lock_guard lock(mutex_);
  return std::move(free_);
}

}  // namespace naiad
