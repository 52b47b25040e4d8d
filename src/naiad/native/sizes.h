// Products and sums of untrusted sizes, without overflow.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace naiad {

using Sizes = std::vector<int64_t>;  // by position of the dimension in the contract

constexpr int64_t kUnbounded = INT64_MAX;

// Product of non-negative numbers; nullopt on overflow.
inline std::optional<int64_t> product(int64_t first, int64_t second) {
  int64_t found;
  if (first < 0 || second < 0 || __builtin_mul_overflow(first, second, &found)) return {};
  return found;
}

// Number of elements of a shape; nullopt if a size is negative or they take more than 2^62 bytes, not
// counting zeros, so that NumPy can also make an empty array of that shape.
inline std::optional<int64_t> elements(const int64_t* shape, size_t rank, int64_t itemsize) {
  std::optional<int64_t> bytes = itemsize;
  bool empty = false;
  for (size_t axis = 0; bytes && axis < rank; ++axis) {
    empty = empty || shape[axis] == 0;
    if (shape[axis]) bytes = product(*bytes, shape[axis]);
  }
  if (!bytes || *bytes > INT64_MAX / 2) return {};
  return empty ? 0 : *bytes / itemsize;
}

// Sums of non-negative numbers, saturating on overflow.
inline void add(Sizes& used, const Sizes& more) {
  for (size_t dim = 0; dim < used.size(); ++dim) {
    if (__builtin_add_overflow(used[dim], more[dim], &used[dim])) used[dim] = kUnbounded;
  }
}

// A number with thousands separators: 1,234,567.
inline std::string grouped(int64_t number) {
  std::string text = std::to_string(number);
  int first = number < 0 ? 1 : 0;
  for (int place = static_cast<int>(text.size()) - 3; place > first; place -= 3) {
    text.insert(place, ",");
  }
  return text;
}

inline std::string shape_text(const int64_t* shape, size_t rank) {
  std::string text = "[";
  for (size_t axis = 0; axis < rank; ++axis) {
    text += (axis ? ", " : "") + std::to_string(shape[axis]);
  }
  return text + "]";
}

}  // namespace naiad
