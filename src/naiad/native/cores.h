// Threads for each batch: cores that would idle are shared among the batches that can use them.
#pragma once

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "batcher.h"

namespace naiad {

// Cores that this process may use: those that it may run on, or fewer by a container's CPU limit.
inline int usable_cores() {
  cpu_set_t usable;
  int cores = sched_getaffinity(0, sizeof usable, &usable) ? 1 : CPU_COUNT(&usable);
  long quota = 0, period = 0;
  if (auto* limit = fopen("/sys/fs/cgroup/cpu.max", "r")) {  // "max PERIOD" without a limit
    if (fscanf(limit, "%ld %ld", &quota, &period) != 2) period = 0;
    fclose(limit);
  }
  if (period > 0 && quota > 0) cores = std::min<long>(cores, (quota + period - 1) / period);
  return std::max(1, cores);
}

// A running batch keeps its threads to its end. So that batches that begin at the same time again and
// again do not oversubscribe the cores, the share of each is that of the largest number that ran at
// once within the last kMemory. Thread-safe.
class Cores {
 public:
  explicit Cores(int total, Clock::time_point (*clock)() = Clock::now)
      : total_(total), clock_(clock) {}

  // Those of the machine, for all models.
  static Cores& all() {
    static auto* one = new Cores(usable_cores());  // never destroyed: Triton may call at the end
    return *one;
  }

  // Begin a batch that needs `least` threads and can use `most`; return the number that it has.
  int begin(int least, int most) {
    std::lock_guard<std::mutex> hold(mutex_);
    ++running_;
    remember();
    int share = std::min(total_ / std::max(running_, peak_), total_ - used_);
    int threads = std::max(least, std::min(most, share));
    used_ += threads;
    return threads;
  }

  // End a batch that had `threads`.
  void end(int threads) {
    std::lock_guard<std::mutex> hold(mutex_);
    remember();
    used_ -= threads;
    --running_;
  }

 private:
  static constexpr Seconds kMemory{2};

  void remember() {
    auto now = clock_();
    if (running_ < peak_ && now - seen_ < kMemory) return;
    peak_ = running_;
    seen_ = now;
  }

  const int total_;
  Clock::time_point (*clock_)();
  std::mutex mutex_;
  int used_ = 0, running_ = 0;  // threads and batches
  int peak_ = 0;                // batches that ran at once, last at `seen_`
  Clock::time_point seen_;
};

// The threads of a running batch.
class Threads {
 public:
  Threads(int least, int most) : number(Cores::all().begin(least, most)) {}
  Threads(const Threads&) = delete;
  ~Threads() { Cores::all().end(number); }

  const int number;
};

}  // namespace naiad
