// The last requests, in a ring that the server's parent process shares and reads, even after Triton
// has died: naiad/triton/history.py, which has the same layout. Payloads are not kept.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "batcher.h"

namespace naiad {

inline uint64_t nanoseconds(Clock::time_point when) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
}

// Times when a batch was begun, sent to its worker and answered.
struct Times {
  Clock::time_point begun{}, sent{}, received{};
};

constexpr size_t kRecordedStages = 6, kRecordedDims = 16;

// The model that a request is for. `dims` are names with commas between them.
struct Origin {
  std::string model, dims;
  uint64_t version = 0;
};

// A task of a worker's: the requests that it answered together. Layout of part of a Record.
struct Ran {
  int64_t batch = 0;  // its number in this server, from 1; 0: none
  int64_t spans[kRecordedStages][2] = {};  // when each stage first began and last ended
  int64_t totals[kRecordedDims] = {};      // rows by dimension
  int32_t requests = 0, merged = 0;        // `merged`: batches that it was run as
  int32_t worker = 0, pid = 0;             // number of the worker, from 0, and its process
};

// The client's span, of its header `traceparent` (W3C Trace Context).
struct Parent {
  uint8_t trace[16] = {}, span[8] = {};
  uint8_t given = 0, flags = 0;

  // Read the header; leave this as it is unless the text is valid.
  void read(const char* text) {
    if (!text || strlen(text) < 55 || strncmp(text, "ff", 2) == 0) return;
    Parent found;
    uint8_t version = 0;
    bool right = text[2] == '-' && text[35] == '-' && text[52] == '-' && hex(text, &version, 1) &&
                 hex(text + 3, found.trace, 16) && hex(text + 36, found.span, 8) &&
                 hex(text + 53, &found.flags, 1) && any(found.trace, 16) && any(found.span, 8) &&
                 (version ? text[55] == '\0' || text[55] == '-' : text[55] == '\0');
    found.given = 1;
    if (right) *this = found;
  }

 private:
  static bool any(const uint8_t* bytes, size_t count) {
    return std::any_of(bytes, bytes + count, [](uint8_t byte) { return byte != 0; });
  }

  static bool hex(const char* text, uint8_t* into, size_t count) {
    for (size_t place = 0; place < 2 * count; ++place) {
      char c = text[place];
      int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0) return false;
      into[place / 2] = static_cast<uint8_t>(into[place / 2] << 4 | digit);
    }
    return true;
  }
};

// Part of a request's life that is recorded when it ends.
struct Story {
  const Origin* origin = nullptr;  // null: not recorded
  Clock::time_point taken{}, ended{};
  Times times;
  int threads = 0;   // of its batch
  int code = 0;      // TRITONSERVER_Error_Code of the answer; 0: none
  std::string kind;  // Naiad's class of the error
  Parent parent;
  Ran ran;
};

// All times are nanoseconds of the monotonic clock; 0: the request did not get that far.
struct Record {
  std::atomic<uint64_t> number;  // from 1; 0 while the rest is written
  int64_t arrived, taken, sent, received, ended;
  Ran ran;
  int64_t sizes[kRecordedDims];
  uint64_t version;
  int32_t code;
  uint16_t id_size, threads;
  Parent parent;
  char id[94], model[64], kind[32], dims[176];  // cut to what has room; ended by a zero, but not `id`
};
static_assert(sizeof(Record) == 832, "history.py has this layout");

class History {
 public:
  static History& all() {
    static auto* one = new History(getenv("NAIAD_HISTORY"));  // never destroyed
    return *one;
  }

  bool is_on() const { return header_ != nullptr; }

  // Return the number of the next batch.
  int64_t next_batch() { return header_ ? header_->batches.fetch_add(1) + 1 : 0; }

  void write(
      const Story& story, const std::string& id, const Sizes& sizes, Clock::time_point arrived) {
    if (!header_ || !story.origin) return;
    uint64_t number = header_->requests.fetch_add(1) + 1;
    Record& record = records_[(number - 1) % header_->capacity];
    record.number.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    record.arrived = nanoseconds(arrived);
    record.taken = nanoseconds(story.taken);
    record.sent = nanoseconds(story.times.sent);
    record.received = nanoseconds(story.times.received);
    record.ended = nanoseconds(story.ended);
    record.ran = story.ran;
    for (size_t dim = 0; dim < kRecordedDims; ++dim) {
      record.sizes[dim] = dim < sizes.size() ? sizes[dim] : 0;
    }
    record.version = story.origin->version;
    record.code = story.code;
    record.threads = static_cast<uint16_t>(story.threads);
    record.parent = story.parent;
    record.id_size = static_cast<uint16_t>(std::min(id.size(), sizeof record.id));
    memset(record.id, 0, sizeof record.id);  // readers compare all of it
    memcpy(record.id, id.data(), record.id_size);
    copy(record.model, story.origin->model);
    copy(record.kind, story.kind);
    copy(record.dims, story.origin->dims);
    record.number.store(number, std::memory_order_release);
  }

 private:
  struct Header {
    char magic[8];
    uint32_t layout, record_size;
    uint64_t capacity;
    std::atomic<uint64_t> requests, batches;
  };

  static constexpr size_t kHeader = 4096;
  static constexpr uint32_t kLayout = 1;

  // Map the file; stay off without one, or with one of another Naiad.
  explicit History(const char* path) {
    int fd = path && *path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct stat found {};
    if (fd < 0) return;
    void* base = MAP_FAILED;
    size_t size = fstat(fd, &found) ? 0 : found.st_size;
    if (size > kHeader) base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (base == MAP_FAILED) return;
    auto* header = static_cast<Header*>(base);
    if (memcmp(header->magic, "naiadlog", 8) || header->layout != kLayout ||
        header->record_size != sizeof(Record) || !header->capacity ||
        (size - kHeader) / sizeof(Record) < header->capacity) {
      munmap(base, size);
      return;
    }
    header_ = header;
    records_ = reinterpret_cast<Record*>(static_cast<char*>(base) + kHeader);
  }

  template <size_t size>
  static void copy(char (&into)[size], const std::string& text) {
    size_t length = std::min(text.size(), size - 1);
    memcpy(into, text.data(), length);
    into[length] = '\0';
  }

  Header* header_ = nullptr;
  Record* records_ = nullptr;
};

}  // namespace naiad
