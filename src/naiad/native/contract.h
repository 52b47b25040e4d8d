// A model's inputs and outputs, as its worker declares them, and the messages exchanged with it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "batcher.h"
#include "json.h"
#include "values.h"

namespace naiad {

// Version of the messages exchanged with workers, which may be from another Naiad if an exported
// repository is served; PROTOCOL in wire.py.
constexpr int kProtocol = 8;

struct Port {
  std::string name;
  int dtype = 0;
  std::vector<int> dims;  // position of each dimension's name in Contract::dims, or -1 for a size
  std::vector<int64_t> sizes;  // of each dimension; 0 for a name
  int counts = -1;  // position in Contract::dims of the name that counts its contents; -1 for none
  int axis = -1;  // axis along which requests are merged; -1: they are stacked
  bool optional = false;       // a request may omit it
  std::vector<int> targets;  // positions in Contract::dims of the dimensions that indices point into:
                             // one for all or one per row; empty for other tensors
  std::optional<Range> range;  // of the values, if they are checked on this side
  int64_t itemsize = 1;
  int64_t outer = 1, inner = 1;  // rows are `inner` bytes, and there are `outer` runs of them

  // Rows of a request, or of several, with these sizes.
  int64_t rows(const Sizes& of) const { return of[axis < 0 ? 0 : dims[axis]]; }

  // Elements likewise, for tensors that can be merged.
  int64_t elements(const Sizes& of) const { return outer * rows(of) * (inner / itemsize); }
};

struct Contract {
  explicit Contract(const Json& said) {
    for (auto& dim : said["dims"].items()) dims.push_back(dim.text());
    for (auto& port : said["inputs"].items()) inputs.push_back(read(port));
    for (auto& port : said["outputs"].items()) outputs.push_back(read(port));
    for (auto& stage : said["stages"].items()) stages.push_back(stage.text());
    budget = bounds(said["budget"]);
    limit = bounds(said["limit"]);
    waiting = bounds(said["waiting"]);
    watchdog = Seconds(said["watchdog"].number(120));
    capacity = static_cast<size_t>(said["queue_capacity"].integer(10000));
    max_queue_delay = said["max_queue_delay"].number(0);
    latency_target = said["latency_target"].number(0);
    if (said["cost"]) cost = read_cost(said["cost"]);
    merges = said["merges"].text() == "true";
    splits = said["splits"].text() == "true";
    ahead = said["ahead"].text() == "true";
    least_threads = static_cast<int>(said["threads"].integer(1));
    most_threads = static_cast<int>(said["most_threads"].integer(least_threads));
    check();
  }

  // Required shape of a tensor as text, such as [nodes, 1433].
  std::string shape_text(const Port& port) const {
    std::string text = "[";
    for (size_t axis = 0; axis < port.dims.size(); ++axis) {
      int dim = port.dims[axis];
      if (axis) text += ", ";
      text += dim < 0 ? std::to_string(port.sizes[axis]) : dim ? dims[dim] : "1";
    }
    return text + "]";
  }

  std::vector<std::string> dims;  // the first is `requests`
  std::vector<Port> inputs, outputs;
  std::vector<std::string> stages;
  Budget budget;
  Budget limit;
  Budget waiting;
  Seconds watchdog{};
  size_t capacity = 0;
  double max_queue_delay = 0;
  double latency_target = 0;  // seconds; 0 for none
  std::optional<Cost> cost;   // estimate before any batch has run
  bool merges = false;  // requests may be merged on this side
  bool splits = false;  // results of merged requests may be split on this side
  bool ahead = false;   // workers prepare requests beside `forward`
  int least_threads = 1, most_threads = 1;  // of a batch

 private:
  static Port read(const Json& said) {
    Port port;
    port.name = said["name"].text();
    port.dtype = static_cast<int>(said["dtype"].integer(0));
    for (auto& dim : said["dims"].items()) port.dims.push_back(static_cast<int>(dim.integer(-1)));
    for (auto& size : said["sizes"].items()) port.sizes.push_back(size.integer(0));
    for (auto& target : said["targets"].items()) {
      port.targets.push_back(static_cast<int>(target.integer(0)));
    }
    port.counts = static_cast<int>(said["counts"].integer(-1));
    port.axis = static_cast<int>(said["axis"].integer(-1));
    port.optional = said["optional"].text() == "true";
    if (auto& range = said["range"]; range.items().size() == 2) {
      port.range = Range{bound(port, range.items()[0]), bound(port, range.items()[1])};
    }
    port.inner = port.itemsize = said["itemsize"].integer(1);
    for (int axis = 0; axis < static_cast<int>(port.sizes.size()); ++axis) {
      if (axis == port.axis) continue;
      auto& runs = axis < port.axis ? port.outer : port.inner;
      runs = product(runs, port.sizes[axis]).value_or(0);
    }
    return port;
  }

  // Bounds of integers are exact; those of floats are doubles, as in Python.
  static long double bound(const Port& port, const Json& said) {
    bool floats = port.dtype == kFloat32 || port.dtype == kFloat64;
    return floats ? said.number(0) : std::strtold(said.text().c_str(), nullptr);
  }

