// A worker process: its start, its messages and its end.
//
// Arrays are sent in memfds: one for batches and two for results, in turn, so that those of one batch
// can be read while the worker writes the next. One message each way per batch is sent over a socket
// pair, framed like the bytes of multiprocessing.connection. wire.py, the other end, documents the
// messages.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "batcher.h"

extern char** environ;

namespace naiad {

// The worker ended or was killed before it answered.
struct WorkerLost : std::runtime_error {
  WorkerLost(const std::string& message, const char* kind = "died")
      : std::runtime_error(message), kind(kind) {}
  const char* kind;  // died, hung, not_loaded or internal, for metrics
};

// A growable piece of memory that two processes share through a file descriptor.
class Arena {
 public:
  // It can grow but not shrink, so that no reader runs past its end.
  Arena() : fd(high(memfd_create("naiad", MFD_CLOEXEC | MFD_ALLOW_SEALING))) {
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
  }
  Arena(const Arena&) = delete;
  ~Arena() {
    if (base_) munmap(base_, mapped_);
    close(fd);
  }

  // Return at least `size` bytes of it.
  char* reserve(size_t size) {
    if (size > mapped_) {
      if (size > kMost) throw std::runtime_error("the shared memory wanted is too large");
      struct stat state {};
      fstat(fd, &state);
      size_t wanted = 1 << 20;
      while (wanted < size) wanted *= 2;  // so that slowly growing batches do not remap each time
      if (static_cast<size_t>(state.st_size) >= size) {
        wanted = state.st_size;
      } else if (ftruncate(fd, wanted)) {
        throw std::runtime_error("no shared memory of " + std::to_string(wanted) + " bytes");
      }
      if (base_) munmap(base_, mapped_);
      void* found = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      base_ = found == MAP_FAILED ? nullptr : static_cast<char*>(found);
      mapped_ = base_ ? wanted : 0;
      if (!base_) throw std::runtime_error("shared memory cannot be mapped");
    }
    return base_;
  }

  // True if the file has at least `size` bytes; the other process may have enlarged it.
  bool holds(size_t size) const {
    struct stat state {};
    return size <= mapped_ || (!fstat(fd, &state) && static_cast<uint64_t>(state.st_size) >= size);
  }

  // Return memory beyond the usual need and `used` to the system; contents are lost.
  void trim(size_t used = 0) {
    size_t keep = std::max(kKeep, (used + kPage - 1) / kPage * kPage);
    if (mapped_ > keep) madvise(base_ + keep, mapped_ - keep, MADV_REMOVE);
  }

  // Low numbers must stay free: a child's descriptors have fixed low numbers.
  static int high(int low) {
    if (low < 0) throw std::runtime_error(std::string("no file descriptor: ") + strerror(errno));
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 16);
    close(low);
    if (fd < 0) throw std::runtime_error(std::string("no file descriptor: ") + strerror(errno));
    return fd;
  }

  const int fd;

 private:
  static constexpr size_t kKeep = 64 << 20, kPage = 64 << 10;
  static constexpr size_t kMost = size_t{1} << 46;

  char* base_ = nullptr;
  size_t mapped_ = 0;
};

class Worker {
 public:
  // `hello` is the first message, which says what to load; `label` appears in process lists.
  // Does not start anything yet.
  Worker(std::string label, std::string hello)
      : label_(std::move(label)), hello_(std::move(hello)) {}
  Worker(const Worker&) = delete;
  ~Worker() { end(); }

