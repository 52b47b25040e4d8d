// Errors that the client throws.
//
//     naiad::Error                has a code: gRPC's status, by number and by name
//     ├── InvalidInput            the request is wrong: which tensor, what is right
//     ├── PipelineError           the model failed, or its answer does not fit its schema
//     ├── Unavailable             no server could answer now; the request may succeed later
//     ├── DeadlineExceeded        no answer within the timeout
//     ├── ModelNotFound           the server has no such model
//     └── NotAllowed              no API key was sent, or one without the permission
#pragma once

#include <stdexcept>
#include <string>

namespace naiad {

/// gRPC status of an error, with gRPC's numbers.
enum class Code {
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

/// The code's name, such as "INVALID_ARGUMENT".
const char* name(Code code);

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

class InvalidInput : public Error {
 public:
  explicit InvalidInput(const std::string& message, Code code = Code::invalid_argument)
      : Error(code, message) {}
};

class PipelineError : public Error {
 public:
  explicit PipelineError(const std::string& message, Code code = Code::internal)
      : Error(code, message) {}
};

class Unavailable : public Error {
 public:
  explicit Unavailable(const std::string& message, Code code = Code::unavailable)
      : Error(code, message) {}
};

class DeadlineExceeded : public Error {
 public:
  explicit DeadlineExceeded(const std::string& message) : Error(Code::deadline_exceeded, message) {}
};

class ModelNotFound : public Error {
 public:
  explicit ModelNotFound(const std::string& message) : Error(Code::not_found, message) {}
};

class NotAllowed : public Error {
 public:
  explicit NotAllowed(const std::string& message, Code code = Code::permission_denied)
      : Error(code, message) {}
};

/// Throw the error for a server's status and message.
[[noreturn]] void throw_status(Code code, std::string message);

}  // namespace naiad
