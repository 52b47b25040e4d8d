// gRPC connection to one server. Only its source includes gRPC's headers.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "naiad/options.hpp"
#include "naiad/tensor.hpp"

namespace naiad {

/// Deadline of an attempt, and the timeout to name in its error.
struct Deadline {
  std::chrono::steady_clock::time_point at;
  std::chrono::milliseconds allowed;
};

class SharedMemory;

class Server {
 public:
  /// Throws InvalidInput for an invalid address or certificate.
  Server(const std::string& url, const Options& options);
  ~Server();

  /// Ask once. Throws naiad::Error.
  std::vector<Tensor> infer(const std::string& model, const std::vector<Input>& inputs,
                            const Call& call, const Deadline& deadline);
  bool ready(const std::string& model, const Deadline& deadline);
  std::map<std::string, std::string> parameters(const std::string& model, const Deadline& deadline);

  bool is_connected() const;
  /// Wait for a connection, at most until the given time; return whether there is one.
  ///
  /// gRPC 1.51 keeps connecting only while somebody waits for it, and otherwise every 5 s: calls to
  /// a server that was away fail at once, without waiting.
  bool connect(std::chrono::steady_clock::time_point until);

  const std::string& url() const { return url_; }

 private:
  struct Connection;

  std::string url_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace naiad