  Cost read_cost(const Json& said) const {
    Cost found;
    found.fixed = said["fixed"].number(0);
    for (auto& dim : dims) found.per.push_back(said["per"][dim].number(0));
    auto& knee = said["knee"];
    auto dim = std::find(dims.begin(), dims.end(), knee["dim"].text());
    if (dim != dims.end()) {
      size_t place = dim - dims.begin();
      found.knee = Knee{place, knee["at"].number(0), knee["slope"].number(0)};
    }
    return found;
  }

  // Later code uses positions and sizes unchecked.
  void check() const {
    bool right = !dims.empty();
    for (auto& port : inputs) right = right && is_right(port, 1, merges);
    for (auto& port : outputs) {
      right = right && is_right(port, 0, splits) && !(splits && port.dtype == kBytes);
    }
    std::vector<bool> named(dims.size(), false);
    for (size_t input = 0; right && input < inputs.size(); ++input) {
      for (int dim : inputs[input].dims) {
        if (dim >= 0) named[dim] = true;
      }
    }
    for (auto& port : inputs) right = right && (port.counts < 0 || !named[port.counts]);
    if (!right) throw std::runtime_error("a worker process declared invalid tensors");
  }

  bool knows(int dim) const { return dim >= 0 && dim < static_cast<int>(dims.size()); }

  // `least` is the minimum size of an axis without a name in `dims`: 0 if its name may be unknown.
  // `laid_out`: the rows of several requests are contiguous.
  bool is_right(const Port& port, int64_t least, bool laid_out) const {
    int rank = static_cast<int>(port.dims.size());
    bool right = port.itemsize > 0 && port.sizes.size() == port.dims.size() && port.axis >= -1 &&
                 port.axis < rank && (port.counts == -1 || knows(port.counts));
    for (int axis = 0; right && axis < rank; ++axis) {
      int64_t size = port.sizes[axis];
      right = port.dims[axis] == -1 ? size >= least : knows(port.dims[axis]) && !size;
    }
    right = right && (!laid_out || can_be_merged(port));
    for (int target : port.targets) right = right && knows(target);
    return right;
  }

  // True for layouts that this side can merge and split: rows of one size, contiguous for BYTES;
  // indices of 32 or 64 bits.
  static bool can_be_merged(const Port& port) {
    if (port.dtype == kBytes && (port.outer != 1 || port.range)) return false;
    bool right = port.outer > 0 && port.inner > 0 && (port.axis < 0 || port.dims[port.axis] >= 0);
    if (port.targets.empty()) return right;
    // With several targets the first axis has one row for each.
    bool rows = port.targets.size() == 1 ||
                (port.axis != 0 && !port.sizes.empty() &&
                 port.sizes[0] == static_cast<int64_t>(port.targets.size()));
    return right && rows && (port.itemsize == 4 || port.itemsize == 8);
  }

  Budget bounds(const Json& said) const {
    Budget found{Sizes(dims.size(), kUnbounded)};
    for (size_t dim = 0; dim < dims.size(); ++dim) {
      found.sizes[dim] = said[dims[dim]].integer(kUnbounded);
    }
    return found;
  }
};

// Integers followed by text, the form of a batch's task and answer.
class Message {
 public:
  void put(int64_t number) { numbers_.push_back(number); }
  void put(const char* text, size_t size) { text_.append(text, size); }
  int64_t& operator[](size_t position) { return numbers_[position]; }
  size_t size() const { return numbers_.size(); }

  std::string packed() const {
    int64_t count = numbers_.size();
    std::string out(reinterpret_cast<const char*>(&count), sizeof count);
    out.append(reinterpret_cast<const char*>(numbers_.data()), sizeof(int64_t) * numbers_.size());
    return out + text_;
  }

 private:
  std::vector<int64_t> numbers_;
  std::string text_;
};

class Reading {
 public:
  // `message` must outlive this.
  explicit Reading(const std::string& message) : message_(message) {
    if (message.size() < sizeof(int64_t)) fail();
    memcpy(&count_, message.data(), sizeof count_);
    if (count_ < 0 || message.size() / sizeof(int64_t) <= static_cast<size_t>(count_)) fail();
    text_ = sizeof(int64_t) * (count_ + 1);
  }

  // Number of integers left.
  int64_t left() const { return count_ - next_; }

  int64_t number() {
    if (next_ >= count_) fail();
    int64_t value;
    memcpy(&value, message_.data() + sizeof(int64_t) * (++next_), sizeof value);
    return value;
  }

  std::string text(int64_t size) {
    if (size < 0 || static_cast<size_t>(size) > message_.size() - text_) fail();
    text_ += size;
    return message_.substr(text_ - size, size);
  }

  [[noreturn]] static void fail() {
    throw std::runtime_error("a worker process sent a malformed message");
  }

 private:

  const std::string& message_;
  int64_t count_ = 0, next_ = 0;
  size_t text_ = 0;
};

}  // namespace naiad
