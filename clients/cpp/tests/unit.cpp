// Tests without a server.
#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <naiad/client.hpp>
#include <naiad/many.hpp>
#include <naiad/pool.hpp>
#include <naiad/schema.hpp>

#include "address.hpp"
#include "control_key.hpp"
#include "shared_memory.hpp"
#include "unreachable.hpp"

using namespace naiad;
using namespace std::chrono_literals;

namespace {

const Schema kGraph{{"x", DataType::FP32, {"nodes", 2}},
                    {"edge_index", DataType::INT64, {2, "edges"}},
                    {"weight", DataType::FP32, {"edges"}, true}};

struct Graph {
  Array<float> x{{3, 2}, std::vector<float>(6)};
  Array<std::int64_t> edges{{2, 4}, std::vector<std::int64_t>(8)};
  std::vector<Input> inputs() const {
    return {Input::of("x", DataType::FP32, x.data, x.shape),
            Input::of("edge_index", DataType::INT64, edges.data, edges.shape)};
  }
};

template <class Kind, class Act>
std::string refusal(Act act) {
  try {
    act();
  } catch (const Kind& error) {
    return error.what();
  }
  return "";
}

std::string refused(const Graph& graph) {
  return refusal<InvalidInput>([&] { check_inputs(kGraph, graph.inputs()); });
}

template <class Kind>
std::string meant(Code code, const std::string& message) {
  return refusal<Kind>([&] { throw_status(code, message); });
}

}  // namespace

TEST_CASE("inputs that fit the schema pass") {
  Graph graph;
  CHECK_NOTHROW(check_inputs(kGraph, graph.inputs()));
  const std::vector<float> weight(4);
  auto inputs = graph.inputs();
  inputs.push_back(Input::of("weight", DataType::FP32, weight, {4}));
  CHECK_NOTHROW(check_inputs(kGraph, inputs));
}

TEST_CASE("inputs that do not fit are refused with what would be right") {
  Graph graph;
  SUBCASE("rank") {
    graph.x.shape = {6};
    CHECK(refused(graph) == "x has shape [6]; it must be [nodes, 2]");
  }
  SUBCASE("fixed size") {
    graph.x.shape = {2, 3};
    CHECK(refused(graph) == "x has shape [2, 3]; it must be [nodes, 2]");
  }
  SUBCASE("values") {
    graph.x.data.pop_back();
    CHECK(refused(graph) == "x has 5 values; shape [3, 2] needs 6");
  }
  SUBCASE("negative") {
    graph.x.shape = {-3, 2};
    CHECK(refused(graph) == "shape [-3, 2] has a negative size");
  }
  SUBCASE("overflow") {
    graph.edges.shape = {2, std::int64_t{1} << 62};
    CHECK_FALSE(refused(graph).empty());
  }
  const auto refused_all = [](std::vector<Input> inputs) {
    return refusal<InvalidInput>([&] { check_inputs(kGraph, inputs); });
  };
  SUBCASE("equal names, unequal sizes") {
    auto inputs = graph.inputs();
    const std::vector<float> weight(5);
    inputs.push_back(Input::of("weight", DataType::FP32, weight, {5}));
    CHECK(refused_all(inputs) == "weight has 5 edges, but edge_index has 4; they must be equal");
  }
  SUBCASE("datatype") {
    auto inputs = graph.inputs();
    inputs[0].type = DataType::INT32;
    CHECK(refused_all(inputs) == "x is INT32; it must be FP32");
  }
  SUBCASE("missing") {
    auto inputs = graph.inputs();
    inputs.pop_back();
    CHECK(refused_all(inputs) == "input 'edge_index' is missing; it must be INT64 [2, edges]");
  }
  SUBCASE("unknown") {
    auto inputs = graph.inputs();
    inputs[1].name = "edges";
    CHECK(refused_all(inputs) == "unknown input 'edges'");
  }
}

TEST_CASE("outputs must be there and as the schema says, unless others were asked for") {
  const Schema schema{{"score", DataType::FP32, {"nodes"}}, {"count", DataType::INT32, {1}}};
  const Tensor score{"score", DataType::FP32, {1}, std::string(4, '\0')};
  CHECK_NOTHROW(check_outputs(schema, {score}, {"score"}));
  CHECK_THROWS_AS(check_outputs(schema, {score}, {}), PipelineError);
  Tensor wrong = score;
  wrong.type = DataType::INT32;
  CHECK_THROWS_AS(check_outputs(schema, {wrong}, {"score"}), PipelineError);
}

