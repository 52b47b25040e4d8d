// Thread pool with a bounded number of tasks.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace naiad {

/// Runs tasks in its own threads, started as needed. At most `bound` tasks are accepted at once; a
/// further one waits.
class Pool {
 public:
  explicit Pool(std::size_t bound);
  /// Finishes the accepted tasks.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Accept a task, which must not throw; wait while there are `bound` of them.
  void run(std::function<void()> task);

 private:
  void work();

  const std::size_t bound_;
  std::mutex mutex_;
  std::condition_variable given_;
  std::condition_variable done_;
  std::deque<std::function<void()>> waiting_;
  std::size_t under_way_ = 0;  // waiting or running
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace naiad
