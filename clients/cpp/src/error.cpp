#include "naiad/error.hpp"

#include <string_view>

namespace naiad {
namespace {

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

/// The message without what Triton wraps around what a model said.
std::string clean(std::string message) {
  if (starts_with(message, "[request id: ")) {
    if (const auto end = message.find("] "); end != std::string::npos) message.erase(0, end + 2);
  }
  if (starts_with(message, "Failed to process the request(s) for model ")) {
    constexpr std::string_view before = "', message: ";
    if (const auto end = message.find(before); end != std::string::npos) {
      message.erase(0, end + before.size());
    }
  }
  // The Python backend lists code locations behind the message.
  if (const auto at = message.find("\nAt:\n"); at != std::string::npos) message.erase(at);
  const auto last = message.find_last_not_of(" \n");
  message.erase(last == std::string::npos ? 0 : last + 1);
  return message;
}

}  // namespace

const char* name(Code code) {
  switch (code) {
    case Code::cancelled:
      return "CANCELLED";
    case Code::unknown:
      return "UNKNOWN";
    case Code::invalid_argument:
      return "INVALID_ARGUMENT";
    case Code::deadline_exceeded:
      return "DEADLINE_EXCEEDED";
    case Code::not_found:
      return "NOT_FOUND";
    case Code::already_exists:
      return "ALREADY_EXISTS";
    case Code::permission_denied:
      return "PERMISSION_DENIED";
    case Code::resource_exhausted:
      return "RESOURCE_EXHAUSTED";
    case Code::failed_precondition:
      return "FAILED_PRECONDITION";
    case Code::aborted:
      return "ABORTED";
    case Code::out_of_range:
      return "OUT_OF_RANGE";
    case Code::unimplemented:
      return "UNIMPLEMENTED";
    case Code::internal:
      return "INTERNAL";
    case Code::unavailable:
      return "UNAVAILABLE";
    case Code::data_loss:
      return "DATA_LOSS";
    case Code::unauthenticated:
      return "UNAUTHENTICATED";
  }
  return "UNKNOWN";
}

void throw_status(Code code, std::string message) {
  message = clean(std::move(message));
  if (message.empty()) message = std::string("the server answered ") + name(code) + ", no message";
  const bool unknown_model = starts_with(message, "Request for unknown model") ||
                             (starts_with(message, "requested model '") &&
                              message.find("' is not available") != std::string::npos);
  // A server that is stopping has unloaded the model already.
  const bool unloaded = starts_with(message, "Request for unknown model: '") &&
                        message.find("' has no available versions") != std::string::npos;
  // The model's process died: the request is not to blame, and the model is back after a reload.
  const bool dead_model =
      starts_with(message, "Stub process ") && message.find(" is not healthy") != std::string::npos;
  if (unloaded || (code == Code::internal && dead_model)) throw Unavailable(message);
  if (unknown_model) throw ModelNotFound(message);
  switch (code) {
    case Code::invalid_argument:
      throw InvalidInput(message);
    case Code::not_found:
      throw ModelNotFound(message);
    case Code::deadline_exceeded:
      throw DeadlineExceeded(message);
    // A server that ends cancels; this client cancels nothing itself.
    case Code::unavailable:
    case Code::cancelled:
      throw Unavailable(message, code);
    default:
      throw PipelineError(message, code);
  }
}

}  // namespace naiad
