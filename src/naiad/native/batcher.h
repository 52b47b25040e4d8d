// A queue whose take() returns the next batch: the oldest items that fit the budget.
#pragma once

#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cost_model.h"
#include "sizes.h"

namespace naiad {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// Maximum size of a batch along each dimension.
struct Budget {
  Sizes sizes;

  bool holds(const Sizes& used, const Sizes& more) const {
    for (size_t dim = 0; dim < sizes.size(); ++dim) {
      // All are 0 or more, so no difference overflows.
      if (sizes[dim] != kUnbounded && more[dim] > sizes[dim] - used[dim]) return false;
    }
    return true;
  }
};

// Maximum seconds from a request's arrival to its answer, and the cost of batches.
struct LatencyTarget {
  double seconds;
  std::shared_ptr<const Learner> learner;
};

// Work-conserving: take() returns as soon as anything waits, unless `max_queue_delay` (seconds) asks
// it to wait for more. The first item is always admitted. One that does not fit may be overtaken by
// later ones that do, at most kMaxSkips times. Several free takers share the queue, so that no core
// idles beside a large batch.
//
// A priority is a head start: each level is worth kHeadStart places in the queue. Urgent items
// overtake others, items of one priority stay in order, and none starves.
//
// With a latency target an item is also postponed if the batch would otherwise take longer than one
// of its items has left, provided that this saves more items than it delays: see hurried().
//
// Item must have `sizes`, `arrived` and `priority`.
template <typename Item>
class Batcher {
 public:
  using Owned = std::unique_ptr<Item>;
  using Batch = std::vector<Owned>;

  // `budget` limits batches; `capacity` items and, unless it is empty, `most` limit the queue.
  Batcher(
      Budget budget, size_t capacity, Budget most, double max_queue_delay,
      std::optional<LatencyTarget> target = {}, Clock::time_point (*clock)() = Clock::now)
      : budget_(std::move(budget)),
        capacity_(capacity),
        most_(std::move(most)),
        delay_(max_queue_delay),
        target_(std::move(target)),
        clock_(clock),
        waiting_(budget_.sizes.size(), 0) {}

  // Queue an item and return "", or return why not and leave it with the caller.
  // `dims` are the names of sizes.
  std::string put(Owned& item, const std::vector<std::string>& dims) {
    std::lock_guard<std::mutex> hold(mutex_);
    if (closed_) return "the model is being unloaded; try again later or elsewhere";
    if (auto much = full(item->sizes, dims); !much.empty()) {
      return "the queue is full (" + much + " waiting); try again " + hint();
    }
    Entry entry{std::move(item), arrivals_++, 0};
    entry.rank += entry.item->priority * kHeadStart;
    if (oldest_) oldest_ = std::min(*oldest_, entry.item->arrived);
    count(entry.item->sizes, +1);
    auto place = std::upper_bound(
        queue_.begin(), queue_.end(), entry.rank,
        [](int64_t rank, const Entry& other) { return rank < other.rank; });
    queue_.insert(place, std::move(entry));
    changed_.notify_one();
    if (bell_ >= 0) eventfd_write(bell_, 1);
    return "";
  }

  // Wait for work and return the next batch, of at most `most` items; an empty one if the queue is
  // closed and drained, nullopt after `timeout`.
  std::optional<Batch> take(Seconds timeout, size_t most) {
    auto began = clock_();
    std::unique_lock<std::mutex> hold(mutex_);
    ++takers_;
    struct Leave {
      size_t& takers;
      ~Leave() { --takers; }
    } leave{takers_};
    while (true) {
      auto now = clock_();
      if (ready(now)) return pick(most, now);
      if (closed_ && queue_.empty()) return Batch{};
      double left = Seconds(timeout - (now - began)).count();
      if (left <= 0) return std::nullopt;
      if (!queue_.empty()) left = std::min(left, patience(now));
      changed_.wait_for(hold, Seconds(left));
    }
  }

  // Remove all items, to be answered without being run.
  Batch drain() {
    std::lock_guard<std::mutex> hold(mutex_);
    Batch items;
    for (auto& entry : queue_) items.push_back(std::move(entry.item));
    queue_.clear();
    oldest_.reset();
    std::fill(waiting_.begin(), waiting_.end(), 0);
    return items;
  }

  // Also count each put in this eventfd.
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

  // A batch being assembled: places in the queue of its items, and of those passed over.
  struct Draft {
    std::vector<size_t> chosen, passed;
    Sizes used;
  };

  using Total = __int128;  // no sum of sizes overflows it

  static constexpr int64_t kHeadStart = 1000;  // places in the queue per level of priority
  static constexpr int kMaxSkips = 16;         // times that an item may be overtaken

  // In simulations of Poisson arrivals at up to 98% load, 1 makes up to half of the requests late
  // that are in time without a target; 4 makes a few per cent late, and still helps.
  static constexpr double kCaution = 4;

  // Return what fills the queue so that `more` has no room; "" if it has.
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
    auto seconds = static_cast<int64_t>(std::min(std::ceil(queue_.size() * pace_), 1e9));
    return seconds > 0 ? "in about " + grouped(seconds) + " s" : "later";
  }

  // Seconds that the queue, which is not empty, may wait for more.
  double patience(Clock::time_point now) {
    if (!oldest_) {
      oldest_ = Clock::time_point::max();
      for (auto& entry : queue_) oldest_ = std::min(*oldest_, entry.item->arrived);
    }
    double waited = Seconds(now - *oldest_).count(), left = delay_ - waited;
    if (!target_) return left;
    return std::min(left, target_->seconds - waited - target_->learner->cost().seconds(waiting_));
  }

