// Checked copies of one request's tensors into merged ones; see naiad.core.merging.collate.
#pragma once

#include <cstdint>
#include <cstring>

#include "contract.h"

namespace naiad {

// Copy indices shifted by `offset`; return false if one is not in 0 to size - 1.
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

// Copy one request's part of an input to its place in `whole`, where the rows of all requests are
// contiguous. `sizes` are the request's, `before` those of all before it, `totals` those of all.
// Return false if an index or another value is out of range; the copy is checked, since a client may
// still write to memory that it shares.
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
    // With several targets, each row of the first axis has its own; if requests are stacked, the
    // rows are in one run.
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

// Copy the elements of a BYTES tensor; return false if the copy has not as many as its shape.
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
