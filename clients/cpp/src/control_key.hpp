// The control key, which opens the shared-memory endpoints of the user's own server.
#pragma once

#include <string>

#include "address.hpp"

namespace naiad {

/// The metadata that carries the key; the prefix is Triton's.
inline constexpr const char* kControlKeyHeader = "triton-grpc-protocol-naiad-control-key";

/// The key for the server at the address, or "" if none is known.
///
/// It is NAIAD_CONTROL_KEY of the environment, or in the file that a server on this machine keeps:
/// `<port>.key` in $XDG_RUNTIME_DIR/naiad/control or /tmp/naiad-<uid>/control, `<socket>.key` for a
/// Unix socket. It is never sent to another machine unencrypted.
std::string find_control_key(const Address& address);

}  // namespace naiad