  bool ready(Clock::time_point now) {
    if (queue_.empty()) return false;
    if (closed_ || delay_ <= 0) return true;
    for (size_t dim = 0; dim < waiting_.size(); ++dim) {
      if (waiting_[dim] > budget_.sizes[dim]) return true;  // no more will fit
    }
    return patience(now) <= 0;
  }

  Batch pick(size_t most, Clock::time_point now) {
    // Free takers share the queue, so that no core idles beside a batch.
    size_t share = std::min((queue_.size() + takers_ - 1) / takers_, most);
    Draft draft = fill(share, [this](auto&&... said) { return has_room(said...); });
    if (target_) draft = hurried(std::move(draft), share, now);
    Batch batch;
    for (size_t place : draft.chosen) {
      count(queue_[place].item->sizes, -1);
      batch.push_back(std::move(queue_[place].item));
    }
    for (size_t place : draft.passed) ++queue_[place].skipped;
    oldest_.reset();
    auto seen = queue_.begin() + (draft.chosen.size() + draft.passed.size());
    queue_.erase(
        std::remove_if(queue_.begin(), seen, [](const Entry& entry) { return !entry.item; }), seen);
    note_pace(batch.size(), now);
    if (!queue_.empty()) changed_.notify_one();
    return batch;
  }

  // Draft of at most `share` items, in order, that `fits(draft, entry)` admits.
  template <typename Fits>
  Draft fill(size_t share, Fits fits) const {
    Draft draft{{}, {}, Sizes(waiting_.size(), 0)};
    for (size_t place = 0; place < queue_.size() && draft.chosen.size() < share; ++place) {
      auto& entry = queue_[place];
      if (fits(draft, entry)) {
        draft.chosen.push_back(place);
        add(draft.used, entry.item->sizes);
        continue;
      }
      draft.passed.push_back(place);
      // Nothing overtakes an item that was skipped too often; and looking past more than a few that
      // do not fit costs more than it gains.
      if (entry.skipped >= kMaxSkips || draft.passed.size() >= kMaxSkips) break;
    }
    return draft;
  }

  bool has_room(const Draft& draft, const Entry& entry) const {
    return draft.chosen.empty() || budget_.holds(draft.used, entry.item->sizes);
  }

  // Return a smaller batch instead of the `full` one if that serves the target better.
  //
  // The smaller one postpones each item with which it would take longer than one of its own has left.
  // Postponed items wait for it, and the fixed cost of a batch is paid again, by all that arrive
  // before the queue is empty. So it is used only if it brings more items in time than kCaution times
  // those that arrive in the extra time. Without this a long queue would stay long: batches of items
  // with hardly any time left are small, and small batches answer fewer per second.
  Draft hurried(Draft full, size_t share, Clock::time_point now) const {
    constexpr double kNever = std::numeric_limits<double>::infinity();
    const Cost cost = target_->learner->cost();
    auto left = [&](const Entry& entry) {  // seconds until it would be late
      return target_->seconds - Seconds(now - entry.item->arrived).count();
    };
    auto in_time = [&](const std::vector<size_t>& places, double seconds) {
      return std::count_if(places.begin(), places.end(), [&](size_t place) {
        return left(queue_[place]) >= seconds;
      });
    };
    const double at_once = cost.seconds(full.used);
    if (in_time(full.chosen, at_once) == static_cast<int64_t>(full.chosen.size())) return full;

    double soonest = kNever;  // seconds until the first of the smaller one would be late
    Draft small = fill(share, [&](const Draft& draft, const Entry& entry) {
      if (!has_room(draft, entry)) return false;
      double mine = left(entry);
      if (cost.seconds(entry.item->sizes) > mine) mine = kNever;  // late even if alone: no hurry
      mine = std::min(mine, soonest);
      Sizes with = draft.used;
      add(with, entry.item->sizes);
      if (!draft.chosen.empty() && cost.seconds(with) > mine) return false;
      soonest = mine;
      return true;
    });

    std::vector<size_t> put_off, either;
    auto &all = full.chosen, &some = small.chosen;
    std::set_difference(
        all.begin(), all.end(), some.begin(), some.end(), std::back_inserter(put_off));
    std::set_union(all.begin(), all.end(), some.begin(), some.end(), std::back_inserter(either));
    Sizes later(waiting_.size(), 0);
    for (size_t place : put_off) add(later, queue_[place].item->sizes);
    double first = cost.seconds(small.used), both = first + cost.seconds(later);
    auto gain = in_time(some, first) + in_time(put_off, both) - in_time(either, at_once);
    double arrivals = pace_ > 0 ? (both - at_once) / pace_ : 0;
    return static_cast<double>(gain) > kCaution * arrivals ? small : full;
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
  std::optional<LatencyTarget> target_;
  Clock::time_point (*clock_)();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> queue_;  // by rank; taking some of many from its front moves few
  std::optional<Clock::time_point> oldest_;  // arrival of one that waits; unknown after a take
  std::vector<Total> waiting_;  // sizes of all that waits
  int64_t arrivals_ = 0;
  size_t takers_ = 0;
  bool closed_ = false;
  int bell_ = -1;
  double pace_ = 0;
  std::optional<Clock::time_point> since_;
};

}  // namespace naiad
