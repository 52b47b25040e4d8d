// A bounded number of tasks under way at once.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace naiad {

/// Runs tasks in threads of its own, which it starts as they are needed. At most `bound` tasks are
/// under way; who gives one more waits.
class Pool {
 public:
  explicit Pool(std::size_t bound);
  /// Finishes the tasks it was given.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Take a task, which must not throw; wait while `bound` of them are under way.
  void run(std::function<void()> task);

 private:
  void work();

  const std::size_t bound_;
  std::mutex mutex_;
  std::condition_variable given_;
  std::condition_variable done_;
  std::deque<std::function<void()>> waiting_;
  std::size_t under_way_ = 0;  // waiting or being run
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace naiad
