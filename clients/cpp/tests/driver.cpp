// Driver of tests/e2e/test_cpp.py. Usage: driver COMMAND [--option VALUE]...
//
//   outputs   each event of --file one by one, every output's bytes into the folder --to
//   every     each datatype there and back, by the generated header
//   threads   --threads threads with --events events each, from --file
//   run       --events events of --file, several at a time, whatever fails
//   error     the first event of --file; prints the error's code and message
//   hostile   the first event of --file, --events times; counts readable answers
//   fallback  the first event of --file; prints who answered

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <naiad/client.hpp>
#include <naiad/events.hpp>
#include <naiad/every_type.hpp>
#include <naiad/gat.hpp>
#include <naiad/many.hpp>
#include <naiad/nugraph3.hpp>
#include <naiad/simple.hpp>

namespace {

using namespace naiad::models;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

using Arguments = std::multimap<std::string, std::string>;

std::string one(const Arguments& arguments, const std::string& name, std::string otherwise = "") {
  const auto found = arguments.find(name);
  return found == arguments.end() ? otherwise : found->second;
}

long count(const Arguments& arguments, const std::string& name, long otherwise) {
  return std::stol(one(arguments, name, std::to_string(otherwise)));
}

naiad::Options options_of(const Arguments& arguments) {
  naiad::Options options;
  options.servers.clear();
  const auto [first, last] = arguments.equal_range("url");
  for (auto url = first; url != last; ++url) options.servers.push_back(url->second);
  options.timeout = milliseconds(count(arguments, "timeout-ms", 60'000));
  options.try_timeout = milliseconds(count(arguments, "try-timeout-ms", 0));
  if (arguments.count("rounds") > 0) {
    options.retry.rounds = static_cast<int>(count(arguments, "rounds", 0));
  }
  const naiad::Retry usual;
  options.retry.first_wait =
      milliseconds(count(arguments, "first-wait-ms", usual.first_wait.count()));
  options.retry.longest_wait =
      milliseconds(count(arguments, "longest-wait-ms", usual.longest_wait.count()));
  options.api_key = one(arguments, "api-key");
  options.tls = {one(arguments, "ca"), one(arguments, "certificate"), one(arguments, "key")};
  options.gzip = arguments.count("gzip") > 0;
  options.shared_memory = arguments.count("shared-memory") > 0;
  options.keep_alive.interval = milliseconds(count(arguments, "keep-alive-ms", 0));
  options.keep_alive.timeout = milliseconds(count(arguments, "keep-alive-ms", 0));
  return options;
}

/// The events of a file, as requests.
std::vector<Nugraph3Input> requests(const Arguments& arguments) {
  const naiad::EventFile file(one(arguments, "file"));
  std::vector<Nugraph3Input> result;
  for (std::size_t i = 0; i < file.size(); ++i) {
    result.push_back(naiad::request_of<Nugraph3Input>(file.read(i)));
  }
  return result;
}

/// Whether two answers to one event are equal, up to the effect of its neighbours in a batch.
bool close(const Nugraph3Output& a, const Nugraph3Output& b) {
  const auto same = [](const std::vector<float>& left, const std::vector<float>& right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](float x, float y) { return std::abs(x - y) < 1e-2F; });
  };
  return same(a.e_evt.data, b.e_evt.data) && same(a.x_semantic_u.data, b.x_semantic_u.data) &&
         same(a.x_filter_v, b.x_filter_v) && same(a.v_evt.data, b.v_evt.data) &&
         a.x_semantic_y.shape == b.x_semantic_y.shape && a.unknown_hits == b.unknown_hits;
}

std::vector<Nugraph3Output> answers(const Nugraph3& model,
                                    const std::vector<Nugraph3Input>& events) {
  std::vector<Nugraph3Output> result;
  for (const Nugraph3Input& event : events) result.push_back(model.infer(event));
  return result;
}

int outputs(const Arguments& arguments) {
  naiad::Client client(options_of(arguments));
  int number = 0;
  for (const Nugraph3Input& event : requests(arguments)) {
    for (const naiad::Tensor& tensor : client.infer(Nugraph3Input::model, event.tensors())) {
      std::ofstream file(one(arguments, "to") + "/" + std::to_string(number) + "." + tensor.name,
                         std::ios::binary);
      file << naiad::name(tensor.type) << " " << naiad::text(tensor.shape) << "\n" << tensor.bytes;
    }
    ++number;
  }
  return 0;
}

int every(const Arguments& arguments) {
  naiad::Client client(options_of(arguments));
  EveryTypeInput input;
  input.t_bool = {1, 0};
  input.uint8 = {0, 255};
  input.uint16 = {0, 65535};
  input.uint32 = {0, 4294967295U};
  input.uint64 = {0, ~std::uint64_t{0}};
  input.int8 = {-128, 127};
  input.int16 = {-32768, 32767};
  input.int32 = {-2147483647 - 1, 2147483647};
  input.int64 = {INT64_MIN, INT64_MAX};
  input.float16 = {{0x3c00}, {0xfbff}};  // 1 and -65504
  input.float32 = {-0.0F, 3.4e38F};
  input.float64 = {1e-300, 1.0 / 3};
  input.bytes = {std::string("a\0b", 3), ""};
  input.table = {{2, 2}, {1, 2, 3, 4}};
  input.a_b_name = {{3}, {5, 6, 7}};
  const EveryType model(client);
  const EveryTypeOutput output = model.infer(input);
  input.extra = std::vector<std::int32_t>{1, 2, 3, 4};
  const bool same = output.t_bool == input.t_bool && output.uint8 == input.uint8 &&
                    output.uint16 == input.uint16 && output.uint32 == input.uint32 &&
                    output.uint64 == input.uint64 && output.int8 == input.int8 &&
                    output.int16 == input.int16 && output.int32 == input.int32 &&
                    output.int64 == input.int64 && output.float16 == input.float16 &&
                    output.float32 == input.float32 && output.float64 == input.float64 &&
                    output.bytes == input.bytes && output.table.shape == input.table.shape &&
                    output.table.data == input.table.data &&
                    output.a_b_name.data == input.a_b_name.data && output.extra.empty() &&
                    model.infer(input).extra == *input.extra;

  SimpleInput numbers;
  numbers.INPUT0 = {{1, 16}, std::vector<std::int32_t>(16, 7)};
  numbers.INPUT1 = {{1, 16}, std::vector<std::int32_t>(16, 3)};
  const SimpleOutput sums = Simple(client).infer(numbers);
  std::printf("%s, %d, %d\n", same ? "same" : "different", sums.OUTPUT0(0, 15), sums.OUTPUT1(0, 0));
  return 0;
}

int threads(const Arguments& arguments) {
  naiad::Client client(options_of(arguments));
  const Nugraph3 model(client);
  const std::vector<Nugraph3Input> events = requests(arguments);
  const std::vector<Nugraph3Output> right = answers(model, events);
  const long each = count(arguments, "events", 1000);
  std::atomic<long> answered{0}, wrong{0}, failed{0};
  std::vector<std::thread> threads;
  const auto began = steady_clock::now();
  for (long t = 0; t < count(arguments, "threads", 8); ++t) {
    threads.emplace_back([&, t] {
      for (long i = 0; i < each; ++i) {
        const std::size_t event = static_cast<std::size_t>(t * each + i) % events.size();
        try {
          // Every other thread takes its answers by futures.
          const Nugraph3Output output =
              t % 2 == 0 ? model.infer(events[event]) : model.infer_async(events[event]).get();
          ++answered;
          if (!close(output, right[event])) ++wrong;
        } catch (const naiad::Error& error) {
          ++failed;
          std::fprintf(stderr, "%s\n", error.what());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = steady_clock::now() - began;
  std::printf("answered %ld, wrong %ld, failed %ld\n", answered.load(), wrong.load(),
              failed.load());
  std::fprintf(stderr, "%.1f s\n", took.count());
  return 0;
}

int run(const Arguments& arguments) {
  naiad::Client client(options_of(arguments));
  const Nugraph3 model(client);
  const std::vector<Nugraph3Input> events = requests(arguments);
  const std::vector<Nugraph3Output> right = answers(model, events);
  const long all = count(arguments, "events", 100);
  long sent = 0, taken = 0, wrong = 0;
  naiad::ask_many(
      [&] { return sent < all ? std::optional(sent++) : std::nullopt; },
      [&](long event) {
        return model.infer_async(events[static_cast<std::size_t>(event) % events.size()]);
      },
      [&](std::future<Nugraph3Output> answer) {
        const std::size_t event = static_cast<std::size_t>(taken) % events.size();
        if (!close(answer.get(), right[event])) ++wrong;
        std::printf("answered %ld, wrong %ld\n", ++taken, wrong);
        std::fflush(stdout);
      },
      client.options().max_in_flight);
  return 0;
}

int error(const Arguments& arguments) {
  naiad::Call call;
  call.parameters["strict"] = true;
  const auto began = steady_clock::now();
  try {
    naiad::Client client(options_of(arguments));
    Nugraph3(client, one(arguments, "model", Nugraph3Input::model))
        .infer(requests(arguments).front(), call);
    std::printf("none\n");
  } catch (const naiad::Error& error) {
    std::printf("%s: %s\n", naiad::name(error.code()), error.what());
  }
  std::fprintf(stderr, "%ld\n", static_cast<long>((steady_clock::now() - began) / milliseconds(1)));
  return 0;
}

template <class T>
std::size_t read(const naiad::Tensor& tensor) {
  try {
    return tensor.values<T>().size();
  } catch (const naiad::PipelineError&) {
    return 0;
  }
}

int hostile(const Arguments& arguments) {
  naiad::Client client(options_of(arguments));
  const Nugraph3 model(client);
  const Nugraph3Input event = requests(arguments).front();
  long read_through = 0, refused = 0;
  std::size_t values = 0;
  for (long i = 0; i < count(arguments, "events", 100); ++i) {
    try {
      if (i % 2 == 0) {
        values += model.infer(event).x_semantic_y.data.size();
      } else {
        for (const naiad::Tensor& tensor : client.infer(model.name(), event.tensors())) {
          values += read<std::uint8_t>(tensor) + read<naiad::Half>(tensor) + read<float>(tensor) +
                    read<std::int64_t>(tensor) + read<std::string>(tensor);
        }
      }
      ++read_through;
    } catch (const naiad::Error&) {
      ++refused;
    }
  }
  std::printf("%s, read %ld, refused %ld\n", values > 0 ? "values" : "nothing", read_through,
              refused);
  return 0;
}

int fallback(const Arguments& arguments) {
  naiad::Client client(options_of(arguments));
  Nugraph3 model(client);
  model.set_fallback([](const Nugraph3Input& input, const naiad::Error& error) {
    std::printf("%s, %zu hits: ", naiad::name(error.code()), input.hit_table_hit_id.size());
    return Nugraph3Output{};
  });
  const auto event = requests(arguments).front();
  std::printf("%s\n", model.infer(event).e_evt.data.empty() ? "fallback" : "server");
  std::printf("%s\n", model.infer_async(event).get().e_evt.data.empty() ? "fallback" : "server");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, int (*)(const Arguments&)> commands{
      {"outputs", outputs}, {"every", every},     {"threads", threads},  {"run", run},
      {"error", error},     {"hostile", hostile}, {"fallback", fallback}};
  Arguments arguments;
  for (int i = 2; i + 1 < argc; i += 2) {
    arguments.emplace(std::string(argv[i]).substr(2), argv[i + 1]);
  }
  return commands.at(argv[1])(arguments);
}
