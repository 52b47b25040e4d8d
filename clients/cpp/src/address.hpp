// Address of a server.
#pragma once

#include <string>

namespace naiad {

struct Address {
  std::string host;  // an IPv6 one in brackets
  std::string port;
  bool tls = false;
  std::string socket;  // path of a Unix socket, in place of host and port

  bool is_socket() const { return !socket.empty(); }
  /// Whether the connection stays on this machine: a Unix socket, or a loopback address.
  bool is_local() const;
  /// The form that gRPC takes.
  std::string target() const;
  /// The form that users write.
  std::string url() const;
};

/// Parse `host:port`, `grpc://host:port` or `grpcs://host:port` (default port 8001, with TLS 443);
/// or `unix:PATH` or `unix:///PATH`. Throws InvalidInput for anything else.
Address parse_address(const std::string& url);

}  // namespace naiad
