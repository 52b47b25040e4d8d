// Tensors of one request on their way into the merged ones: graph.collate, and checked.
#pragma once

#include <cstdint>
#include <cstring>

#include "contract.h"

namespace naiad {

// Copy indices, each so much further; false where one is not among 0 to size - 1.
template <typename Unsigned>
bool shift(const char* from, char* into, int64_t bytes, int64_t size, int64_t offset) {
  if (size + offset > static_cast<int64_t>(static_cast<Unsigned>(-1) / 2)) return false;
  bool wrong = false;
  for (int64_t at = 0; at < bytes; at += sizeof(Unsigned)) {
    Unsigned value;  // negative ones are greater than any size
    memcpy(&value, from + at, sizeof value);
    wrong |= value >= static_cast<Unsigned>(size);
    value += static_cast<Unsigned>(offset);
    memcpy(into + at, &value, sizeof value);
  }
  return !wrong;
}

// Copy what one request has of an input to its place in the memory `whole`, where all requests'
// rows are behind each other. `sizes` are the request's, `before` and `totals` those of all before
// it and of all. False where an index or another value is out of its range: of the copy, since a
// client may go on writing to what it shares.
inline bool merge_in(
    const Port& port, const char* data, char* whole, const Sizes& sizes, const Sizes& before,
    const Sizes& totals) {
  int64_t bytes = port.rows(sizes) * port.inner;
  for (int64_t run = 0; bytes && run < port.outer; ++run) {
    const char* from = data + run * bytes;
    char* into = whole + (run * port.rows(totals) + port.rows(before)) * port.inner;
    if (port.targets.empty()) {
      memcpy(into, from, bytes);
      if (port.range && !are_in(*port.range, port.dtype, into, bytes)) return false;
      continue;
    }
    // Each row of the first axis has a target of its own, if there are several; where requests are
    // stacked the rows are in one run.
    int64_t targets = port.targets.size(), parts = port.axis < 0 ? targets : 1;
    for (int64_t part = 0; part < parts; ++part) {
      int target = port.targets[port.axis < 0 ? part : run * targets / port.outer];
      auto* copy = port.itemsize == 4 ? shift<uint32_t> : shift<uint64_t>;
      int64_t place = part * bytes / parts;
      if (!copy(from + place, into + place, bytes / parts, sizes[target], before[target])) {
        return false;
      }
    }
  }
  return true;
}

// Copy the elements of a BYTES tensor; false if the copy does not hold as many as its shape says.
inline bool merge_bytes(
    const Port& port, const char* data, uint64_t bytes, char* into, const Sizes& sizes) {
  if (bytes) memcpy(into, data, bytes);
  uint64_t at = 0;
  for (int64_t left = port.elements(sizes); left > 0; --left) {
    uint32_t length = 0;
    if (bytes - at < sizeof length) return false;
    memcpy(&length, into + at, sizeof length);
    at += sizeof length;
    if (bytes - at < length) return false;
    at += length;
  }
  return at == bytes;
}

}  // namespace naiad
