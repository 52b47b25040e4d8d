#include "naiad/client.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <random>
#include <thread>

#include "naiad/schema.hpp"
#include "text.hpp"
#include "transport.hpp"

namespace naiad {
namespace {

using std::chrono::milliseconds;

// With less time left, the last error says more than a missed deadline.
constexpr milliseconds kShortestTry{50};

// Longest wait for one server of several.
constexpr milliseconds kSlice{50};

// Rounds for a client that never had an answer: its servers may not exist.
constexpr int kRounds = 8;

// Retries of a request that killed its worker each time.
constexpr int kDeadlyTries = 3;

/// Whether the server reports that the request kills workers.
bool is_deadly(const Error& error) {
  return contains(error.what(), "did so with this request alone");
}

// Within what a clock can count, and longer than any call takes.
constexpr milliseconds kLongest = std::chrono::hours(24 * 365 * 10);

milliseconds up_to(milliseconds most) {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return milliseconds(std::uniform_int_distribution<milliseconds::rep>(0, most.count())(generator));
}

void check(const Options& options) {
  if (options.servers.empty()) throw InvalidInput("no servers are given; give at least one");
  if (options.timeout <= milliseconds(0)) {
    throw InvalidInput("timeout is " + std::to_string(options.timeout.count()) +
                       " ms; it must be more than 0");
  }
  if (options.retry.rounds && *options.retry.rounds < 0) {
    throw InvalidInput("retry.rounds is " + std::to_string(*options.retry.rounds) +
                       "; it must be 0 or more");
  }
  if (options.retry.first_wait < milliseconds(0) || options.retry.longest_wait < milliseconds(0)) {
    throw InvalidInput("a wait between retries is less than 0 ms");
  }
}

}  // namespace

struct Client::Servers {
  explicit Servers(const Options& options) {
    for (const std::string& url : options.servers) {
      list.push_back(std::make_unique<Server>(url, options));
    }
  }

  /// Wait until then, or until a server that was away has reconnected.
  void wait(std::chrono::steady_clock::time_point until) {
    std::vector<Server*> away;
    for (const auto& server : list) {
      if (!server->is_connected()) away.push_back(server.get());
    }
    if (away.empty()) std::this_thread::sleep_until(until);
    for (std::size_t i = 0; std::chrono::steady_clock::now() < until; ++i) {
      const auto slice = std::chrono::steady_clock::now() + kSlice;
      if (away[i % away.size()]->connect(std::min(slice, until))) return;
    }
  }

  std::vector<std::unique_ptr<Server>> list;
  std::atomic<std::size_t> preferred{0};  // the server that answered last
  std::atomic<bool> answered{false};      // whether any ever answered
};

Client::Client(Options options) : options_(std::move(options)), pool_(options_.max_in_flight) {
  check(options_);
  servers_ = std::make_unique<Servers>(options_);
}

Client::~Client() = default;

Options Client::with_server(const std::string& url) {
  Options options;
  options.servers = {url};
  return options;
}

/// Call `ask(server, deadline)` for each server in turn until one answers.
template <class Ask>
auto Client::ask(milliseconds timeout, Ask ask) {
  const milliseconds allowed = std::min(timeout.count() > 0 ? timeout : options_.timeout, kLongest);
  const Clock::time_point end = Clock::now() + allowed;
  const std::size_t count = servers_->list.size();
  milliseconds wait = options_.retry.first_wait;
  int deadly = 0;
  for (int round = 0;; ++round) {
    std::exception_ptr last;
    const std::size_t first = servers_->preferred;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t number = (first + i) % count;
      Deadline deadline{end, allowed};
      if (options_.try_timeout.count() > 0) {
        const Clock::time_point soonest = Clock::now() + options_.try_timeout;
        if (soonest < end) deadline = {soonest, options_.try_timeout};
      }
      try {
        auto answer = ask(*servers_->list[number], deadline);
        servers_->preferred = number;
        servers_->answered = true;
        return answer;
      } catch (const Unavailable& error) {
        last = std::current_exception();
        if (is_deadly(error) && ++deadly > kDeadlyTries && !options_.retry.rounds) throw;
      } catch (const DeadlineExceeded&) {
        last = std::current_exception();
        if (deadline.at == end) throw;  // the deadline of the call itself
      } catch (const Error&) {
        servers_->answered = true;
        throw;
      }
      if (Clock::now() + kShortestTry > end) std::rethrow_exception(last);
    }
    const milliseconds pause = wait + up_to(options_.retry.first_wait);
    const bool last_round = options_.retry.rounds ? round >= *options_.retry.rounds
                                                  : round >= kRounds && !servers_->answered;
    if (last_round || Clock::now() + pause + kShortestTry > end) {
      std::rethrow_exception(last);
    }
    const milliseconds least = std::min(pause, options_.retry.first_wait);
    const Clock::time_point until = Clock::now() + pause;
    std::this_thread::sleep_for(least);  // always, so that servers are not asked without a pause
    servers_->wait(until);
    wait = std::min(2 * wait, options_.retry.longest_wait);
  }
}

std::vector<Tensor> Client::infer(const std::string& model, const std::vector<Input>& inputs,
                                  const Call& call) {
  for (const Input& input : inputs) check_bytes(input);
  return ask(call.timeout, [&](Server& server, const Deadline& deadline) {
    return server.infer(model, inputs, call, deadline);
  });
}

bool Client::ready(const std::string& model) {
  const milliseconds allowed = std::min(options_.timeout, kLongest);
  const Deadline deadline{Clock::now() + allowed, allowed};
  for (const auto& server : servers_->list) {
    try {
      const bool ready = server->ready(model, deadline);
      servers_->answered = true;
      if (ready) return true;
    } catch (const Error&) {
      // One that cannot be reached is not ready.
    }
  }
  return false;
}

std::map<std::string, std::string> Client::parameters(const std::string& model) {
  return ask(milliseconds(0), [&](Server& server, const Deadline& deadline) {
    return server.parameters(model, deadline);
  });
}

}  // namespace naiad