  // Start the process. The kernel kills it when the calling thread ends.
  void launch() {
    end();
    inbox = std::make_unique<Arena>();
    for (auto& outbox : outboxes_) outbox = std::make_unique<Arena>();
    turn_ = 0;
    unprepared = 0;
    free_ = Arena::high(eventfd(2, EFD_CLOEXEC | EFD_SEMAPHORE));
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
      throw WorkerLost(std::string("no socket: ") + strerror(errno), "not_loaded");
    }
    socket_ = Arena::high(pair[0]);
    int theirs = Arena::high(pair[1]);
    const char* python = getenv("NAIAD_PYTHON");
    std::string parent = std::to_string(getpid());
    const char* command[] = {
        python ? python : "python3", "-m", "naiad.triton.worker", "--parent", parent.c_str(),
        "--serves", label_.c_str(), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, theirs, 3);
    posix_spawn_file_actions_adddup2(&files, inbox->fd, 4);
    posix_spawn_file_actions_adddup2(&files, outboxes_[0]->fd, 5);
    posix_spawn_file_actions_adddup2(&files, outboxes_[1]->fd, 6);
    posix_spawn_file_actions_adddup2(&files, free_, 7);
    int failed = posix_spawnp(
        &pid_, command[0], &files, nullptr, const_cast<char**>(command), environ);
    posix_spawn_file_actions_destroy(&files);
    close(theirs);
    if (failed) {
      pid_ = 0;
      throw WorkerLost(
          std::string(command[0]) + " cannot be started: " + strerror(failed), "not_loaded");
    }
    send(hello_);
  }

  pid_t pid() const { return pid_; }

  // Send a task, whose inputs are in the inbox.
  void ask(const std::string& task) { send(task); }

  // Return the memory with the results of the answer just received; call once per answer.
  Arena* outbox() { return outboxes_[(turn_ ^= 1) ^ 1].get(); }

  // Report results as read, so that a worker that prepares ahead may overwrite them.
  void read() { eventfd_write(free_, 1); }

  // Wait for a message, or for `bell` unless it is -1; return true if there is a message.
  bool wait(int bell, Seconds timeout) {
    pollfd both[] = {{socket_, POLLIN, 0}, {bell, POLLIN, 0}};
    int milliseconds = static_cast<int>(std::ceil(std::min(1e9, timeout.count() * 1e3)));
    return poll(both, 2, std::max(0, milliseconds)) > 0 && both[0].revents;
  }

  // Return the next message; kill a process that sends nothing within `timeout`.
  std::string receive(Seconds timeout) {
    uint32_t size = 0;
    read_all(reinterpret_cast<char*>(&size), sizeof size, timeout);
    size = ntohl(size);
    if (size > kMostMessage) {
      throw std::runtime_error("a worker process sent a malformed message");
    }
    std::string message(size, '\0');
    read_all(message.data(), size, timeout);
    return message;
  }

  // Return how the process ended; "" while it is alive.
  std::string lost() {
    if (!pid_) return "the worker process is not running";
    int status;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return "";
    pid_ = 0;
    return ended(status);
  }

  // End the process; kill it if it does not end by itself.
  void end() {
    for (int* fd : {&socket_, &free_}) {
      if (*fd >= 0) close(*fd);
      *fd = -1;
    }
    for (int tries = 0; pid_ && lost().empty(); ++tries) {
      if (tries == 100) kill(pid_, SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    inbox.reset();
    for (auto& outbox : outboxes_) outbox.reset();
  }

  // Kill a process that did not answer within `timeout`.
  [[noreturn]] void hung(Seconds timeout) {
    kill(pid_, SIGKILL);
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%g", timeout.count());
    throw WorkerLost(
        "the worker did not answer within " + std::string(seconds) + " s and was killed", "hung");
  }

  std::unique_ptr<Arena> inbox;
  int unprepared = 0;  // tasks; counted if requests are prepared beside `forward`

 private:
  static constexpr size_t kMostMessage = size_t{1} << 30;

  void send(const std::string& message) {
    if (message.size() > kMostMessage) throw std::runtime_error("a message is too long to be sent");
    uint32_t size = htonl(static_cast<uint32_t>(message.size()));
    std::string framed(reinterpret_cast<char*>(&size), sizeof size);
    framed += message;
    for (size_t sent = 0; sent < framed.size();) {
      ssize_t now = ::send(socket_, framed.data() + sent, framed.size() - sent, MSG_NOSIGNAL);
      if (now < 0 && errno == EINTR) continue;
      if (now <= 0) throw WorkerLost(obituary());
      sent += now;
    }
  }

  void read_all(char* into, size_t size, Seconds timeout) {
    while (size) {
      wait_for_more(timeout);
      ssize_t now = recv(socket_, into, size, 0);
      if (now < 0 && errno == EINTR) continue;
      if (now <= 0) throw WorkerLost(obituary());
      into += now;
      size -= now;
    }
  }

  void wait_for_more(Seconds timeout) {
    pollfd wait{socket_, POLLIN, 0};
    int ready;
    do {
      ready = poll(&wait, 1, static_cast<int>(std::min(1e9, timeout.count() * 1e3)));
    } while (ready < 0 && errno == EINTR);
    if (!ready) hung(timeout);
  }

  std::string obituary() {
    for (int tries = 0; tries < 500; ++tries) {
      if (auto how = lost(); !how.empty()) return how;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return "the worker process closed its socket";
  }

  static std::string ended(int status) {
    if (WIFSIGNALED(status)) {
      return "the worker process ended by signal " + std::to_string(WTERMSIG(status));
    }
    return "the worker process ended with status " + std::to_string(WEXITSTATUS(status));
  }

  std::unique_ptr<Arena> outboxes_[2];
  int turn_ = 0;  // index of the next answer's outbox
  std::string label_, hello_;
  pid_t pid_ = 0;
  int socket_ = -1, free_ = -1;
};

}  // namespace naiad
