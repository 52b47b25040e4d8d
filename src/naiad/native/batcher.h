// The queue whose take() gives the next batch, by the rules of naiad.batching.Batcher.
#pragma once

#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sizes.h"

namespace naiad {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// What a batch may hold of each dimension.
struct Budget {
  Sizes sizes;

  bool holds(const Sizes& used, const Sizes& more) const {
    for (size_t dim = 0; dim < sizes.size(); ++dim) {
      // All are 0 or more, so that no difference overflows.
      if (sizes[dim] != kUnbounded && more[dim] > sizes[dim] - used[dim]) return false;
    }
    return true;
  }
};

// One thing that waits. Item must have `sizes`, `arrived` and `priority`.
template <typename Item>
class Batcher {
 public:
  using Owned = std::unique_ptr<Item>;
  using Batch = std::vector<Owned>;

  // Batches are bounded by `budget`, and the queue by `capacity` items and, where any waits, `most`.
  Batcher(Budget budget, size_t capacity, Budget most, double max_queue_delay)
      : budget_(std::move(budget)),
        capacity_(capacity),
        most_(std::move(most)),
        delay_(max_queue_delay),
        waiting_(budget_.sizes.size(), 0) {}

  // Queue an item, and return ""; or why it cannot be, and leave it with the caller.
  // `dims` are the names of sizes.
  std::string put(Owned& item, const std::vector<std::string>& dims) {
    std::lock_guard<std::mutex> hold(mutex_);
    if (closed_) return "the model is being unloaded; try again later or elsewhere";
    if (auto much = full(item->sizes, dims); !much.empty()) {
      return "the queue is full (" + much + " wait); try again " + hint();
    }
    Entry entry{std::move(item), arrivals_++, 0};
    entry.rank += entry.item->priority * kHeadStart;
    count(entry.item->sizes, +1);
    auto place = std::upper_bound(
        queue_.begin(), queue_.end(), entry.rank,
        [](int64_t rank, const Entry& other) { return rank < other.rank; });
    queue_.insert(place, std::move(entry));
    changed_.notify_one();
    if (bell_ >= 0) eventfd_write(bell_, 1);
    return "";
  }

  // Wait for work, and return the next batch, of at most so many items. Empty: the queue is closed
  // and drained. Nothing: none came in time.
  std::optional<Batch> take(Seconds timeout, size_t most) {
    auto give_up = Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout);
    std::unique_lock<std::mutex> hold(mutex_);
    ++takers_;
    struct Leave {
      size_t& takers;
      ~Leave() { --takers; }
    } leave{takers_};
    while (true) {
      auto now = Clock::now();
      if (ready(now)) return pick(most, now);
      if (closed_ && queue_.empty()) return Batch{};
      if (now >= give_up) return std::nullopt;
      auto until = give_up;
      if (!queue_.empty()) until = std::min(until, patient_until());
      changed_.wait_until(hold, until);
    }
  }

  // All that waits, to be answered without being run.
  Batch drain() {
    std::lock_guard<std::mutex> hold(mutex_);
    Batch items;
    for (auto& entry : queue_) items.push_back(std::move(entry.item));
    queue_.clear();
    std::fill(waiting_.begin(), waiting_.end(), 0);
    return items;
  }

  // Count what is put in this eventfd, too.
  void ring(int bell) {
    std::lock_guard<std::mutex> hold(mutex_);
    bell_ = bell;
  }

  void close() {
    std::lock_guard<std::mutex> hold(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  struct Entry {
    Owned item;
    int64_t rank;
    int skipped;
  };

  using Total = __int128;  // no sum of sizes overflows it

  static constexpr int64_t kHeadStart = 1000;  // places in the queue per level of priority
  static constexpr int kMaxSkips = 16;         // times that a request may be overtaken

  // What there is too much of to let `more` wait, too; "" if nothing is.
  std::string full(const Sizes& more, const std::vector<std::string>& dims) const {
    if (queue_.size() >= capacity_) return grouped(capacity_) + " requests";
    for (size_t dim = 0; !queue_.empty() && dim < dims.size(); ++dim) {
      if (most_.sizes[dim] != kUnbounded && waiting_[dim] + more[dim] > most_.sizes[dim]) {
        return grouped(std::min<Total>(waiting_[dim], kUnbounded)) + " " + dims[dim];
      }
    }
    return "";
  }

  void count(const Sizes& sizes, int sign) {
    for (size_t dim = 0; dim < waiting_.size(); ++dim) waiting_[dim] += sign * Total{sizes[dim]};
  }

  std::string hint() const {
    auto seconds = static_cast<int64_t>(queue_.size() * pace_ + 0.999);
    return pace_ > 0 ? "in about " + std::to_string(seconds) + " s" : "later";
  }

  Clock::time_point patient_until() const {
    auto oldest = Clock::time_point::max();
    for (auto& entry : queue_) oldest = std::min(oldest, entry.item->arrived);
    return oldest + std::chrono::duration_cast<Clock::duration>(Seconds(delay_));
  }

  bool ready(Clock::time_point now) const {
    if (queue_.empty()) return false;
    if (closed_ || delay_ <= 0 || patient_until() <= now) return true;
    for (size_t dim = 0; dim < waiting_.size(); ++dim) {
      if (waiting_[dim] > budget_.sizes[dim]) return true;  // no more will fit
    }
    return false;
  }

  Batch pick(size_t most, Clock::time_point now) {
    // Where several takers are free they share what waits, so that no core idles beside a batch.
    size_t share = std::min((queue_.size() + takers_ - 1) / takers_, most);
    Batch batch;
    Sizes used(waiting_.size(), 0);
    std::vector<Entry> passed;
    size_t seen = 0;
    for (; seen < queue_.size() && batch.size() < share; ++seen) {
      Entry& entry = queue_[seen];
      if (batch.empty() || budget_.holds(used, entry.item->sizes)) {
        add(used, entry.item->sizes);
        count(entry.item->sizes, -1);
        batch.push_back(std::move(entry.item));
        continue;
      }
      // Nothing overtakes what was skipped often enough; and looking further than a few that do
      // not fit costs more than it finds.
      bool last = entry.skipped >= kMaxSkips || passed.size() + 1 >= kMaxSkips;
      ++entry.skipped;
      passed.push_back(std::move(entry));
      if (last) {
        ++seen;
        break;
      }
    }
    queue_.erase(queue_.begin(), queue_.begin() + seen);
    queue_.insert(
        queue_.begin(), std::make_move_iterator(passed.begin()),
        std::make_move_iterator(passed.end()));
    note_pace(batch.size(), now);
    if (!queue_.empty()) changed_.notify_one();
    return batch;
  }

  // Seconds per request while requests wait, averaged over about the last ten batches.
  void note_pace(size_t taken, Clock::time_point now) {
    if (since_) {
      double seconds = Seconds(now - *since_).count() / taken;
      pace_ += (seconds - pace_) * (pace_ > 0 ? 0.1 : 1.0);
    }
    since_ = queue_.empty() ? std::nullopt : std::optional(now);
  }

  Budget budget_;
  size_t capacity_;
  Budget most_;
  double delay_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Entry> queue_;  // by rank
  std::vector<Total> waiting_;  // sizes of all that waits
  int64_t arrivals_ = 0;
  size_t takers_ = 0;
  bool closed_ = false;
  int bell_ = -1;
  double pace_ = 0;
  std::optional<Clock::time_point> since_;
};

}  // namespace naiad
