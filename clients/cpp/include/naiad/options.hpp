// Options of a client and of its calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace naiad {

/// PEM files. With `certificate` goes `private_key`; without `ca_certificate` the file that
/// NAIAD_CA names in the environment is used, or gRPC's own roots.
struct Tls {
  std::string ca_certificate;
  std::string certificate;
  std::string private_key;
};

/// Pings on a connection, which detect a server that vanished. Servers end a connection that pings
/// more often than they allow; Triton allows one every 5 minutes unless it is started with another
/// --grpc-http2-min-recv-ping-interval-without-data.
struct KeepAlive {
  std::chrono::milliseconds interval{0};  ///< between pings; 0: none
  std::chrono::milliseconds timeout{20'000};
  bool without_calls = false;  ///< also while no call is in flight
};

/// Further rounds through the servers, while all of them are unavailable.
struct Retry {
  /// Maximum number. By default, a client that ever had an answer goes on until the call's time is
  /// up, since its servers will be back; one that never had stops after 8.
  std::optional<int> rounds;
  std::chrono::milliseconds first_wait{250};  ///< doubled each time, plus a random part of
                                              ///< up to this much
  std::chrono::milliseconds longest_wait{2'000};
};

struct Options {
  /// `host:port` or `grpc://host:port`; `grpcs://host:port` with TLS; `unix:PATH` for a Unix
  /// socket. All serve the same models.
  /// Calls go to the server that answered last (at first, the first), and to the next if it is
  /// unavailable.
  std::vector<std::string> servers{"localhost:8001"};
  /// For a call with all its attempts.
  std::chrono::milliseconds timeout{60'000};
  /// For one attempt, after which the next server is asked; 0: the time that the call has left.
  std::chrono::milliseconds try_timeout{0};
  Retry retry;
  /// Calls in flight through `submit` and `infer_async`; further ones wait.
  std::size_t max_in_flight = 16;
  Tls tls;
  /// Sent with every call; empty: NAIAD_API_KEY of the environment, if set. Needs TLS unless the
  /// servers are on this machine.
  std::string api_key;
  bool gzip = false;
  KeepAlive keep_alive;
  /// Put inputs into shared memory for servers on the same machine. A Naiad server takes them from
  /// the user who started it, by its control key, which the client finds itself. Other servers get
  /// the inputs in the message.
  bool shared_memory = false;
  /// Sent with every call, such as {"authorization", "Bearer ..."}.
  std::map<std::string, std::string> headers;
};

using Parameter = std::variant<bool, std::int64_t, double, std::string>;

/// Options of one call.
struct Call {
  std::chrono::milliseconds timeout{0};  ///< 0: that of the options
  std::string id;
  std::map<std::string, Parameter> parameters;
  std::vector<std::string> outputs;  ///< names of the outputs to return; empty: all
  std::string version;               ///< of the model; empty: the server's choice
};

}  // namespace naiad
