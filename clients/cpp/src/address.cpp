#include "address.hpp"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "naiad/error.hpp"
#include "text.hpp"

namespace naiad {
namespace {

constexpr std::string_view kUnix = "unix:";
// With the final NUL.
constexpr std::size_t kLongestSocket = sizeof(sockaddr_un::sun_path);

InvalidInput wrong(const std::string& url, const std::string& why) {
  return InvalidInput("server \"" + url + "\": " + why);
}

Address parse_socket(const std::string& url) {
  std::string path = url.substr(kUnix.size());
  if (starts_with(path, "//")) {
    path.erase(0, 2);
    if (!starts_with(path, "/")) {
      throw wrong(url, "write unix:PATH, or unix:///PATH for an absolute path");
    }
  }
  if (path.empty()) throw wrong(url, "it has no path; write for example unix:/run/naiad.sock");
  if (path.find('\0') != std::string::npos) throw wrong(url, "the path has a NUL in it");
  if (path.size() >= kLongestSocket) {
    throw wrong(url, "the path has " + std::to_string(path.size()) +
                         " bytes; a Unix socket's path has at most " +
                         std::to_string(kLongestSocket - 1));
  }
  Address address;
  address.socket = path;
  return address;
}

/// The path with the special characters of URIs as %XX.
std::string quoted(const std::string& path) {
  constexpr const char* digits = "0123456789ABCDEF";
  std::string result;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || byte == '/' || byte == '.' ||
                                       byte == '-' || byte == '_');
    if (plain) {
      result += c;
    } else {
      result += {'%', digits[byte / 16], digits[byte % 16]};
    }
  }
  return result;
}

}  // namespace

bool Address::is_local() const {
  if (is_socket()) return true;
  std::string name = host;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name == "localhost") return true;
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET, name.c_str(), bytes.data()) == 1) return bytes[0] == 127;
  if (name.size() < 2 || name.front() != '[' || name.back() != ']') return false;
  if (inet_pton(AF_INET6, name.substr(1, name.size() - 2).c_str(), bytes.data()) != 1) return false;
  const auto zeros = std::find_if(bytes.begin(), bytes.end(), [](unsigned char b) { return b; });
  const bool mapped = zeros == bytes.begin() + 10 && bytes[10] == 0xff && bytes[11] == 0xff;
  return (zeros == bytes.end() - 1 && bytes[15] == 1) || (mapped && bytes[12] == 127);
}

std::string Address::target() const {
  return is_socket() ? std::string(kUnix) + quoted(socket) : host + ":" + port;
}

std::string Address::url() const {
  return is_socket() ? std::string(kUnix) + socket : (tls ? "grpcs://" : "grpc://") + target();
}

Address parse_address(const std::string& url) {
  if (starts_with(url, kUnix)) return parse_socket(url);
  std::string rest = url;
  Address address;
  if (const auto end = url.find("://"); end != std::string::npos) {
    const std::string scheme = url.substr(0, end);
    if (scheme != "grpc" && scheme != "grpcs") {
      throw wrong(url, "unknown scheme " + scheme +
                           "://; this client takes grpc://, grpcs:// and unix:PATH");
    }
    address.tls = scheme == "grpcs";
    rest = url.substr(end + 3);
  }
  if (!rest.empty() && rest.back() == '/') rest.pop_back();
  const auto bracket = rest.rfind(']');
  const auto colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  if (bracket == std::string::npos && std::count(rest.begin(), rest.end(), ':') > 1) {
    throw wrong(url, "write an IPv6 address in brackets, as [::1]:8001");
  }
  address.host = rest.substr(0, colon);
  address.port =
      colon == std::string::npos ? (address.tls ? "443" : "8001") : rest.substr(colon + 1);
  if (address.host.empty()) throw wrong(url, "it has no host; write for example localhost:8001");
  if (address.host.find('/') != std::string::npos) throw wrong(url, "a gRPC address has no path");
  const bool digits = !address.port.empty() && address.port.size() <= 5 &&
                      std::all_of(address.port.begin(), address.port.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoi(address.port) < 1 || std::stoi(address.port) > 65535) {
    throw wrong(url, "the port is \"" + address.port + "\"; it must be 1 to 65535");
  }
  return address;
}

}  // namespace naiad
