// Explanations of failed connections.
#pragma once

#include <string>

#include "address.hpp"

namespace naiad {

/// Return a message for gRPC's words about an UNAVAILABLE connection; empty if there was a
/// connection. `ca` is the file of trusted authorities, "" for gRPC's own.
std::string unreachable(const Address& address, const std::string& ca, const std::string& details);

}  // namespace naiad
