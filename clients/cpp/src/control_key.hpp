// The control key: opens the shared-memory endpoints of a server of this user's.
#pragma once

#include <string>

#include "address.hpp"

namespace naiad {

/// The metadata that carries the key; the prefix is Triton's.
inline constexpr const char* kControlKeyHeader = "triton-grpc-protocol-naiad-control-key";

/// The key for the server at the address, or "" where none is known here.
///
/// It is the environment's NAIAD_CONTROL_KEY, or that of the file which a server on this machine
/// keeps: `<port>.key` in $XDG_RUNTIME_DIR/naiad/control or /tmp/naiad-<uid>/control,
/// `<socket>.key` for a Unix socket. Over an unencrypted connection it goes to no other machine.
std::string find_control_key(const Address& address);

}  // namespace naiad
