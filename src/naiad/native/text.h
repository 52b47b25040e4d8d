// Text from clients and hooks: valid UTF-8, everything else escaped, cut to the longest message that
// arrives. naiad.error_text has the same rules.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace naiad {

// Length of the UTF-8 character (RFC 3629) at `at`; 0 if there is none.
inline size_t character_at(std::string_view text, size_t at) {
  auto byte = [&](size_t next) -> unsigned {
    return at + next < text.size() ? static_cast<unsigned char>(text[at + next]) : 0;
  };
  auto follows = [&](size_t next, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(next) >= low && byte(next) <= high;
  };
  unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {  // neither overlong ones nor surrogates
    bool right = follows(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return right && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {  // up to U+10FFFF
    bool right = follows(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
    return right && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

inline bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    size_t length = character_at(text, at);
    if (!length) return false;
    at += length;
  }
  return true;
}

// Return the character at `at`, escaped like `\x1b` if it is a control character or not UTF-8, and
// move `at` past it.
inline std::string shown_at(std::string_view text, size_t& at) {
  static const char* digits = "0123456789abcdef";
  size_t length = character_at(text, at);
  auto byte = static_cast<unsigned char>(text[at]);
  bool control = length == 1 && ((byte < 0x20 && byte != '\n') || byte == 0x7F);
  if (length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0) {
    byte = static_cast<unsigned char>(text[++at]);  // C1: U+0080 to U+009F
    control = true;
  }
  if (!length || control) {
    ++at;
    return std::string("\\x") + digits[byte >> 4] + digits[byte & 15];
  }
  at += length;
  return std::string(text.substr(at - length, length));
}

// Size of a text in a gRPC status message, where all but printable ASCII is
// percent-encoded.
inline size_t encoded_size(std::string_view text) {
  size_t size = 0;
  for (char c : text) size += c >= 0x20 && c < 0x7F && c != '%' ? 1 : 3;
  return size;
}

// A short text in quotation marks, as one line of ASCII.
inline std::string shown(std::string_view text, size_t most = 60) {
  static const char* digits = "0123456789abcdef";
  std::string out = "\"";
  for (unsigned char byte : text.substr(0, most)) {
    if (byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\') {
      out += static_cast<char>(byte);
    } else {
      out += std::string("\\x") + digits[byte >> 4] + digits[byte & 15];
    }
  }
  return out + (text.size() > most ? "\"..." : "\"");
}

// A message ready to send: valid UTF-8 without control characters other than newline, cut to what
// reaches a gRPC client. Triton 2.51 loses messages of more than 8 KB, percent-encoded, at random,
// and of more than 16 KB always.
inline std::string sendable(std::string_view text) {
  constexpr size_t most = 2500, reserved = 60;
  std::string out;
  size_t used = 0, kept = 0;
  for (size_t at = 0; at < text.size() && used <= most;) {
    std::string next = shown_at(text, at);
    used += encoded_size(next);
    out += next;
    if (used <= most - reserved) kept = out.size();
  }
  if (used <= most) return out;
  return out.substr(0, kept) + " ... (cut; it has " + std::to_string(text.size()) + " bytes)";
}

}  // namespace naiad
