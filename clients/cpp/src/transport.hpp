// One server, by gRPC. The only header that stands between the client and gRPC.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "naiad/options.hpp"
#include "naiad/tensor.hpp"

namespace naiad {

/// When a try must be answered, and what to say where it is not.
struct Deadline {
  std::chrono::steady_clock::time_point at;
  std::chrono::milliseconds allowed;
};

class SharedMemory;

class Server {
 public:
  /// Throws InvalidInput for an address or certificate that cannot be.
  Server(const std::string& url, const Options& options);
  ~Server();

  /// Ask once. Throws naiad::Error.
  std::vector<Tensor> infer(const std::string& model, const std::vector<Input>& inputs,
                            const Call& call, const Deadline& deadline);
  bool ready(const std::string& model, const Deadline& deadline);
  std::map<std::string, std::string> parameters(const std::string& model, const Deadline& deadline);

  bool is_connected() const;
  /// Wait for a connection until the time at most; whether there is one.
  ///
  /// gRPC 1.51 goes on with connecting only while somebody waits for it, and else every 5 s: calls
  /// to a server that was away fail at once, and do not wait.
  bool connect(std::chrono::steady_clock::time_point until);

  const std::string& url() const { return url_; }

 private:
  struct Connection;

  std::string url_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace naiad
