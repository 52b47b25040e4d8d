// Checks of one request's tensors, and checked copies into merged ones; see
// naiad.core.merging.collate.
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

// Return true if all indices are in 0 to size - 1.
template <typename Unsigned>
bool are_below(int64_t size, const char* data, int64_t bytes) {
  if (size > static_cast<int64_t>(static_cast<Unsigned>(-1) / 2)) return false;
  bool wrong = false;
  for (int64_t at = 0; at < bytes; at += sizeof(Unsigned)) {
    Unsigned value;  // negative ones are greater than any size
    memcpy(&value, data + at, sizeof value);
    wrong |= value >= static_cast<Unsigned>(size);
  }
  return !wrong;
}

// Return true if one request's copied tensor has no index or other value out of range; false also if
// that cannot be said here. `rows` is the size of the tensor's first axis.
inline bool is_in_range(
    const Port& port, const char* data, int64_t bytes, int64_t rows, const Sizes& sizes) {
  if (port.targets.empty()) return !port.range || are_in(*port.range, port.dtype, data, bytes);
  int64_t parts = port.targets.size();  // rows of the first axis, if there are several
  if ((port.itemsize != 4 && port.itemsize != 8) || (parts > 1 && rows != parts)) return false;
  auto* are_right = port.itemsize == 4 ? are_below<uint32_t> : are_below<uint64_t>;
  for (int64_t part = 0; part < parts; ++part) {
    const char* from = data + part * (bytes / parts);
    if (!are_right(sizes[port.targets[part]], from, bytes / parts)) return false;
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