TEST_CASE("values of an answer are read, and never past its bytes") {
  Tensor tensor{"x", DataType::INT32, {2}, std::string("\1\0\0\0\2\0\0\0", 8)};
  CHECK(tensor.values<std::int32_t>() == std::vector<std::int32_t>{1, 2});
  CHECK_THROWS_AS(tensor.values<std::int64_t>(), PipelineError);
  tensor.shape = {3};
  CHECK_THROWS_AS(tensor.values<std::int32_t>(), PipelineError);
  tensor = {"empty", DataType::FP32, {0, 7}, ""};
  CHECK(tensor.values<float>().empty());
}

TEST_CASE("strings survive the way there and back, and damaged ones are refused") {
  const std::vector<std::string> words{"", std::string("nul\0inside", 10), "äöü"};
  const Input input = Input::of("words", DataType::BYTES, words, {3});
  Tensor tensor{"words", DataType::BYTES, {3}, std::string(input.bytes)};
  CHECK(tensor.values<std::string>() == words);
  tensor.bytes.pop_back();
  CHECK_THROWS_AS(tensor.values<std::string>(), PipelineError);
  tensor.bytes = std::string(input.bytes) + "x";
  CHECK_THROWS_AS(tensor.values<std::string>(), PipelineError);
  tensor = {"words", DataType::BYTES, {1}, "\xff\xff\xff\xff"};
  CHECK_THROWS_AS(tensor.values<std::string>(), PipelineError);
}

TEST_CASE("a server's status becomes the exception that it means") {
  CHECK(
      meant<InvalidInput>(Code::invalid_argument,
                          "[request id: 1/2/3] Failed to process the request(s) for model "
                          "'nugraph3_0_0', message: x is 5; it must be 0\n\nAt:\n  /a.py(3): f") ==
      "x is 5; it must be 0");
  CHECK_FALSE(
      meant<ModelNotFound>(Code::not_found, "Request for unknown model: 'a' is not found").empty());
  CHECK_FALSE(meant<Unavailable>(Code::not_found,
                                 "Request for unknown model: 'a' has no available versions")
                  .empty());
  CHECK_FALSE(meant<Unavailable>(Code::internal, "Stub process 'a_0' is not healthy.").empty());
  CHECK_FALSE(meant<Unavailable>(Code::cancelled, "ends").empty());
  CHECK_FALSE(meant<DeadlineExceeded>(Code::deadline_exceeded, "late").empty());
  CHECK(meant<PipelineError>(Code::data_loss, "") ==
        "the server answered DATA_LOSS without a message");
  CHECK_FALSE(meant<Unavailable>(Code::unknown, "Stream removed").empty());
  CHECK_FALSE(meant<InvalidInput>(Code::unknown, "Payload Too Large").empty());
  CHECK_FALSE(meant<InvalidInput>(Code::unimplemented, "method not found").empty());
}

TEST_CASE("a refusal is no reason to try again, and a full server is one") {
  CHECK(meant<NotAllowed>(Code::unauthenticated, "no key") == "no key");
  CHECK(meant<NotAllowed>(Code::permission_denied, "not this model") == "not this model");
  CHECK_FALSE(meant<NotAllowed>(Code::unavailable,
                                "This protocol is restricted, expecting header "
                                "'triton-grpc-protocol-naiad-control-key'")
                  .empty());
  CHECK_FALSE(meant<NotAllowed>(Code::unknown, "Received http2 header with status: 403").empty());
  CHECK(meant<Unavailable>(Code::resource_exhausted, "50 requests a second") ==
        "50 requests a second");
  CHECK_FALSE(
      meant<InvalidInput>(Code::resource_exhausted, "Received message larger than max (9 vs. 4)")
          .empty());
  CHECK(meant<InvalidInput>(Code::unimplemented, "no grpc-encoding here") ==
        "the server does not take compressed messages: set options.gzip = false (no grpc-encoding "
        "here)");
  try {
    throw_status(Code::unauthenticated, "who are you");
  } catch (const Error& error) {
    CHECK(error.code() == Code::unauthenticated);
    CHECK(std::string(name(error.code())) == "UNAUTHENTICATED");
  }
}

TEST_CASE("addresses") {
  CHECK(parse_address("gpu").url() == "grpc://gpu:8001");
  CHECK(parse_address("gpu:9").target() == "gpu:9");
  CHECK(parse_address("grpcs://triton.example.org").url() == "grpcs://triton.example.org:443");
  CHECK(parse_address("grpc://[::1]:8001/").target() == "[::1]:8001");
  for (const char* wrong : {"", "http://gpu:8000", "gpu:0", "gpu:70000", "gpu:x", "gpu:", ":8001",
                            "grpc://gpu/path", "::1", "unix:", "unix://", "unix://host/path"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_address(wrong), InvalidInput);
  }
}

