// A JSON reader, for model configurations and workers' messages.
#pragma once

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace naiad {

class Json {
 public:
  // Read a whole text; throw std::runtime_error if it is not JSON.
  static Json parse(const std::string& text) {
    const char* at = text.c_str();
    Json value = read(at, kDeepest);
    skip(at);
    if (*at) fail(at);
    return value;
  }

  // A member of an object; null if it does not exist.
  const Json& operator[](const std::string& key) const {
    auto found = members_.find(key);
    return found == members_.end() ? null() : found->second;
  }

  explicit operator bool() const { return kind_ != 'n'; }
  const std::vector<Json>& items() const { return items_; }
  const std::map<std::string, Json>& members() const { return members_; }
  const std::string& text() const { return text_; }  // a string, or a number as written
  double number(double otherwise) const { return kind_ == 'd' ? std::atof(text_.c_str()) : otherwise; }
  int64_t integer(int64_t otherwise) const {  // saturates on overflow
    return kind_ == 'd' ? std::strtoll(text_.c_str(), nullptr, 10) : otherwise;
  }
  bool is_string() const { return kind_ == 's'; }

 private:
  static constexpr int kDeepest = 200;  // reading is recursive

  static const Json& null() {
    static const Json nothing;
    return nothing;
  }

  [[noreturn]] static void fail(const char* at) {
    throw std::runtime_error("this is not JSON: " + std::string(at).substr(0, 20));
  }

  static void skip(const char*& at) {
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') ++at;
  }

  static bool take(const char*& at, char wanted) {
    skip(at);
    if (*at != wanted) return false;
    ++at;
    return true;
  }

  static Json read(const char*& at, int deeper) {
    if (!deeper) fail(at);
    Json value;
    skip(at);
    if (take(at, '{')) {
      value.kind_ = 'o';
      while (!take(at, '}')) {
        skip(at);
        std::string key = string(at);
        if (!take(at, ':')) fail(at);
        value.members_.emplace(std::move(key), read(at, deeper - 1));
        if (!take(at, ',') && *at != '}') fail(at);
      }
    } else if (take(at, '[')) {
      value.kind_ = 'a';
      while (!take(at, ']')) {
        value.items_.push_back(read(at, deeper - 1));
        if (!take(at, ',') && *at != ']') fail(at);
      }
    } else if (*at == '"') {
      value.kind_ = 's';
      value.text_ = string(at);
    } else {
      while (*at && std::string("{}[],:\" \n\t\r").find(*at) == std::string::npos) {
        value.text_ += *at++;
      }
      if (value.text_.empty()) fail(at);
      if (value.text_ != "null") {
        value.kind_ = value.text_ == "true" || value.text_ == "false" ? 'b' : 'd';
      }
    }
    return value;
  }

  static std::string string(const char*& at) {
    if (*at != '"') fail(at);
    std::string text;
    for (++at; *at != '"'; ++at) {
      if (!*at) fail(at);
      if (*at != '\\') {
        text += *at;
        continue;
      }
      switch (*++at) {
        case 'n': text += '\n'; break;
        case 't': text += '\t'; break;
        case 'r': text += '\r'; break;
        case 'b': text += '\b'; break;
        case 'f': text += '\f'; break;
        case 'u': append_utf8(text, at); break;
        case '\0': fail(at);
        default: text += *at;
      }
    }
    ++at;
    return text;
  }

  static unsigned hex4(const char*& at) {
    unsigned code = 0;
    for (int digit = 0; digit < 4; ++digit) {
      if (!std::isxdigit(static_cast<unsigned char>(*++at))) fail(at);
      code = code * 16 + std::strtoul(std::string(1, *at).c_str(), nullptr, 16);
    }
    return code;
  }

  static void append_utf8(std::string& text, const char*& at) {
    unsigned code = hex4(at);
    if (code >= 0xD800 && code < 0xE000) {
      const char* second = at;
      unsigned low = 0;
      if (code < 0xDC00 && at[1] == '\\' && at[2] == 'u') low = hex4(second += 2);
      bool pair = low >= 0xDC00 && low < 0xE000;
      if (pair) at = second;
      code = pair ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
    }
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += static_cast<char>(0xC0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      text += static_cast<char>(0xE0 | code >> 12);
      text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      text += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      text += static_cast<char>(0xF0 | code >> 18);
      text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
      text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
  }

  char kind_ = 'n';  // null, object, array, string, double, bool
  std::string text_;
  std::vector<Json> items_;
  std::map<std::string, Json> members_;
};

// A string in JSON syntax.
inline std::string quoted(const std::string& text) {
  static const char* digits = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += std::string("\\u00") + digits[c >> 4 & 15] + digits[c & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace naiad
