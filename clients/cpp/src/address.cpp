#include "address.hpp"

#include <algorithm>

#include "naiad/error.hpp"

namespace naiad {

Address parse_address(const std::string& url) {
  const auto wrong = [&](const std::string& why) {
    return InvalidInput("server \"" + url + "\": " + why);
  };
  std::string rest = url;
  Address address;
  if (const auto end = url.find("://"); end != std::string::npos) {
    const std::string scheme = url.substr(0, end);
    if (scheme != "grpc" && scheme != "grpcs") {
      throw wrong("unknown scheme " + scheme + "://; this client speaks grpc:// and grpcs://");
    }
    address.tls = scheme == "grpcs";
    rest = url.substr(end + 3);
  }
  if (!rest.empty() && rest.back() == '/') rest.pop_back();
  const auto bracket = rest.rfind(']');
  const auto colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  address.host = rest.substr(0, colon);
  address.port =
      colon == std::string::npos ? (address.tls ? "443" : "8001") : rest.substr(colon + 1);
  if (address.host.empty()) throw wrong("it has no host; write for example localhost:8001");
  if (address.host.find('/') != std::string::npos) throw wrong("a gRPC address has no path");
  const bool digits = !address.port.empty() && address.port.size() <= 5 &&
                      std::all_of(address.port.begin(), address.port.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoi(address.port) < 1 || std::stoi(address.port) > 65535) {
    throw wrong("port \"" + address.port + "\" is none; it must be 1 to 65535");
  }
  return address;
}

}  // namespace naiad