TEST_CASE("Unix sockets are addresses, whatever their path") {
  CHECK(parse_address("unix:naiad.sock").socket == "naiad.sock");
  CHECK(parse_address("unix:/run/naiad:8001").url() == "unix:/run/naiad:8001");
  CHECK(parse_address("unix:///run/naiad").url() == "unix:/run/naiad");
  CHECK(parse_address("unix:/a b%").target() == "unix:/a%20b%25");
  CHECK(parse_address("unix:" + std::string(107, 'a')).is_local());
  CHECK(refusal<InvalidInput>([] {
          parse_address("unix:" + std::string(108, 'a'));
        }).find("at most 107") != std::string::npos);
}

TEST_CASE("what is on this machine is known by its address") {
  for (const char* url : {"localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:1", "[::1]:8001",
                          "[::ffff:127.0.0.1]:1", "grpcs://localhost:1", "unix:a"}) {
    CAPTURE(url);
    CHECK(parse_address(url).is_local());
  }
  for (const char* url : {"gpu", "10.0.0.1", "[::2]:1", "[2001:db8::1]:1", "127.0.0.1.example.org",
                          "localhost.example.org", "[::ffff:10.0.0.1]:1", "[::]:1", "0.0.0.0:1"}) {
    CAPTURE(url);
    CHECK_FALSE(parse_address(url).is_local());
  }
}

TEST_CASE("a key goes to no other machine unencrypted, and is in no message") {
  Options options;
  options.api_key = "open-sesame";
  const auto refused_at = [&](const std::string& url) {
    options.servers = {url};
    return refusal<InvalidInput>([&] { Client client(options); });
  };
  for (const char* fine : {"localhost:1", "[::1]:1", "unix:naiad.sock", "grpcs://gpu:1"}) {
    CHECK(refused_at(fine).empty());
  }
  CHECK(refused_at("gpu:1").find("use grpcs://") != std::string::npos);
  CHECK(refused_at("gpu:1").find("sesame") == std::string::npos);
  for (const char* wrong : {"open\nsesame", " sesame", "s\xc3\xa9same"}) {
    options.api_key = wrong;
    CHECK(refused_at("localhost:1").find("api_key has") == 0);
    CHECK(refused_at("localhost:1").find("same") == std::string::npos);
  }
}

TEST_CASE("a header that cannot be sent is refused before it ends the process") {
  const auto refused_header = [](const std::string& name, const std::string& value) {
    Options options;
    options.headers = {{name, value}};
    return refusal<InvalidInput>([&] { Client client(options); });
  };
  CHECK(refused_header("Authorization", "Bearer x").empty());
  CHECK(refused_header("trace-bin", std::string("\0\xff", 2)).empty());
  CHECK_FALSE(refused_header("authorization", "Bearer x\r\nx-api-key: y").empty());
  CHECK_FALSE(refused_header("author ization", "x").empty());
  CHECK_FALSE(refused_header("grpc-timeout", "1S").empty());
  CHECK_FALSE(refused_header("", "x").empty());
}

TEST_CASE("the control key is that of the environment, or of this user's file") {
  char path[] = "/tmp/naiad-unit-XXXXXX";
  REQUIRE(mkdtemp(path) != nullptr);
  const std::string folder = path;
  REQUIRE(setenv("XDG_RUNTIME_DIR", path, 1) == 0);
  unsetenv("NAIAD_CONTROL_KEY");
  std::filesystem::create_directories(folder + "/naiad/control");
  const auto write = [](const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
  };
  write(folder + "/naiad/control/8001.key", "of-the-port\n");
  write(folder + "/socket.key", "of-the-socket\n");
  write(folder + "/bad.key", "line\nline\n");
  REQUIRE(mkfifo((folder + "/pipe.key").c_str(), 0600) == 0);
  const auto key = [](const std::string& url) { return find_control_key(parse_address(url)); };
  CHECK(key("localhost:8001") == "of-the-port");
  CHECK(key("[::1]:8001") == "of-the-port");
  CHECK(key("localhost:8002").empty());
  CHECK(key("gpu:8001").empty());
  CHECK(key("unix:" + folder + "/socket") == "of-the-socket");
  CHECK(key("unix:" + folder + "/bad").empty());
  CHECK(key("unix:" + folder + "/pipe").empty());
  if (getuid() == 0) {
    REQUIRE(chown((folder + "/socket.key").c_str(), 65534, 65534) == 0);
    CHECK(key("unix:" + folder + "/socket").empty());
  }
  setenv("NAIAD_CONTROL_KEY", "of-the-environment", 1);
  CHECK(key("localhost:8001") == "of-the-environment");
  CHECK(key("grpcs://gpu:8001") == "of-the-environment");
  CHECK(key("gpu:8001").empty());  // another machine, without encryption
  unsetenv("NAIAD_CONTROL_KEY");
  unsetenv("XDG_RUNTIME_DIR");
  std::filesystem::remove_all(folder);
}

