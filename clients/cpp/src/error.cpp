#include "naiad/error.hpp"

#include <string_view>

#include "text.hpp"

namespace naiad {
namespace {

/// The message without the text that Triton wraps around a model's own.
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
  // The Python backend lists code locations after the message.
  if (const auto at = message.find("\nAt:\n"); at != std::string::npos) message.erase(at);
  const auto last = message.find_last_not_of(" \n");
  message.erase(last == std::string::npos ? 0 : last + 1);
  return message;
}

/// The code for an HTTP answer, from a proxy without gRPC; `otherwise` for other messages.
Code of_http(const std::string& message, Code otherwise) {
  constexpr std::string_view before = "Received http2 header with status: ";
  if (!starts_with(message, before)) return otherwise;
  const std::string status = message.substr(before.size(), 3);
  if (status == "401") return Code::unauthenticated;
  if (status == "403") return Code::permission_denied;
  if (status == "404") return Code::not_found;
  if (status == "400" || status == "413" || status == "415" || status == "431") {
    return Code::invalid_argument;
  }
  if (status == "408" || status == "504") return Code::deadline_exceeded;
  if (status == "429") return Code::resource_exhausted;
  if (status == "502" || status == "503") return Code::unavailable;
  return otherwise;
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
  if (message.empty()) {
    message = std::string("the server answered ") + name(code) + " without a message";
  }
  const bool unknown_model =
      starts_with(message, "Request for unknown model") ||
      (starts_with(message, "requested model '") && contains(message, "' is not available"));
  // A server that is stopping has unloaded the model already.
  const bool unloaded = starts_with(message, "Request for unknown model: '") &&
                        contains(message, "' has no available versions");
  if (unloaded) throw Unavailable(message);
  if (unknown_model) throw ModelNotFound(message);
  // Triton's answer, with the status UNAVAILABLE, if an endpoint needs the control key.
  if (starts_with(message, "This protocol is restricted")) throw NotAllowed(message);
  // gRPC's own words, with several statuses; a retry would be as large.
  if (contains(message, "message larger than max") || contains(message, "metadata size exceeds")) {
    throw InvalidInput("the request is larger than the server allows: " + message, code);
  }
  if (code == Code::unimplemented && contains(message, "grpc-encoding")) {
    throw InvalidInput(
        "the server does not take compressed messages: set options.gzip = false (" + message + ")",
        code);
  }
  if (code == Code::unknown || code == Code::internal) {
    // The model's process died: the request is not at fault, and a reload brings the model back.
    const bool dead_model =
        starts_with(message, "Stub process ") && contains(message, " is not healthy");
    // gRPC's words for a connection that ended in the middle of an answer.
    const bool cut_off =
        starts_with(message, "Stream removed") || starts_with(message, "Received RST_STREAM");
    if (dead_model || cut_off) throw Unavailable(message);
    // Envoy's words for a size beyond its limits.
    if (starts_with(message, "Payload Too Large") ||
        starts_with(message, "Request Header Fields Too Large")) {
      throw InvalidInput(message, code);
    }
    code = of_http(message, code);
  }
  switch (code) {
    case Code::invalid_argument:
    case Code::unimplemented:
      throw InvalidInput(message, code);
    case Code::not_found:
      throw ModelNotFound(message);
    case Code::deadline_exceeded:
      throw DeadlineExceeded(message);
    case Code::unauthenticated:
    case Code::permission_denied:
      throw NotAllowed(message, code);
    // A server that is stopping cancels; this client never does.
    case Code::cancelled:
    case Code::unavailable:
    case Code::resource_exhausted:
      throw Unavailable(message, code);
    default:
      throw PipelineError(message, code);
  }
}

}  // namespace naiad
