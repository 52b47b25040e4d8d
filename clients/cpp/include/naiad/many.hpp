// Many questions, several at a time.
#pragma once

#include <cstddef>
#include <deque>
#include <future>
#include <optional>
#include <type_traits>

namespace naiad {

/// Ask for everything that `next` gives, with at most `in_flight` questions under way, and hand the
/// answers to `take` in their order. Holds no more than those, so there may be any number.
///
/// `next()` gives a std::optional, which is empty at the end; `ask(item)` gives a future;
/// `take(future)` gets each future when it is ready or the oldest, and what its `get` throws is
/// take's to handle.
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
