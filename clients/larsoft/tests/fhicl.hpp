// The part of FHiCL that configures the module: tables, sequences of atoms, prologs, dotted names,
// @local::, @table:: and @nil. Files are not included.
#pragma once

#include <cctype>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fhicl {

class ParameterSet;

struct Value {
  bool nil = false;
  std::string atom;
  std::vector<std::string> items;    // of a sequence
  std::vector<ParameterSet> tables;  // one, of a table
};

class ParameterSet {
 public:
  bool has_key(const std::string& key) const { return find(key) != nullptr; }

  template <class T>
  T get(const std::string& key) const {
    const Value* value = find(key);
    if (value == nullptr) throw std::out_of_range("there is no " + key);
    if (value->nil) throw std::invalid_argument(key + " is @nil");
    return converted<T>(key, *value);
  }

  template <class T>
  T get(const std::string& key, const T& otherwise) const {
    return has_key(key) ? get<T>(key) : otherwise;
  }

  std::vector<std::string> get_pset_names() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : values_) {
      if (!value.tables.empty()) names.push_back(name);
    }
    return names;
  }

  /// For tests: set a parameter; a dotted name sets it within its tables.
  void set(const std::string& key, Value value) {
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos) {
      values_[key] = std::move(value);
      return;
    }
    auto& tables = values_[key.substr(0, dot)].tables;
    if (tables.empty()) tables.emplace_back();
    tables.front().set(key.substr(dot + 1), std::move(value));
  }
  void erase(const std::string& key) { values_.erase(key); }
  const Value* find(const std::string& key) const {
    const std::size_t dot = key.find('.');
    const auto found = values_.find(key.substr(0, dot));
    if (found == values_.end()) return nullptr;
    if (dot == std::string::npos) return &found->second;
    const auto& tables = found->second.tables;
    return tables.empty() ? nullptr : tables.front().find(key.substr(dot + 1));
  }
  void splice(const ParameterSet& other) {
    for (const auto& [name, value] : other.values_) values_[name] = value;
  }

 private:
  template <class T>
  static T converted(const std::string& key, const Value& value) {
    if constexpr (std::is_same_v<T, ParameterSet>) {
      if (value.tables.empty()) throw std::invalid_argument(key + " is not a table");
      return value.tables.front();
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      return value.items;
    } else if constexpr (std::is_same_v<T, bool>) {
      if (value.atom != "true" && value.atom != "false") {
        throw std::invalid_argument(key + " is neither true nor false: " + value.atom);
      }
      return value.atom == "true";
    } else if constexpr (std::is_arithmetic_v<T>) {
      std::istringstream text(value.atom);
      T number{};
      if (!(text >> number) || text.peek() != std::istringstream::traits_type::eof()) {
        throw std::invalid_argument(key + " is not such a number: " + value.atom);
      }
      return number;
    } else {
      return T(value.atom);
    }
  }

  std::map<std::string, Value> values_;
};

namespace detail {

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  ParameterSet file() {
    while (!peek().empty()) entry(all_);
    return all_;
  }

 private:
  void entry(ParameterSet& table) {
    const std::string name = next();
    if (name == "BEGIN_PROLOG" || name == "END_PROLOG") return;
    if (name.rfind("@table::", 0) == 0) {
      table.splice(all_.get<ParameterSet>(name.substr(8)));
      return;
    }
    expect(":");
    table.set(name, value());
  }

  Value value() {
    Value value;
    const std::string token = next();
    if (token == "{") {
      value.tables.emplace_back();
      while (peek() != "}") entry(value.tables.front());
      next();
    } else if (token == "[") {
      while (peek() != "]") {
        value.items.push_back(unquoted(next()));
        if (peek() == ",") next();
      }
      next();
    } else if (token.rfind("@local::", 0) == 0) {
      const Value* found = all_.find(token.substr(8));
      if (found == nullptr) throw std::invalid_argument("no " + token);
      value = *found;
    } else if (token == "@nil") {
      value.nil = true;
    } else {
      value.atom = unquoted(token);
    }
    return value;
  }

  static std::string unquoted(const std::string& token) {
    return token.front() == '"' ? token.substr(1, token.size() - 2) : token;
  }

  void expect(const std::string& token) {
    if (const std::string found = next(); found != token) {
      throw std::invalid_argument("FHiCL has '" + found + "' in place of '" + token + "'");
    }
  }

  std::string peek() {
    const std::size_t before = at_;
    std::string token = scan();
    at_ = before;
    return token;
  }

  std::string next() {
    std::string token = scan();
    if (token.empty()) throw std::invalid_argument("FHiCL ends early");
    return token;
  }

  std::string scan() {
    while (at_ < text_.size() && (std::isspace(text_[at_]) != 0 || text_[at_] == '#')) {
      at_ = text_[at_] == '#' ? std::min(text_.find('\n', at_), text_.size()) : at_ + 1;
    }
    const std::size_t first = at_;
    if (at_ == text_.size()) return "";
    if (text_[at_] == '"') {
      at_ = text_.find('"', at_ + 1) + 1;
    } else if (std::string("{}[],:").find(text_[at_]) != std::string::npos) {
      ++at_;
    } else {
      while (at_ < text_.size() && std::isspace(text_[at_]) == 0 && !ends(first)) ++at_;
    }
    return text_.substr(first, at_ - first);
  }

  // A colon ends a name, except in @local:: and @table::.
  bool ends(std::size_t first) const {
    if (text_[at_] == ':') return text_[first] != '@';
    return std::string("{}[],").find(text_[at_]) != std::string::npos;
  }

  const std::string& text_;
  std::size_t at_ = 0;
  ParameterSet all_;
};

}  // namespace detail

/// For tests: the parameters of a file, those of its prologs among them.
inline ParameterSet parse(const std::string& text) { return detail::Parser(text).file(); }

}  // namespace fhicl
