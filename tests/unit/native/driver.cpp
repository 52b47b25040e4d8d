// Lets Python tests drive the native backend's batcher, its cost model, its merging, its reader of
// JSON, its writer of messages and its base64: `driver queue`, `driver costs`, `driver merge`,
// `driver threads`, `driver json`, `driver sendable`, `driver encode`, `driver decode`, with the input on standard
// input.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base64.h"
#include "batcher.h"
#include "cores.h"
#include "indices.h"
#include "json.h"
#include "text.h"

namespace {

naiad::Contract some_contract() {
  std::string line;
  std::getline(std::cin, line);
  return naiad::Contract(naiad::Json::parse(line));
}

naiad::Sizes some_sizes(const naiad::Contract& contract) {
  naiad::Sizes sizes(contract.dims.size());
  for (auto& size : sizes) std::cin >> size;
  return sizes;
}

std::atomic<naiad::Clock::time_point> now;

struct Item {
  int number;
  naiad::Sizes sizes;
  naiad::Clock::time_point arrived = now;
  int64_t priority = 0;
};

int64_t steps = 0;  // looks at items and moves of their owners

struct CountingPointer {
  CountingPointer(Item* item = nullptr) : item(item) {}
  Item* operator->() const { return ++steps, item; }
  explicit operator bool() const { return item != nullptr; }
  bool operator==(const CountingPointer& other) const { return item == other.item; }
  bool operator!=(const CountingPointer& other) const { return item != other.item; }
  Item* item;
};

}  // namespace

template <>
struct std::default_delete<Item> {
  using pointer = CountingPointer;
  default_delete() = default;
  default_delete(default_delete&&) { ++steps; }
  default_delete& operator=(default_delete&&) { return ++steps, *this; }
  void operator()(pointer owned) const { delete owned.item; }
};

