// Where a server is.
#pragma once

#include <string>

namespace naiad {

struct Address {
  std::string host;  // an IPv6 one in brackets
  std::string port;
  bool tls = false;

  std::string target() const { return host + ":" + port; }
  std::string url() const { return (tls ? "grpcs://" : "grpc://") + target(); }
};

/// Read `host:port`, `grpc://host:port` or `grpcs://host:port`; without a port 8001, with TLS 443.
/// Throws InvalidInput for anything else.
Address parse_address(const std::string& url);

}  // namespace naiad
