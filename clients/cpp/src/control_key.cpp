#include "control_key.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "text.hpp"

namespace naiad {
namespace {

std::string key_path(const Address& address) {
  if (address.is_socket()) return address.socket + ".key";
  const std::string runtime = environment("XDG_RUNTIME_DIR");
  struct stat found {};
  const bool there =
      !runtime.empty() && stat(runtime.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
  const std::string root = there ? runtime + "/naiad" : "/tmp/naiad-" + std::to_string(getuid());
  return root + "/control/" + address.port + ".key";
}

/// The text of a regular file that this user or root owns. A file of another user is not our
/// server's key, and a pipe may never end.
std::string own_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return "";
  struct stat found {};
  std::array<char, 1024> text{};
  ssize_t size = -1;
  if (fstat(file, &found) == 0 && S_ISREG(found.st_mode) &&
      (found.st_uid == getuid() || found.st_uid == 0)) {
    size = read(file, text.data(), text.size());
  }
  close(file);
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : "";
}

/// The key, or "" for invalid characters, which as metadata would end this process.
std::string checked(const std::string& key) {
  for (const char c : key) {
    if (c <= ' ' || c > '~') return "";
  }
  return key;
}

}  // namespace

std::string find_control_key(const Address& address) {
  if (!address.is_local() && !address.tls) return "";
  if (const std::string key = environment("NAIAD_CONTROL_KEY"); !key.empty()) return checked(key);
  return address.is_local() ? checked(trimmed(own_file(key_path(address)))) : "";
}

}  // namespace naiad
