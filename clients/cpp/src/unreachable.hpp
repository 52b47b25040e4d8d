// Why a server was not reached.
#pragma once

#include <string>

#include "address.hpp"

namespace naiad {

/// What gRPC's words for an UNAVAILABLE connection mean, as a message; empty where there was a
/// connection. `ca` is the file of the authorities that are trusted, "" for gRPC's own.
std::string unreachable(const Address& address, const std::string& ca, const std::string& details);

}  // namespace naiad
