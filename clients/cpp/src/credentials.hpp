// Credentials of the client, and the authorities by which it verifies servers.
#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "address.hpp"
#include "naiad/options.hpp"

namespace naiad {

/// Encryption and certificates of the connection. Throws InvalidInput for certificates that cannot
/// be read, or for an unencrypted URL.
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const Address& address,
                                                              const Tls& tls);

/// The file of trusted authorities, from the options or the environment; "" for gRPC's own.
std::string ca_certificate(const Tls& tls);

/// Metadata of every call: the headers of the options and the API key. Throws InvalidInput for a
/// header that HTTP/2 cannot carry, and for a key that would cross a network unencrypted.
std::vector<std::pair<std::string, std::string>> metadata(const Address& address,
                                                          const Options& options);

/// Whether the metadata has an API key.
bool has_api_key(const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace naiad
