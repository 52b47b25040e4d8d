// One worker, and the thread that sends it batches and replaces it if it is lost.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cmath>
#include <exception>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "cores.h"
#include "held.h"

namespace naiad {

inline void log(Level level, const std::string& text) {
  TRITONSERVER_ErrorDelete(TRITONSERVER_LogMessage(level, "naiad", 0, text.c_str()));
}

// Restarts of a failing worker: twice at once, then after pauses that double up to 30 s.
class CircuitBreaker {
 public:
  void failed(const std::string& reason) {
    auto now = Clock::now();
    std::lock_guard<std::mutex> hold(mutex_);
    if (now - last_ > std::chrono::seconds(60)) failures_ = 0;
    last_ = now;
    reason_ = reason;
    int beyond = ++failures_ - kTolerance;
    if (beyond <= 0) return;
    double rest = std::min(30.0, std::pow(2.0, std::min(beyond - 1, 30)));
    until_ = now + std::chrono::duration_cast<Clock::duration>(Seconds(rest));
  }

  void succeeded() {
    std::lock_guard<std::mutex> hold(mutex_);
    failures_ = 0;
  }

  // Seconds until it may be tried again; 0 unless it is open.
  double rest() const {
    std::lock_guard<std::mutex> hold(mutex_);
    if (failures_ <= kTolerance) return 0;
    return std::max(0.0, Seconds(until_ - Clock::now()).count());
  }

  bool on_trial() const {
    std::lock_guard<std::mutex> hold(mutex_);
    return failures_ > kTolerance;
  }

  std::string refusal() const {
    std::lock_guard<std::mutex> hold(mutex_);
    return "the model's worker failed " + std::to_string(failures_) + " times in a row (" +
           reason_ + ")";
  }

 private:
  static constexpr int kTolerance = 2;

  mutable std::mutex mutex_;
  int failures_ = 0;
  std::string reason_;
  Clock::time_point last_, until_;
};

class WorkerHandle {
 public:
  using Queue = Batcher<PendingRequest>;

  WorkerHandle(
      std::string label, std::string hello, int number, Metrics& metrics,
      std::function<void()> on_rest)
      : worker_(std::move(label), std::move(hello)),
        number_(number),
        metrics_(metrics),
        on_rest_(std::move(on_rest)) {}

  // Begin to load the model; the future holds its contract, or the error.
  std::future<Contract> start() {
    auto loaded = loaded_.get_future();
    thread_ = std::thread([this] { run(); });
    return loaded;
  }

