#include "transport.hpp"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstring>
#include <limits>
#include <sstream>
#include <thread>

#include "address.hpp"
#include "control_key.hpp"
#include "credentials.hpp"
#include "grpc_service.grpc.pb.h"
#include "shared_memory.hpp"
#include "text.hpp"
#include "unreachable.hpp"

namespace naiad {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kAlignment = 64;

grpc::ChannelArguments arguments(const Address& address, const Options& options) {
  grpc::ChannelArguments arguments;
  // A proxy in the environment is for other machines.
  if (address.is_local()) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // HTTP/2 servers refuse a socket's path as host name.
  if (address.is_socket()) arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  arguments.SetMaxSendMessageSize(-1);  // no limit but protobuf's
  arguments.SetMaxReceiveMessageSize(-1);
  // A channel that could not connect fails every call until its own back-off is over, at first one
  // second, in which all our retries would fall.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // gRPC's own retry of a call after a GOAWAY can go on for ever (seen in Python's gRPC 1.85).
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Clients of one process share no connection, and so no back-off.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (const KeepAlive& pings = options.keep_alive; pings.interval.count() > 0) {
    const auto milliseconds_of = [](milliseconds time) {
      return static_cast<int>(std::min<milliseconds::rep>(time.count(), INT_MAX));
    };
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds_of(pings.interval));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds_of(pings.timeout));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, pings.without_calls ? 1 : 0);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // 0: any number
  }
  return arguments;
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
    const DataType type = datatype(output.datatype());
    outputs.push_back({std::move(*output.mutable_name()),
                       type,
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
        channel(grpc::CreateCustomChannel(address.target(),
                                          channel_credentials(address, options.tls),
                                          arguments(address, options))),
        stub(inference::GRPCInferenceService::NewStub(channel)),
        metadata(naiad::metadata(address, options)),
        ca(ca_certificate(options.tls)),
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

  /// Make a call; throw the error of its status.
  template <class Request, class Reply>
  void send(grpc::Status (inference::GRPCInferenceService::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&, Reply*),
            const Request& request, Reply& reply, const Deadline& deadline,
            const std::string& control_key = "") {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + (deadline.at - steady_clock::now()));
    if (options.gzip) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
    if (!control_key.empty()) context.AddMetadata(kControlKeyHeader, control_key);
    const grpc::Status status = (stub.get()->*method)(&context, request, &reply);
    if (status.ok()) return;
    if (status.error_code() == grpc::UNAVAILABLE) {
      const std::string message = unreachable(address, ca, status.error_message());
      if (!message.empty()) throw Unavailable(message);
      // gRPC's words for PEM files that OpenSSL cannot use.
      if (address.tls && contains(status.error_message(), "empty address list")) {
        throw InvalidInput("the certificates for " + address.url() +
                           " cannot be used: one is damaged, or private_key is not that of "
                           "certificate");
      }
    }
    if (status.error_code() == grpc::DEADLINE_EXCEEDED) {
      std::ostringstream text;
      text << "no answer from " << address.url() << " within "
           << static_cast<double>(deadline.allowed.count()) / 1e3 << " s";
      throw DeadlineExceeded(text.str());
    }
    std::string message = status.error_message();
    if (status.error_code() == grpc::UNAUTHENTICATED && !has_api_key(metadata)) {
      if (message.empty()) message = "the server requires authentication";
      message += "; no API key was sent: set options.api_key, or NAIAD_API_KEY in the environment";
    }
    throw_status(static_cast<Code>(status.error_code()), std::move(message));
  }

  std::vector<Tensor> infer(inference::ModelInferRequest& request, const Deadline& deadline) {
    const auto left = duration_cast<microseconds>(deadline.at - steady_clock::now()).count();
    (*request.mutable_parameters())["timeout"].set_int64_param(std::max<std::int64_t>(left, 1));
    inference::ModelInferResponse reply;
    send(&Stub::ModelInfer, request, reply, deadline);
    return tensors_of(reply);
  }

  /// A region registered with the server, or nullptr if it cannot have one.
  std::unique_ptr<Region> region_of(std::size_t size, const Deadline& deadline) {
    if (auto region = regions.take(size)) return region;
    std::unique_ptr<Region> region;
    try {
      region = std::make_unique<Region>(size);
    } catch (const Unavailable&) {
      return nullptr;  // this machine has no more of it
    }
    inference::SystemSharedMemoryRegisterRequest request;
    request.set_name(region->name());
    request.set_key(region->name());
    request.set_byte_size(region->size());
    inference::SystemSharedMemoryRegisterResponse reply;
    try {
      send(&Stub::SystemSharedMemoryRegister, request, reply, deadline, find_control_key(address));
    } catch (const Unavailable&) {
      throw;
    } catch (const DeadlineExceeded&) {
      throw;
    } catch (const Error&) {
      shares_memory = false;  // it is on another machine, or its key is unknown
      return nullptr;
    }
    region->unlink();  // nothing is left, however this process ends
    return region;
  }

  void forget(const Region& region, const Deadline& deadline) {
    inference::SystemSharedMemoryUnregisterRequest request;
    request.set_name(region.name());
    inference::SystemSharedMemoryUnregisterResponse reply;
    const std::string key = find_control_key(address);
    for (;;) {
      try {
        return send(&Stub::SystemSharedMemoryUnregister, request, reply, deadline, key);
      } catch (const Error& error) {
        // Triton (24.10) holds a region until after it has sent the answer; until then it refuses.
        if (!contains(error.what(), "currently in use")) throw;
        if (steady_clock::now() >= deadline.at) throw;
        std::this_thread::sleep_for(milliseconds(1));
      }
    }
  }

  using Stub = inference::GRPCInferenceService::Stub;

  const Address address;
  const Options& options;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<Stub> stub;
  const std::vector<std::pair<std::string, std::string>> metadata;
  const std::string ca;
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
        // A restarted server does not know the region: it gets the message instead, and a new
        // region with the next call.
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

bool Server::is_connected() const {
  return connection_->channel->GetState(false) == GRPC_CHANNEL_READY;
}

bool Server::connect(steady_clock::time_point until) {
  return connection_->channel->WaitForConnected(std::chrono::system_clock::now() +
                                                (until - steady_clock::now()));
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