namespace {

using Queue = naiad::Batcher<Item>;

void print(const Queue::Batch& batch) {
  for (auto& item : batch) std::cout << item->number << ' ';
  std::cout << std::endl;
}

// Two takers that wait when the queue is closed; a line with the number of items that each gets.
void share(Queue& batcher) {
  auto take = [&] { return batcher.take(naiad::Seconds(60), SIZE_MAX)->size(); };
  auto first = std::async(std::launch::async, take), second = std::async(std::launch::async, take);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  batcher.close();
  std::cout << first.get() << ' ' << second.get() << std::endl;
}

// Lines "new CONTRACT" begin a queue, at first and whenever they come; "at NANOSECONDS" sets its
// clock; "close" closes it. To "put PRIORITY SIZE ..." comes a line with why the item is refused, or
// an empty one; to "take MOST" and "drain" one with the numbers of the items; to "steps" one with
// the steps so far; to "share" see there.
void queue() {
  std::optional<naiad::Contract> contract;
  std::unique_ptr<Queue> batcher;
  int count = 0;
  for (std::string word; std::cin >> word;) {
    if (word == "new") {
      contract.emplace(some_contract());
      std::optional<naiad::LatencyTarget> target;
      if (contract->latency_target > 0) {
        auto learner = std::make_shared<naiad::Learner>(contract->dims.size(), contract->cost);
        target = naiad::LatencyTarget{contract->latency_target, learner};
      }
      batcher = std::make_unique<Queue>(
          contract->budget, contract->capacity, contract->waiting, contract->max_queue_delay, target,
          [] { return now.load(); });
      count = 0;
    } else if (word == "at") {
      int64_t nanoseconds = 0;
      std::cin >> nanoseconds;
      now = naiad::Clock::time_point(std::chrono::nanoseconds(nanoseconds));
    } else if (word == "put") {
      auto item = std::make_unique<Item>();
      item->number = count++;
      std::cin >> item->priority;
      item->sizes = some_sizes(*contract);
      std::cout << batcher->put(item, contract->dims) << std::endl;
    } else if (word == "take") {
      size_t most = 0;
      std::cin >> most;
      print(batcher->take(naiad::Seconds(0), most).value_or(Queue::Batch{}));
    } else if (word == "drain") {
      print(batcher->drain());
    } else if (word == "steps") {
      std::cout << steps << std::endl;
    } else if (word == "share") {
      share(*batcher);
    } else {
      batcher->close();
    }
  }
}

// "new CONTRACT" begins a cost model; "learn SECONDS SIZE ..." tells it of a batch; to
// "seconds SIZE ..." comes a line with what it predicts.
void costs() {
  std::optional<naiad::Contract> contract;
  std::unique_ptr<naiad::Learner> learner;
  for (std::string word; std::cin >> word;) {
    if (word == "new") {
      contract.emplace(some_contract());
      learner = std::make_unique<naiad::Learner>(contract->dims.size(), contract->cost);
    } else if (word == "learn") {
      double seconds = 0;
      std::cin >> seconds;
      learner->learn(some_sizes(*contract), seconds);
    } else {
      printf("%.17g\n", learner->cost().seconds(some_sizes(*contract)));
      fflush(stdout);
    }
  }
}

// "new CORES" begins with idle cores; "at MILLISECONDS" sets the clock; to "begin LEAST MOST" comes a
// line with the batch's threads; "end THREADS" ends one.
void threads() {
  std::unique_ptr<naiad::Cores> cores;
  for (std::string word; std::cin >> word;) {
    int number = 0;
    std::cin >> number;
    if (word == "new") {
      cores = std::make_unique<naiad::Cores>(number, [] { return now.load(); });
    } else if (word == "at") {
      now = naiad::Clock::time_point(std::chrono::milliseconds(number));
    } else if (word == "begin") {
      int most = 0;
      std::cin >> most;
      std::cout << cores->begin(number, most) << std::endl;
    } else {
      cores->end(number);
    }
  }
}

// First a line with the contract; then the number of requests, and of each its sizes, and each of its
// inputs: the number of bytes, and these. A line with the bytes of each merged input comes back, or
// one that says that it is refused, and if it would not be so without merging.
void merge() {
  auto contract = some_contract();
  size_t count = 0;
  std::cin >> count;
  std::vector<naiad::Sizes> sizes(count, naiad::Sizes(contract.dims.size()));
  std::vector<std::vector<std::string>> data(count);
  naiad::Sizes totals(contract.dims.size(), 0);
  for (size_t number = 0; number < count; ++number) {
    for (auto& size : sizes[number]) std::cin >> size;
    naiad::add(totals, sizes[number]);
    for (size_t input = 0; input < contract.inputs.size(); ++input) {
      size_t bytes = 0;
      std::cin >> bytes;
      std::string content;
      for (int byte = 0; bytes > 0; --bytes) {
        std::cin >> byte;
        content.push_back(static_cast<char>(byte));
      }
      data[number].push_back(content);
    }
  }
  for (size_t input = 0; input < contract.inputs.size(); ++input) {
    auto& port = contract.inputs[input];
    std::vector<char> whole(port.outer * port.rows(totals) * port.inner);
    naiad::Sizes before(contract.dims.size(), 0);
    bool right = true;
    for (size_t number = 0; right && number < count; ++number) {
      auto& from = data[number][input];
      right = naiad::merge_in(port, from.data(), whole.data(), sizes[number], before, totals);
      naiad::add(before, sizes[number]);
      int64_t rows = 1;
      if (!port.dims.empty()) {
        rows = port.dims[0] < 0 ? port.sizes[0] : sizes[number][port.dims[0]];
      }
      bool alone = naiad::is_in_range(port, from.data(), from.size(), rows, sizes[number]);
      if (alone != right) std::cout << "alone it differs, ";
    }
    if (!right) std::cout << "refused";
    for (size_t at = 0; right && at < whole.size(); ++at) {
      std::cout << static_cast<int>(static_cast<unsigned char>(whole[at])) << ' ';
    }
    std::cout << '\n';
  }
}

void print(const naiad::Json& value) {
  const char* comma = "";
  if (value.is_string()) {
    std::cout << naiad::quoted(value.text());
  } else if (!value.members().empty()) {
    std::cout << '{';
    for (auto& [key, member] : value.members()) {
      std::cout << comma << naiad::quoted(key) << ':';
      print(member);
      comma = ",";
    }
    std::cout << '}';
  } else if (!value.items().empty()) {
    std::cout << '[';
    for (auto& item : value.items()) {
      std::cout << comma;
      print(item);
      comma = ",";
    }
    std::cout << ']';
  } else {
    std::cout << (value.text().empty() ? "null" : value.text());
  }
}

// Print the decoded bytes in hexadecimal, or why the text is refused.
void decode(std::string text) {
  size_t size = 0;
  std::string wrong = naiad::decode_base64(text, text.data(), size);
  if (!wrong.empty()) {
    std::cout << "refused: " << wrong;
    return;
  }
  for (size_t at = 0; at < size; ++at) printf("%02x", static_cast<unsigned char>(text[at]));
}

}  // namespace

int main(int, char** arguments) {
  const std::string command = arguments[1];
  if (command == "queue") return queue(), 0;
  if (command == "costs") return costs(), 0;
  if (command == "merge") return merge(), 0;
  if (command == "threads") return threads(), 0;
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  if (command == "decode") return decode(text), 0;
  if (command == "encode") {
    std::string coded;
    naiad::append_base64(coded, text);
    std::cout << coded;
    return 0;
  }
  if (command == "sendable") {
    std::cout << naiad::sendable(text);
    return 0;
  }
  try {
    print(naiad::Json::parse(text));
  } catch (const std::exception& error) {
    std::cout << "error: " << error.what();
    return 1;
  }
}
