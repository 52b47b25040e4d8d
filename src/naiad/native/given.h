// One input of one request, in Triton's memory or decoded from it.
#pragma once

#include <cstring>
#include <string>

#include "triton_api.h"

namespace naiad {

struct Given {
  TRITONBACKEND_Input* input = nullptr;  // null if the request omits it
  const char* data = nullptr;            // all of it, if it is in one piece
  bool decoded = false;                  // that piece is a copy, not Triton's
  const int64_t* shape = nullptr;
  uint32_t rank = 0, buffers = 0;
  int dtype = 0;
  uint64_t bytes = 0;

  // Find the input of that name; return false if the request omits it.
  bool find(TRITONBACKEND_Request* request, const std::string& name) {
    TRITONBACKEND_Input* found = nullptr;
    if (auto* absent = TRITONBACKEND_RequestInput(request, name.c_str(), &found)) {
      TRITONSERVER_ErrorDelete(absent);
      return false;
    }
    auto* failed = TRITONBACKEND_InputProperties(
        found, nullptr, &dtype, &shape, &rank, &bytes, &buffers);
    if (failed) {
      TRITONSERVER_ErrorDelete(failed);
      return false;
    }
    input = found;
    return true;
  }

  // Get a piece of it; return false if it is not in CPU memory.
  bool piece(uint32_t number, const char*& from, uint64_t& size) const {
    if (decoded) {
      from = data;
      size = bytes;
      return true;
    }
    const void* found = nullptr;
    int memory = kCpu;
    int64_t device = 0;
    if (auto* failed = TRITONBACKEND_InputBuffer(input, number, &found, &size, &memory, &device)) {
      TRITONSERVER_ErrorDelete(failed);
      return false;
    }
    from = static_cast<const char*>(found);
    return (memory == kCpu || memory == kPinned) && (from || !size);
  }

  // Copy it to `into`, which has room for `bytes`; return false if its pieces have a different total.
  bool copy(char* into) const {
    uint64_t left = bytes;
    for (uint32_t number = 0; number < buffers; ++number) {
      const char* from = nullptr;
      uint64_t size = 0;
      if (!piece(number, from, size) || size > left) return false;
      if (size) memcpy(into, from, size);
      into += size;
      left -= size;
    }
    return !left;
  }
};

// Reads an input's bytes in order, across its pieces.
class Bytes {
 public:
  explicit Bytes(const Given& given) : given_(given) {}

  // Read the length of the next element of a BYTES tensor; return false at the end.
  bool length(uint32_t& value) {
    unsigned char raw[4];
    for (auto& byte : raw) {
      if (!forward()) return false;
      byte = static_cast<unsigned char>(*at_++);
      --left_;
    }
    value = raw[0] | raw[1] << 8 | raw[2] << 16 | static_cast<uint32_t>(raw[3]) << 24;
    return true;
  }

  // Skip `size` bytes; return false if fewer are left.
  bool skip(uint64_t size) {
    while (size) {
      if (!forward()) return false;
      uint64_t step = size < left_ ? size : left_;
      at_ += step;
      left_ -= step;
      size -= step;
    }
    return true;
  }

  bool at_end() { return !forward(); }

 private:
  bool forward() {
    while (!left_ && next_ < given_.buffers) {
      if (!given_.piece(next_++, at_, left_)) left_ = 0;
    }
    return left_ > 0;
  }

  const Given& given_;
  uint32_t next_ = 0;
  const char* at_ = nullptr;
  uint64_t left_ = 0;
};

}  // namespace naiad
