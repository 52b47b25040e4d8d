// Many requests, several in flight.
#pragma once

#include <cstddef>
#include <deque>
#include <future>
#include <optional>
#include <type_traits>

namespace naiad {

/// Ask about each item of `next`, with at most `in_flight` requests at once, and pass the answers
/// to `take` in order. Holds only those in flight, so there may be any number of items.
///
/// `next()` returns a std::optional, empty at the end; `ask(item)` returns a future; `take(future)`
/// receives each future once it is ready or the oldest, and handles what its `get` throws.
template <class Next, class Ask, class Take>
void ask_many(Next next, Ask ask, Take take, std::size_t in_flight) {
  using Item = typename std::invoke_result_t<Next&>::value_type;
  std::deque<std::invoke_result_t<Ask&, Item>> under_way;
  const auto take_oldest = [&] {
    auto oldest = std::move(under_way.front());
    under_way.pop_front();
    take(std::move(oldest));
  };
  while (std::optional<Item> item = next()) {
    if (under_way.size() >= in_flight) take_oldest();
    under_way.push_back(ask(std::move(*item)));
  }
  while (!under_way.empty()) take_oldest();
}

}  // namespace naiad
