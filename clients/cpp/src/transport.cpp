#include "transport.hpp"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include "address.hpp"
#include "grpc_service.grpc.pb.h"
#include "shared_memory.hpp"

namespace naiad {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kAlignment = 64;

std::string read_file(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InvalidInput(path + ": no such file, or one that cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::shared_ptr<grpc::ChannelCredentials> credentials(const Address& address, const Tls& tls) {
  const bool given = !(tls.ca_certificate + tls.certificate + tls.private_key).empty();
  if (!address.tls) {
    if (given) {
      throw InvalidInput(address.url() + " is not encrypted, yet has certificates: use grpcs://");
    }
    return grpc::InsecureChannelCredentials();
  }
  if (tls.certificate.empty() != tls.private_key.empty()) {
    throw InvalidInput("certificate and private_key belong together: give both or none");
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read_file(tls.ca_certificate);
  options.pem_cert_chain = read_file(tls.certificate);
  options.pem_private_key = read_file(tls.private_key);
  return grpc::SslCredentials(options);
}

grpc::ChannelArguments arguments(const Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(-1);  // no limit but protobuf's
  arguments.SetMaxReceiveMessageSize(-1);
  // A channel that could not connect fails every call until its own back-off is over, one second
  // at first: our retries would all fall into it.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // Clients of one process share no connection, and so no other's back-off.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (const KeepAlive& pings = options.keep_alive; pings.interval.count() > 0) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(pings.interval.count()));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(pings.timeout.count()));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, pings.without_calls ? 1 : 0);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // 0: any number
  }
  return arguments;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

/// What gRPC says of a connection that could not be made, in the words of the Python client; empty
/// where the status is another.
std::string why_unreachable(const Address& address, const grpc::Status& status) {
  const std::string& details = status.error_message();
  const bool no_host = contains(details, "errors resolving") || contains(details, "DNS resolution");
  if (status.error_code() != grpc::UNAVAILABLE ||
      !(no_host || contains(details, "ailed to connect"))) {
    return "";
  }
  if (no_host) return "no such host is known";
  if (contains(details, "andshake")) return "the TLS handshake failed";
  if (contains(details, "Socket closed") || contains(details, "HTTP/2")) {
    return "it does not speak gRPC; " + address.port + " may be Triton's HTTP port";
  }
  const auto last = details.rfind(": ");
  return last == std::string::npos ? details : details.substr(last + 2);
}

void set(inference::InferParameter& to, const Parameter& value) {
  if (const auto* flag = std::get_if<bool>(&value)) {
    to.set_bool_param(*flag);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    to.set_int64_param(*integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    to.set_double_param(*number);
  } else {
    to.set_string_param(std::get<std::string>(value));
  }
}

inference::ModelInferRequest message_of(const std::string& model, const std::vector<Input>& inputs,
                                        const Call& call) {
  inference::ModelInferRequest message;
  message.set_model_name(model);
  message.set_model_version(call.version);
  message.set_id(call.id);
  for (const Input& input : inputs) {
    auto* tensor = message.add_inputs();
    tensor->set_name(input.name);
    tensor->set_datatype(name(input.type));
    for (const std::int64_t size : input.shape) tensor->add_shape(size);
  }
  for (const std::string& output : call.outputs) message.add_outputs()->set_name(output);
  for (const auto& [key, value] : call.parameters) set((*message.mutable_parameters())[key], value);
  return message;
}

std::vector<Tensor> tensors_of(inference::ModelInferResponse& message) {
  if (message.raw_output_contents_size() != message.outputs_size()) {
    throw PipelineError("the server's answer has no raw data for some of its outputs");
  }
  std::vector<Tensor> outputs;
  for (int i = 0; i < message.outputs_size(); ++i) {
    auto& output = *message.mutable_outputs(i);
    outputs.push_back({std::move(*output.mutable_name()),
                       datatype(output.datatype()),
                       {output.shape().begin(), output.shape().end()},
                       std::move(*message.mutable_raw_output_contents(i))});
  }
  return outputs;
}

std::size_t aligned(std::size_t size) {
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

struct Server::Connection {
  Connection(Address where, const Options& options)
      : address(std::move(where)),
        options(options),
        stub(inference::GRPCInferenceService::NewStub(grpc::CreateCustomChannel(
            address.target(), credentials(address, options.tls), arguments(options)))),
        shares_memory(options.shared_memory) {}

  ~Connection() {
    const Deadline soon{steady_clock::now() + milliseconds(1000), milliseconds(1000)};
    for (const auto& region : regions.take_all()) {
      try {
        forget(*region, soon);
      } catch (const Error&) {
        break;  // the server is gone, and the memory with it
      }
    }
  }

  /// Make a call; throw what its status means.
  template <class Request, class Reply>
  void send(grpc::Status (inference::GRPCInferenceService::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&, Reply*),
            const Request& request, Reply& reply, const Deadline& deadline) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + (deadline.at - steady_clock::now()));
    if (options.gzip) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    for (const auto& [key, value] : options.headers) {
      std::string lower = key;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      context.AddMetadata(lower, value);
    }
    const grpc::Status status = (stub.get()->*method)(&context, request, &reply);
    if (status.ok()) return;
    if (const std::string why = why_unreachable(address, status); !why.empty()) {
      throw Unavailable("no server answers at " + address.url() + " (" + why +
                        "); is `naiad serve` running, and on this port?");
    }
    if (status.error_code() == grpc::DEADLINE_EXCEEDED) {
      std::ostringstream text;
      text << "no answer from " << address.url() << " within "
           << static_cast<double>(deadline.allowed.count()) / 1e3 << " s";
      throw DeadlineExceeded(text.str());
    }
    throw_status(static_cast<Code>(status.error_code()), status.error_message());
  }

  std::vector<Tensor> infer(inference::ModelInferRequest& request, const Deadline& deadline) {
    const auto left = duration_cast<microseconds>(deadline.at - steady_clock::now()).count();
    (*request.mutable_parameters())["timeout"].set_int64_param(std::max<std::int64_t>(left, 1));
    inference::ModelInferResponse reply;
    send(&Stub::ModelInfer, request, reply, deadline);
    return tensors_of(reply);
  }

  /// A region that the server knows, or nullptr where it cannot have one.
  std::unique_ptr<Region> region_of(std::size_t size, const Deadline& deadline) {
    if (auto region = regions.take(size)) return region;
    auto region = std::make_unique<Region>(size);
    inference::SystemSharedMemoryRegisterRequest request;
    request.set_name(region->name());
    request.set_key(region->name());
    request.set_byte_size(region->size());
    inference::SystemSharedMemoryRegisterResponse reply;
    try {
      send(&Stub::SystemSharedMemoryRegister, request, reply, deadline);
    } catch (const Unavailable&) {
      throw;
    } catch (const DeadlineExceeded&) {
      throw;
    } catch (const Error&) {
      shares_memory = false;  // it is on another machine, or does not allow it
      return nullptr;
    }
    region->unlink();  // nothing is left behind, however this process ends from here on
    return region;
  }

  void forget(const Region& region, const Deadline& deadline) {
    inference::SystemSharedMemoryUnregisterRequest request;
    request.set_name(region.name());
    inference::SystemSharedMemoryUnregisterResponse reply;
    send(&Stub::SystemSharedMemoryUnregister, request, reply, deadline);
  }

  using Stub = inference::GRPCInferenceService::Stub;

  const Address address;
  const Options& options;
  std::unique_ptr<Stub> stub;
  std::atomic<bool> shares_memory;
  Regions regions;
};

Server::Server(const std::string& url, const Options& options)
    : url_(parse_address(url).url()),
      connection_(std::make_unique<Connection>(parse_address(url), options)) {}

Server::~Server() = default;

std::vector<Tensor> Server::infer(const std::string& model, const std::vector<Input>& inputs,
                                  const Call& call, const Deadline& deadline) {
  inference::ModelInferRequest request = message_of(model, inputs, call);
  std::size_t size = 0;
  for (const Input& input : inputs) size += aligned(input.bytes.size());
  if (connection_->shares_memory && size > 0) {
    if (auto region = connection_->region_of(size, deadline)) {
      inference::ModelInferRequest shared = request;
      std::size_t offset = 0;
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const std::string_view bytes = inputs[i].bytes;
        if (bytes.empty()) {
          shared.add_raw_input_contents();
          continue;
        }
        std::memcpy(region->data() + offset, bytes.data(), bytes.size());
        auto& parameters = *shared.mutable_inputs(static_cast<int>(i))->mutable_parameters();
        parameters["shared_memory_region"].set_string_param(region->name());
        parameters["shared_memory_offset"].set_int64_param(static_cast<std::int64_t>(offset));
        parameters["shared_memory_byte_size"].set_int64_param(
            static_cast<std::int64_t>(bytes.size()));
        offset += aligned(bytes.size());
      }
      try {
        std::vector<Tensor> outputs = connection_->infer(shared, deadline);
        connection_->regions.put(std::move(region));
        return outputs;
      } catch (const Error& error) {
        // A server that was restarted does not know the region: it gets the message instead, and
        // a new region with the next call.
        if (!contains(error.what(), "shared memory region")) {
          connection_->regions.put(std::move(region));  // the server still has it
          throw;
        }
      }
    }
  }
  if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw InvalidInput("the request is " + std::to_string(size) +
                       " bytes; gRPC carries less than 2 GiB");
  }
  for (const Input& input : inputs) {
    request.add_raw_input_contents(input.bytes.data(), input.bytes.size());
  }
  return connection_->infer(request, deadline);
}

bool Server::ready(const std::string& model, const Deadline& deadline) {
  if (model.empty()) {
    inference::ServerReadyResponse reply;
    connection_->send(&Connection::Stub::ServerReady, inference::ServerReadyRequest(), reply,
                      deadline);
    return reply.ready();
  }
  inference::ModelReadyRequest request;
  request.set_name(model);
  inference::ModelReadyResponse reply;
  connection_->send(&Connection::Stub::ModelReady, request, reply, deadline);
  return reply.ready();
}

std::map<std::string, std::string> Server::parameters(const std::string& model,
                                                      const Deadline& deadline) {
  inference::ModelConfigRequest request;
  request.set_name(model);
  inference::ModelConfigResponse reply;
  connection_->send(&Connection::Stub::ModelConfig, request, reply, deadline);
  std::map<std::string, std::string> parameters;
  for (const auto& [key, value] : reply.config().parameters()) {
    parameters[key] = value.string_value();
  }
  return parameters;
}

}  // namespace naiad
