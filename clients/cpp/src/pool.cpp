#include "naiad/pool.hpp"

#include "naiad/error.hpp"

namespace naiad {

Pool::Pool(std::size_t bound) : bound_(bound) {
  if (bound == 0) throw InvalidInput("max_in_flight is 0; it must be at least 1");
}

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  given_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Pool::run(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return under_way_ < bound_; });
  // Each running task has a thread, so with more tasks than threads one more is needed. If it
  // cannot be started, the task was not accepted.
  if (threads_.size() <= under_way_) threads_.emplace_back([this] { work(); });
  waiting_.push_back(std::move(task));
  ++under_way_;
  lock.unlock();
  given_.notify_one();
}

void Pool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    given_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::function<void()> task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // releases its captures before the task counts as done
    lock.lock();
    --under_way_;
    done_.notify_one();
  }
}

}  // namespace naiad
