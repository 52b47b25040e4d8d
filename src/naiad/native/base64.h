// Base64 (RFC 4648, section 4) of BYTES tensors, for clients that send JSON: each element is coded by
// itself, and follows its length as in the KServe v2 protocol.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "text.h"

namespace naiad {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Decode a text to `into`, which may overlap it from any byte before it; set `size`. Return what is
// wrong, or "". Only what an encoder writes is accepted: padded, without line breaks.
inline std::string decode_base64(std::string_view text, char* into, size_t& size) {
  static const auto values = [] {
    std::array<int8_t, 256> found;
    found.fill(-1);
    for (size_t at = 0; at < kBase64.size(); ++at) {
      found[static_cast<unsigned char>(kBase64[at])] = static_cast<int8_t>(at);
    }
    return found;
  }();
  size_t padding = 0, length = text.size();
  while (padding < 2 && padding < length && text[length - 1 - padding] == '=') ++padding;
  uint32_t bits = 0;
  size = 0;
  for (size_t at = 0; at < length - padding; ++at) {
    int value = values[static_cast<unsigned char>(text[at])];
    if (value < 0) {
      return "character " + std::to_string(at) + " is " + shown(text.substr(at, 1)) +
             "; only A to Z, a to z, 0 to 9, + and /, and = at the end, are allowed";
    }
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (at % 4 != 0) into[size++] = static_cast<char>(bits >> (6 - at % 4 * 2));
  }
  if (length % 4) {
    return "it has " + std::to_string(length) +
           " characters; they must be a multiple of 4, filled up with =";
  }
  if (bits & ((1u << padding * 2) - 1)) {
    return "character " + std::to_string(length - padding - 1) + " has bits beyond the last byte";
  }
  return "";
}

inline void append_base64(std::string& out, std::string_view data) {
  for (size_t at = 0; at < data.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t next = at; next < at + 3; ++next) {
      bits = bits << 8 | (next < data.size() ? static_cast<unsigned char>(data[next]) : 0);
    }
    for (size_t digit = 0; digit < 4; ++digit) {
      out += at + digit <= data.size() ? kBase64[bits >> (18 - 6 * digit) & 63] : '=';
    }
  }
}

// Append a tensor with its elements coded; return false if the data ends within an element, or an
// element is too long.
inline bool append_coded(std::string& out, std::string_view data) {
  out.reserve(out.size() + data.size() / 3 * 4 + 8);
  while (!data.empty()) {
    uint32_t length = 0;
    if (data.size() < sizeof length) return false;
    memcpy(&length, data.data(), sizeof length);
    data.remove_prefix(sizeof length);
    uint64_t coded = (uint64_t{length} + 2) / 3 * 4;
    if (data.size() < length || coded > UINT32_MAX) return false;
    auto said = static_cast<uint32_t>(coded);
    out.append(reinterpret_cast<const char*>(&said), sizeof said);
    append_base64(out, data.substr(0, length));
    data.remove_prefix(length);
  }
  return true;
}

}  // namespace naiad
