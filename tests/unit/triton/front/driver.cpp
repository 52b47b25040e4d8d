// Lets Python tests drive the front's batcher and its reader of JSON: `driver batches`,
// `driver json`, with the input on standard input.
#include <iostream>
#include <iterator>
#include <string>

#include "batcher.h"
#include "json.h"

namespace {

struct Item {
  int number;
  naiad::Sizes sizes;
  naiad::Clock::time_point arrived = naiad::Clock::now();
  int64_t priority = 0;
};

// Lines "budget B1 B2 ...", "put PRIORITY S1 S2 ...", "take MOST"; a line with the numbers of the
// items comes back for each take.
void batches() {
  std::string word;
  naiad::Budget budget;
  size_t dims = 0, capacity = 0;
  std::cin >> dims >> capacity;
  budget.sizes.resize(dims);
  for (auto& size : budget.sizes) std::cin >> size;
  naiad::Batcher<Item> batcher(budget, capacity, 0);
  int count = 0;
  while (std::cin >> word) {
    if (word == "put") {
      auto item = std::make_unique<Item>();
      item->number = count++;
      item->sizes.resize(dims);
      std::cin >> item->priority;
      for (auto& size : item->sizes) std::cin >> size;
      if (auto why = batcher.put(item); !why.empty()) std::cout << "refused\n";
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
  if (std::string(arguments[1]) == "batches") {
    batches();
    return 0;
  }
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  try {
    print(naiad::Json::parse(text));
  } catch (const std::exception& error) {
    std::cout << "error: " << error.what();
    return 1;
  }
}
