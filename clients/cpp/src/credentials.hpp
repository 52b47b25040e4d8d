// How a client proves who it is, and how it knows that a server is who it says.
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
/// be read, or without a use.
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const Address& address,
                                                              const Tls& tls);

/// The file of the authorities that are trusted: that of the options, or the environment's; "" for
/// gRPC's own.
std::string ca_certificate(const Tls& tls);

/// What is sent with every call: the headers of the options and the API key. Throws InvalidInput
/// for a header that HTTP/2 cannot carry, and for a key that would cross a network unencrypted.
std::vector<std::pair<std::string, std::string>> metadata(const Address& address,
                                                          const Options& options);

/// Whether there is an API key among them.
bool has_api_key(const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace naiad
