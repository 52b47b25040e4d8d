#include "unreachable.hpp"

#include <algorithm>

#include "text.hpp"

namespace naiad {
namespace {

bool is_resolved(const std::string& details) {
  return !contains(details, "errors resolving") && !contains(details, "DNS resolution");
}

/// Whether the environment exempts the host from proxies. gRPC compares ends of names.
bool without_proxy(const std::string& host) {
  for (const char* variable : {"no_grpc_proxy", "no_proxy"}) {
    const std::string names = environment(variable);
    if (names.empty()) continue;
    for (std::size_t at = 0; at <= names.size();) {
      const std::size_t end = std::min(names.find(',', at), names.size());
      const std::string name = trimmed(names.substr(at, end - at));
      if (!name.empty() && ends_with(host, name)) return true;
      at = end + 1;
    }
    return false;  // gRPC reads only the first variable that is set
  }
  return false;
}

/// The environment's proxy for the host and its variable, without user and password; "" for none.
std::string proxy_of(const Address& address) {
  if (address.is_local() || without_proxy(address.host)) return "";
  for (const char* variable : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    std::string proxy = environment(variable);
    if (proxy.empty()) continue;
    if (const auto at = proxy.rfind('@'); at != std::string::npos) proxy.erase(0, at + 1);
    return proxy + " (" + variable + ")";
  }
  return "";
}

/// Why the TLS handshake failed: server or client are not trusted; empty for other failures.
std::string untrusted(const Address& address, const std::string& ca, const std::string& details) {
  if (!address.tls) return "";
  if (contains(details, "not in peer certificate")) return "its certificate is not for this host";
  if (contains(details, "certificate verify failed") || contains(details, "VERIFY_FAILED")) {
    const std::string why = "its certificate has expired, or is not signed by an authority of ";
    return why + (ca.empty() ? "gRPC's own roots: give tls.ca_certificate, or NAIAD_CA in the "
                               "environment"
                             : ca);
  }
  if (contains(details, "wrong version number") || contains(details, "WRONG_VERSION_NUMBER")) {
    return "it does not speak TLS; without it, the address is grpc://" + address.target();
  }
  if (contains(details, "missing selected ALPN")) return "it does not speak gRPC, but has TLS";
  if (contains(details, "andshake")) return details.substr(details.find("andshake") - 1);
  if (contains(details, "Socket closed") || contains(details, "Connection reset")) {
    return "it closed the connection; it may require a client certificate (tls.certificate)";
  }
  return "";
}

std::string reason(const Address& address, const std::string& details) {
  if (!is_resolved(details)) return "no such host is known";
  if (contains(details, "Socket closed") || contains(details, "Connection reset") ||
      contains(details, "Broken pipe") || contains(details, "HTTP/2")) {
    return "it does not speak gRPC, or only with TLS (grpcs://)" +
           (address.is_socket() ? "" : "; " + address.port + " may be Triton's HTTP port");
  }
  const auto last = details.rfind(": ");
  return last == std::string::npos ? details : details.substr(last + 2);
}

}  // namespace

std::string unreachable(const Address& address, const std::string& ca, const std::string& details) {
  if (is_resolved(details) && !contains(details, "ailed to connect")) return "";
  if (const std::string why = untrusted(address, ca, details); !why.empty()) {
    return "no connection to " + address.url() + ": " + why;
  }
  std::string message = "no server answers at " + address.url() + " (" + reason(address, details) +
                        "); is `naiad " +
                        (address.is_socket() ? "serve --socket` running there?"
                                             : "serve` running, and on this port?");
  if (const std::string proxy = proxy_of(address); !proxy.empty()) {
    message += " The connection went through the proxy " + proxy + "; add " + address.host +
               " to no_proxy to bypass it";
  }
  return message;
}

}  // namespace naiad
