// Checks of a tensor's values against the range that its schema declares.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "triton_api.h"

namespace naiad {

// Least and greatest value, as a type that holds every 64-bit integer and every double.
struct Range {
  long double least, greatest;
};

// Return true if all values are finite and in range. The lanes let a compiler use vector registers.
template <typename Number>
bool are_in(const Range& range, const char* data, int64_t bytes) {
  constexpr int64_t kLanes = 64 / sizeof(Number);
  const int64_t count = bytes / sizeof(Number);
  if (!count) return true;
  Number block[kLanes], least[kLanes], greatest[kLanes], odd[kLanes] = {};
  memcpy(&block[0], data, sizeof(Number));
  std::fill_n(least, kLanes, block[0]);
  std::fill_n(greatest, kLanes, block[0]);
  std::fill_n(block, kLanes, block[0]);  // the last block may be partly filled
  for (int64_t at = 0; at < count; at += kLanes) {
    if (count - at >= kLanes) {
      memcpy(block, data + at * sizeof(Number), sizeof block);
    } else {
      memcpy(block, data + at * sizeof(Number), (count - at) * sizeof(Number));
    }
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      least[lane] = block[lane] < least[lane] ? block[lane] : least[lane];
      greatest[lane] = block[lane] > greatest[lane] ? block[lane] : greatest[lane];
      odd[lane] += block[lane] - block[lane];  // NaN if not finite, which comparisons miss
    }
  }
  bool finite = std::all_of(odd, odd + kLanes, [](Number value) { return value == 0; });
  return finite && *std::min_element(least, least + kLanes) >= range.least &&
         *std::max_element(greatest, greatest + kLanes) <= range.greatest;
}

// The same for values of Triton's dtype; false for an unknown one.
inline bool are_in(const Range& range, int dtype, const char* data, int64_t bytes) {
  switch (dtype) {
    case kUint8: return are_in<uint8_t>(range, data, bytes);
    case kUint16: return are_in<uint16_t>(range, data, bytes);
    case kUint32: return are_in<uint32_t>(range, data, bytes);
    case kUint64: return are_in<uint64_t>(range, data, bytes);
    case kInt8: return are_in<int8_t>(range, data, bytes);
    case kInt16: return are_in<int16_t>(range, data, bytes);
    case kInt32: return are_in<int32_t>(range, data, bytes);
    case kInt64: return are_in<int64_t>(range, data, bytes);
    case kFloat32: return are_in<float>(range, data, bytes);
    case kFloat64: return are_in<double>(range, data, bytes);
    default: return false;
  }
}

}  // namespace naiad
