// Lets Python tests drive the native backend's batcher, its merging, its reader of JSON and its writer of
// messages: `driver batches`, `driver merge`, `driver json`, `driver sendable`, with the input on
// standard input.
#include <iostream>
#include <iterator>
#include <string>

#include "batcher.h"
#include "indices.h"
#include "json.h"
#include "text.h"

namespace {

struct Item {
  int number;
  naiad::Sizes sizes;
  naiad::Clock::time_point arrived = naiad::Clock::now();
  int64_t priority = 0;
};

// First the number of sizes, the capacity, the budget and what may wait; then lines
// "put PRIORITY S1 S2 ...", "take MOST". A line with the numbers of the items comes back for each
// take, and one with the reason for each item that is refused.
void batches() {
  std::string word;
  naiad::Budget budget, waiting;
  size_t dims = 0, capacity = 0;
  std::cin >> dims >> capacity;
  budget.sizes.resize(dims);
  waiting.sizes.resize(dims);
  for (auto& size : budget.sizes) std::cin >> size;
  for (auto& size : waiting.sizes) std::cin >> size;
  const std::vector<std::string> names{"requests", "nodes", "edges"};
  naiad::Batcher<Item> batcher(budget, capacity, waiting, 0);
  int count = 0;
  while (std::cin >> word) {
    if (word == "put") {
      auto item = std::make_unique<Item>();
      item->number = count++;
      item->sizes.resize(dims);
      std::cin >> item->priority;
      for (auto& size : item->sizes) std::cin >> size;
      if (auto why = batcher.put(item, names); !why.empty()) {
        std::cout << why.substr(0, why.find(';')) << '\n';
      }
    } else {
      size_t most = 0;
      std::cin >> most;
      auto batch = batcher.take(naiad::Seconds(0), most);
      if (batch) {
        for (auto& item : *batch) std::cout << item->number << ' ';
      }
      std::cout << '\n';
    }
  }
}

// First a line with the contract; then the number of requests, and of each its sizes, and each of its
// inputs: the number of bytes, and these. A line with the bytes of each merged input comes back, or
// one that says that it is refused.
void merge() {
  std::string line;
  std::getline(std::cin, line);
  naiad::Contract contract(naiad::Json::parse(line));
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
      const char* from = data[number][input].data();
      right = naiad::merge_in(port, from, whole.data(), sizes[number], before, totals);
      naiad::add(before, sizes[number]);
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

}  // namespace

int main(int, char** arguments) {
  const std::string command = arguments[1];
  if (command == "batches" || command == "merge") {
    command == "merge" ? merge() : batches();
    return 0;
  }
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
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