TEST_CASE("an error elsewhere names the proxy, without its password") {
  const std::string details = "failed to connect to all addresses; last error: UNKNOWN: refused";
  const auto said = [&](const std::string& url) {
    return unreachable(parse_address(url), "", details);
  };
  setenv("http_proxy", "http://me:secret@proxy.site:3128", 1);
  setenv("no_proxy", "localhost, .inside", 1);
  CHECK(said("gpu:8001").find("proxy.site:3128 (http_proxy); add gpu to no_proxy") !=
        std::string::npos);
  CHECK(said("gpu:8001").find("secret") == std::string::npos);
  for (const char* url : {"localhost:8001", "gpu.inside:8001", "unix:naiad.sock"}) {
    CHECK(said(url).find("proxy") == std::string::npos);
  }
  unsetenv("http_proxy");
  unsetenv("no_proxy");
}

TEST_CASE("options that contradict themselves are refused") {
  const auto refused_options = [](auto change) {
    Options options;
    change(options);
    return refusal<InvalidInput>([&] { Client client(options); });
  };
  CHECK_FALSE(refused_options([](Options& o) { o.servers.clear(); }).empty());
  CHECK_FALSE(refused_options([](Options& o) { o.timeout = 0ms; }).empty());
  CHECK_FALSE(refused_options([](Options& o) { o.max_in_flight = 0; }).empty());
  CHECK_FALSE(refused_options([](Options& o) { o.retry.rounds = -1; }).empty());
  CHECK_FALSE(refused_options([](Options& o) { o.tls.ca_certificate = "/nowhere"; }).empty());
  CHECK_FALSE(refused_options([](Options& o) {
                o.servers = {"grpcs://a"};
                o.tls.certificate = "client.pem";
              }).empty());
  CHECK(refused_options([](Options& o) {
          o.servers = {"grpcs://a"};
          o.tls.ca_certificate = "/nowhere";
        }) == "/nowhere: no such file, or it cannot be read");
}

TEST_CASE("without a server, further rounds are made with growing waits, within the time") {
  Options options;
  options.servers = {"127.0.0.1:1", "127.0.0.1:2"};
  options.retry = {2, 40ms, 60ms};
  Client client(options);
  auto began = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(client.infer("m", {}), Unavailable);
  CHECK(std::chrono::steady_clock::now() - began >= 100ms);  // 40 and then 60
  CHECK_FALSE(client.ready());

  options.retry = {1000, 10ms, 20ms};
  options.timeout = 300ms;
  Client hasty(options);
  began = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(hasty.infer("m", {}), Error);
  CHECK(std::chrono::steady_clock::now() - began < 5s);
}

TEST_CASE("a pool has no more tasks under way than its bound, and finishes all") {
  constexpr int bound = 3;
  std::atomic<int> now{0}, most{0}, done{0};
  {
    Pool pool(bound);
    for (int i = 0; i < 50; ++i) {
      pool.run([&] {
        const int running = ++now;
        for (int seen = most; running > seen && !most.compare_exchange_weak(seen, running);) {
        }
        std::this_thread::sleep_for(1ms);
        --now;
        ++done;
      });
    }
  }
  CHECK(done == 50);
  CHECK(most <= bound);
  CHECK(most > 1);
}

TEST_CASE("a future of the client has what its task returned or threw") {
  Client client(Options{});
  CHECK(client.submit([] { return 7; }).get() == 7);
  auto failing = client.submit([]() -> int { throw InvalidInput("no"); });
  CHECK_THROWS_AS(failing.get(), InvalidInput);
}

TEST_CASE("many questions are answered in order, each once, few at a time") {
  Client client(Options{});
  int next = 0, under_way = 0, most = 0;
  std::vector<int> taken;
  ask_many([&]() -> std::optional<int> { return next < 40 ? std::optional(next++) : std::nullopt; },
           [&](int item) {
             most = std::max(most, ++under_way);
             return client.submit([item] {
               std::this_thread::sleep_for(std::chrono::milliseconds(item % 3));
               return item;
             });
           },
           [&](std::future<int> answer) {
             --under_way;
             taken.push_back(answer.get());
           },
           4);
  REQUIRE(taken.size() == 40);
  for (int i = 0; i < 40; ++i) CHECK(taken[static_cast<std::size_t>(i)] == i);
  CHECK(most == 4);
}

TEST_CASE("shared memory is used again, and gone at the end") {
  Regions regions;
  std::string name;
  {
    auto region = std::make_unique<Region>(100'000);
    CHECK(region->size() >= 100'000);
    region->data()[region->size() - 1] = 'x';
    name = region->name();
    regions.put(std::move(region));
  }
  CHECK(regions.take(1'000'000) == nullptr);
  auto again = regions.take(50'000);
  REQUIRE(again != nullptr);
  CHECK(again->name() == name);
  again->unlink();
  CHECK(again->data()[again->size() - 1] == 'x');
}