  // Begin to serve, once all handles have loaded. `learner`, if any, learns what batches cost; `work`,
  // if any, the same in seconds of all their threads together.
  void serve(const Contract* contract, Queue* queue, Learner* learner, Learner* work) {
    contract_ = contract;
    if (contract->ahead) queue->ring(bell_ = Arena::high(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
    learner_ = learner;
    work_ = work;
    go_.set_value(queue);
  }

  // End: a handle that serves continues until its queue is closed and empty, one that rests ends.
  void close() {
    {
      std::lock_guard<std::mutex> hold(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
    if (!contract_) go_.set_value(nullptr);
  }

  void join() { thread_.join(); }

  // Return once a batch whose requests are all released has been reported to their instance.
  void settle() { std::lock_guard<std::mutex> hold(delivering_); }

  ~WorkerHandle() {
    if (bell_ >= 0) ::close(bell_);
  }

  CircuitBreaker breaker;

 private:
  static constexpr Seconds kLoading{300};
  static constexpr Seconds kPulse{0.25};  // between checks of an idle worker
  static constexpr double kWorthAsking = 0.1;
  static constexpr double kWorthThreads = 0.03;  // seconds; below, more than one gain little

  void run() {
    pthread_setname_np(pthread_self(), "naiad worker");  // for top and perf
    // The worker ends with the thread that starts it, so it must be started here.
    try {
      worker_.launch();
      loaded_.set_value(load());
    } catch (const std::exception&) {
      loaded_.set_exception(std::current_exception());
    }
    if ((queue_ = go_.get_future().get())) work();
    worker_.end();
  }

  Contract load() {
    std::string said;
    try {
      said = worker_.receive(kLoading);
    } catch (const WorkerLost& lost) {
      throw WorkerLost(std::string("while loading: ") + lost.what(), "not_loaded");
    }
    auto ready = Json::parse(said);
    if (ready["error"]) throw WorkerLost(ready["error"].text(), "not_loaded");
    return Contract(ready);
  }

  void work() {
    for (bool more = true; more;) {
      try {
        more = turn();
      } catch (const std::exception& error) {  // its requests have been answered
        log(kError, std::string("a batch failed inside Naiad: ") + error.what());
        note_lost(WorkerLost(error.what(), "internal"));
      }
    }
  }

  // Serve as long as requests wait; false at the end.
  bool turn() {
    if (!revive()) {
      on_rest_();
      std::unique_lock<std::mutex> hold(mutex_);
      return !wake_.wait_for(hold, Seconds(breaker.rest()), [this] { return closing_; });
    }
    auto batch = take(kPulse);
    if (batch && batch->empty()) return false;
    if (batch) serve(std::move(*batch), false);
    return true;
  }

  std::optional<Queue::Batch> take(Seconds timeout) {
    // On trial, one request at a time, to risk as few as possible.
    auto batch = queue_->take(timeout, breaker.on_trial() ? 1 : SIZE_MAX);
    if (!batch) return batch;
    auto now = Clock::now();
    for (auto& pending : *batch) {
      pending->waited = Seconds(now - pending->arrived).count();
      if (!contract_->ahead) metrics_.queue(pending->waited);  // the worker's own queue is added
      pending->story.taken = now;
    }
    return batch;
  }

  // Serve a batch, and further ones as long as the worker has any: it gets queued requests as soon as
  // it has prepared its own, and runs all prepared ones when it is free. `again`: as below.
  void serve_ahead(Queue::Batch batch, bool again) {
    Held held;
    auto threads = threads_for(batch);
    auto since = Clock::now();  // when the worker began the oldest
    auto failed = caught([&] {
      give(std::move(batch), held, threads->number);
      while (!held.empty()) {
        bool more = !worker_.unprepared && !again && !breaker.on_trial();
        eventfd_t rung;
        if (more) {
          eventfd_read(bell_, &rung);  // before checking the queue
          give(take(Seconds(0)).value_or(Queue::Batch{}), held, threads->number);
        }
        if (worker_.wait(more && !worker_.unprepared ? bell_ : -1, patience(held, since))) {
          hear(held, since, threads);
        } else if (Clock::now() - since > contract_->watchdog) {
          worker_.hung(contract_->watchdog);
        }
        drop_unbegun(held);
      }
    });
    threads.reset();
    if (failed) give_up(std::move(held.batch()), failed, again);
  }

  void give(Queue::Batch batch, Held& held, int threads) {
    drop_unwanted(batch);
    if (batch.empty()) return;
    size_t start = held.room(size_ahead(batch)), end = start + size_ahead(batch);
    std::string task;
    try {
      task = write_apart(*contract_, batch, threads, *worker_.inbox, start);
    } catch (const std::exception& error) {  // out of memory, say; the worker was not told
      refuse(batch, error);
      return;
    }
    for (auto& pending : batch) pending->story.threads = threads;
    held.add(std::move(batch), start, end);
    ++worker_.unprepared;
    worker_.ask(task);
  }

  void hear(Held& held, Clock::time_point& since, std::unique_ptr<Threads>& threads) {
    std::string said = worker_.receive(contract_->watchdog);
    if (said.empty()) {
      --worker_.unprepared;
      return;
    }
    Times times{since, since, Clock::now()};
    Asked asked{held.pop(requests_of(said)), times, false, said, worker_.outbox()};
    asked.work = Seconds(times.received - since).count() * threads->number;
    threads.reset();
    threads = threads_for(held.batch());
    since = times.received;
    if (breaker.on_trial()) log(kWarning, "the worker answers again");
    breaker.succeeded();
    worker_.inbox->trim(held.end());
    if (auto wrong = tell(asked)) std::rethrow_exception(wrong);
    worker_.read();
  }

  // Maximum wait before timeouts must be checked.
  Seconds patience(Held& held, Clock::time_point since) const {
    auto now = Clock::now();
    Seconds least = std::min<Seconds>(Seconds(kPulse), contract_->watchdog - (now - since));
    for (auto& pending : held.batch()) {
      Seconds left = Seconds(pending->timeout) - (now - pending->arrived);
      if (pending->timeout && left.count() > 0) least = std::min(least, left);
    }
    return least;
  }

  // Refuse requests that are no longer wanted and not begun.
  void drop_unbegun(Held& held) {
    auto now = Clock::now();
    char* base = worker_.inbox->reserve(0);
    for (auto& pending : held.batch()) {
      char* claim = base + pending->claim;
      if (!pending->request || __atomic_load_n(claim, __ATOMIC_RELAXED)) continue;
      char before = 0;
      if (auto why = unwanted(*pending, now);
          !why.empty() && __atomic_compare_exchange_n(
                              claim, &before, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        pending->refuse_unavailable(why);
      }
    }
  }

  // A batch sent to the worker, and then its answer, to be delivered to the clients.
  struct Asked {
    Queue::Batch batch;
    Times times;
    bool merged = false;
    std::string said;
    Arena* outbox = nullptr;
    Queue::Batch aside;  // requests that could not be merged: the next batch
    std::unique_ptr<Threads> threads;  // while the worker has the batch
    double work = 0;                   // seconds that it took, times its threads
  };

  // Serve a batch and, while requests are queued, further ones: the worker gets the next batch before
  // the previous one's replies are sent, and need not wait for them. `again`: serve only this batch,
  // a single request that a lost worker had.
  void serve(Queue::Batch batch, bool again) {
    if (contract_->ahead) return serve_ahead(std::move(batch), again);
    Asked last;
    while (true) {
      drop_unwanted(batch);
      Asked next;
      next.batch = std::move(batch);
      std::exception_ptr failed;
      if (!next.batch.empty()) failed = caught([&] { send(next); });
      if (auto wrong = tell(last)) failed = wrong;
      if (next.batch.empty() && !failed) return;
      if (!failed) failed = caught([&] { receive(next); });
      next.threads.reset();
      if (failed) {
        rejoin(next);
        return give_up(std::move(next.batch), failed, again);
      }
      last = std::move(next);
      batch = std::move(last.aside);
      if (batch.empty() && !again) batch = take(Seconds(0)).value_or(Queue::Batch{});
    }
  }

  // Return what a step throws, or null.
  template <typename Step>
  static std::exception_ptr caught(Step step) {
    try {
      step();
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

  void send(Asked& asked) {
    asked.times.begun = Clock::now();
    asked.threads = threads_for(asked.batch);
    for (auto& pending : asked.batch) pending->story.threads = asked.threads->number;
    std::string task = written(asked, contract_->merges);
    asked.times.sent = Clock::now();
    if (!asked.batch.empty()) worker_.ask(task);
  }

  // Begin a batch with more than the least threads if it is long enough to gain.
  std::unique_ptr<Threads> threads_for(const Queue::Batch& batch) const {
    int least = contract_->least_threads, most = least;
    if (work_ && work_->cost().seconds(sizes_of(batch)) >= kWorthThreads) {
      most = contract_->most_threads;
    }
    return std::make_unique<Threads>(least, most);
  }

  Sizes sizes_of(const Queue::Batch& batch) const {
    Sizes sizes(contract_->dims.size(), 0);
    for (auto& pending : batch) add(sizes, pending->sizes);
    return sizes;
  }

  static void rejoin(Asked& asked) {
    std::move(asked.aside.begin(), asked.aside.end(), std::back_inserter(asked.batch));
    asked.aside.clear();
  }

  // Return the task for a batch, merged if allowed and possible. A batch that cannot be written, for
  // lack of memory, say, is refused; its worker was not told of it.
  std::string written(Asked& asked, bool merged) {
    std::string task;
    try {
      int threads = asked.threads->number;
      if (merged) task = write_merged(*contract_, asked.batch, asked.aside, threads, *worker_.inbox);
      asked.merged = !task.empty();
      if (asked.batch.empty()) rejoin(asked);
      if (!asked.merged) task = write_apart(*contract_, asked.batch, threads, *worker_.inbox);
    } catch (const std::exception& error) {
      rejoin(asked);
      refuse(asked.batch, error);
      asked.batch.clear();
    }
    return task;
  }

  void receive(Asked& asked) {
    asked.said = worker_.receive(contract_->watchdog);
    asked.outbox = worker_.outbox();
    if (asked.merged && form_of(asked.said) == kWantedApart) {
      std::string task = written(asked, false);
      if (asked.batch.empty()) return;
      worker_.ask(task);
      asked.said = worker_.receive(contract_->watchdog);
      asked.outbox = worker_.outbox();
    }
    asked.times.received = Clock::now();
    asked.work = Seconds(asked.times.received - asked.times.sent).count() * asked.threads->number;
    worker_.inbox->trim();
    if (breaker.on_trial()) log(kWarning, "the worker answers again");
    breaker.succeeded();
  }

  // Deliver the worker's answer, if any; an error returned is the worker's.
  std::exception_ptr tell(Asked& asked) {
    if (asked.batch.empty()) return nullptr;
    std::lock_guard<std::mutex> hold(delivering_);
    struct Forget {  // now, so that the history has the requests
      Queue::Batch& batch;
      ~Forget() { batch.clear(); }
    } forget{asked.batch};
    try {
      Ran task;
      task.batch = History::all().next_batch();
      task.worker = number_;
      task.pid = worker_.pid();
      bool ran = deliver(
                     *contract_, asked.batch, asked.said, *asked.outbox, asked.times, metrics_,
                     task) > 0;
      if ((learner_ || work_) && ran) {  // a batch refused as a whole says nothing about costs
        auto sizes = sizes_of(asked.batch);
        if (learner_) learner_->learn(sizes, Seconds(Clock::now() - asked.times.begun).count());
        if (work_) work_->learn(sizes, asked.work);
      }
      return nullptr;
    } catch (const std::exception& error) {
      // The worker's next message might be the answer to this batch.
      return std::make_exception_ptr(WorkerLost(refuse(asked.batch, error), "internal"));
    }
  }

  // Handle a batch that the worker had when something failed.
  void give_up(Queue::Batch batch, std::exception_ptr failed, bool again) {
    auto refused = [](auto& pending) { return !pending->request; };
    batch.erase(std::remove_if(batch.begin(), batch.end(), refused), batch.end());
    try {
      std::rethrow_exception(failed);
    } catch (const WorkerLost& lost) {
      log(kError, std::string(lost.what()) + "; it had " + std::to_string(batch.size()) +
                      " request(s)");
      note_lost(lost);
      if (again && !batch.empty()) {
        // Clients recognise these words.
        batch[0]->refuse_unavailable(
            std::string(lost.what()) + ", and did so with this request alone");
      } else {
        serve_again(std::move(batch));
      }
    } catch (const std::exception& error) {
      note_lost(WorkerLost(refuse(batch, error), "internal"));
    }
  }

  // Refuse all unanswered requests; return the text.
  static std::string refuse(Queue::Batch& batch, const std::exception& error) {
    std::string text = std::string("internal error: ") + error.what();
    log(kError, "a batch failed inside Naiad: " + text);
    for (auto& pending : batch) {
      if (pending->request) pending->refuse(kInternal, "PipelineError", text);
    }
    return text;
  }

  void drop_unwanted(Queue::Batch& batch) {
    auto now = Clock::now();
    Queue::Batch wanted;
    for (auto& pending : batch) {
      if (auto why = unwanted(*pending, now); !why.empty()) {
        pending->refuse_unavailable(why);
      } else {
        wanted.push_back(std::move(pending));
      }
    }
    batch = std::move(wanted);
  }

  // Return why a request is no longer wanted; "" if it is.
  static std::string unwanted(const PendingRequest& pending, Clock::time_point now) {
    double waited = Seconds(now - pending.arrived).count();
    bool cancelled = false;
    if (waited > kWorthAsking) {
      TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestIsCancelled(pending.request, &cancelled));
    }
    if (cancelled) return "the client cancelled this request";
    if (!pending.timeout || waited <= pending.timeout) return "";
    char text[80];
    snprintf(text, sizeof text, "the request was not started within its timeout of %g s",
             pending.timeout);
    return text;
  }

  // Serve each alone, to find the one that kills its worker.
  void serve_again(Queue::Batch batch) {
    for (auto& pending : batch) {
      if (revive()) {
        Queue::Batch one;
        one.push_back(std::move(pending));
        serve(std::move(one), true);
      } else {
        pending->refuse_unavailable(breaker.refusal());
      }
    }
  }

  void note_lost(const WorkerLost& lost) {
    down_ = true;
    metrics_.restart(lost.kind);
    breaker.failed(lost.what());
    if (double rest = breaker.rest()) {
      auto pause = std::to_string(std::lround(rest));
      log(kError, breaker.refusal() + "; next attempt in " + pause + " s");
    }
    worker_.end();
  }

  // Make sure that the worker is alive; return false while the breaker is open.
  bool revive() {
    if (!down_) {
      if (auto how = worker_.lost(); !how.empty()) {
        log(kError, how + " while it was idle");
        note_lost(WorkerLost(how));
      }
    }
    while (down_) {
      if (breaker.rest() > 0) return false;
      try {
        worker_.launch();
        load();
        down_ = false;
      } catch (const std::exception& error) {
        log(kError, std::string("a worker could not be started: ") + error.what());
        note_lost(WorkerLost(
            std::string("a worker could not be started: ") + error.what(), "not_loaded"));
      }
    }
    return true;
  }

  Worker worker_;
  int number_;  // among the model's
  Metrics& metrics_;
  std::function<void()> on_rest_;
  const Contract* contract_ = nullptr;
  Queue* queue_ = nullptr;
  int bell_ = -1;  // rings on each put to the queue, if the worker prepares ahead
  Learner *learner_ = nullptr, *work_ = nullptr;
  bool down_ = false;
  std::promise<Contract> loaded_;
  std::promise<Queue*> go_;
  std::mutex mutex_, delivering_;
  std::condition_variable wake_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace naiad
