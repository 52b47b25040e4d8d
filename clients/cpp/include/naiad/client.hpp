// Client of Triton servers, for any model. For typed calls see model.hpp.
#pragma once

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "naiad/error.hpp"
#include "naiad/options.hpp"
#include "naiad/pool.hpp"
#include "naiad/tensor.hpp"

namespace naiad {

/// Client of the servers in its options. Safe to use from any number of threads at once.
class Client {
 public:
  /// Connects with the first call. Throws InvalidInput for invalid options.
  explicit Client(Options options);
  explicit Client(const std::string& url) : Client(with_server(url)) {}
  /// Waits for the calls in flight, each of which ends within its timeout.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Ask a model. If a server is unavailable, the next is asked, in rounds with growing waits.
  /// Throws the server's error, or the last one if no server answered.
  std::vector<Tensor> infer(const std::string& model, const std::vector<Input>& inputs,
                            const Call& call = {});

  /// Run `task` in one of the client's threads; waits while `max_in_flight` are in flight. The
  /// future's `get` rethrows its exception.
  template <class Task>
  std::future<std::invoke_result_t<Task&>> submit(Task task) {
    using Result = std::invoke_result_t<Task&>;
    auto packaged = std::make_shared<std::packaged_task<Result()>>(std::move(task));
    auto future = packaged->get_future();
    pool_.run([packaged] { (*packaged)(); });
    return future;
  }

  /// Whether some server (or the model on it) is ready. Asked once, without retries.
  bool ready(const std::string& model = "");

  /// The parameters in a model's configuration, such as its `notice`.
  std::map<std::string, std::string> parameters(const std::string& model);

  const Options& options() const { return options_; }

 private:
  struct Servers;
  using Clock = std::chrono::steady_clock;

  static Options with_server(const std::string& url);
  template <class Ask>
  auto ask(std::chrono::milliseconds timeout, Ask ask);

  const Options options_;
  std::unique_ptr<Servers> servers_;
  Pool pool_;  // last: its threads end before what they use
};

}  // namespace naiad
