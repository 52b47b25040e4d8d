#include "credentials.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>

#include "naiad/error.hpp"
#include "text.hpp"

namespace naiad {
namespace {

constexpr const char* kApiKey = "x-api-key";

/// The content of a PEM file, which must have this kind of entry; "" without a path.
std::string read_pem(const std::string& path, const char* kind) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) throw InvalidInput(path + ": no such file, or it cannot be read");
  if (!contains(text, "-----BEGIN ") || !contains(text, std::string(kind) + "-----")) {
    throw InvalidInput(path + " has no " + kind + " in PEM format");
  }
  return text;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.');
  });
}

bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const Address& address,
                                                              const Tls& tls) {
  const bool given = !(tls.ca_certificate + tls.certificate + tls.private_key).empty();
  if (!address.tls) {
    if (given) {
      throw InvalidInput(address.url() + " is not encrypted, yet has certificates: use grpcs://");
    }
    return grpc::InsecureChannelCredentials();
  }
  if (tls.certificate.empty() != tls.private_key.empty()) {
    throw InvalidInput("certificate and private_key belong together: give both or none");
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read_pem(ca_certificate(tls), "CERTIFICATE");
  options.pem_cert_chain = read_pem(tls.certificate, "CERTIFICATE");
  options.pem_private_key = read_pem(tls.private_key, "PRIVATE KEY");
  return grpc::SslCredentials(options);
}

std::string ca_certificate(const Tls& tls) {
  return tls.ca_certificate.empty() ? environment("NAIAD_CA") : tls.ca_certificate;
}

std::vector<std::pair<std::string, std::string>> metadata(const Address& address,
                                                          const Options& options) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [given, value] : options.headers) {
    const std::string name = lower(given);
    // gRPC ends the process for a header that it cannot send.
    if (!is_name(name) || starts_with(name, "grpc-")) {
      throw InvalidInput("a header is named \"" + given +
                         "\"; it must be letters, digits, -, _ and ., and not begin with grpc-");
    }
    const bool binary = ends_with(name, "-bin");
    if (!binary && !is_printable(value)) {
      throw InvalidInput("header " + name + " has characters that are not printable ASCII");
    }
    all.emplace_back(name, value);
  }
  if (has_api_key(all)) return all;
  const std::string key =
      options.api_key.empty() ? trimmed(environment("NAIAD_API_KEY")) : options.api_key;
  if (key.empty()) return all;
  const std::string source = options.api_key.empty() ? "NAIAD_API_KEY" : "api_key";
  if (!address.tls && !address.is_local()) {
    throw InvalidInput(source + " is set, and " + address.url() +
                       " is another machine without encryption, so anyone on the way could "
                       "read the key: use grpcs://, or, if you know that the network is safe, "
                       "options.headers = {{\"x-api-key\", ...}}");
  }
  if (!is_printable(key) || key.front() == ' ' || key.back() == ' ') {
    throw InvalidInput(source +
                       " has blanks around it, or characters that are not printable "
                       "ASCII");
  }
  all.emplace_back(kApiKey, key);
  return all;
}

bool has_api_key(const std::vector<std::pair<std::string, std::string>>& metadata) {
  return std::any_of(metadata.begin(), metadata.end(),
                     [](const auto& header) { return header.first == kApiKey; });
}

}  // namespace naiad
