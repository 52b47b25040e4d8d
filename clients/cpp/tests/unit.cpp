// What needs no server.
#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <naiad/client.hpp>
#include <naiad/many.hpp>
#include <naiad/pool.hpp>
#include <naiad/schema.hpp>

#include "address.hpp"
#include "shared_memory.hpp"

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
  CHECK(meant<PipelineError>(Code::data_loss, "") == "the server answered DATA_LOSS, no message");
  try {
    throw_status(Code::resource_exhausted, "too large");
  } catch (const Error& error) {
    CHECK(error.code() == Code::resource_exhausted);
    CHECK(std::string(name(error.code())) == "RESOURCE_EXHAUSTED");
  }
}

TEST_CASE("addresses") {
  CHECK(parse_address("gpu").url() == "grpc://gpu:8001");
  CHECK(parse_address("gpu:9").target() == "gpu:9");
  CHECK(parse_address("grpcs://triton.example.org").url() == "grpcs://triton.example.org:443");
  CHECK(parse_address("grpc://[::1]:8001/").target() == "[::1]:8001");
  for (const char* wrong :
       {"", "http://gpu:8000", "gpu:0", "gpu:70000", "gpu:x", "gpu:", ":8001", "grpc://gpu/path"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_address(wrong), InvalidInput);
  }
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
        }) == "/nowhere: no such file, or one that cannot be read");
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
