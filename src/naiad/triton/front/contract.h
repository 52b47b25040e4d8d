// What a model takes and gives, as its worker says it; and the messages that go between.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "json.h"
#include "ticket.h"
#include "worker.h"

namespace naiad {

struct Port {
  std::string name;
  int dtype = 0;
  std::vector<int> dims;  // position of each dimension's name in Contract::dims, or -1 for a size
};

struct Contract {
  explicit Contract(const Json& said) {
    for (auto& dim : said["dims"].items()) dims.push_back(dim.text());
    for (auto& port : said["inputs"].items()) inputs.push_back(read(port));
    for (auto& port : said["outputs"].items()) outputs.push_back(read(port));
    for (auto& stage : said["stages"].items()) stages.push_back(stage.text());
    budget = bounds(said["budget"]);
    limit = bounds(said["limit"]);
    watchdog = Seconds(said["watchdog"].number(120));
    capacity = static_cast<size_t>(said["queue_capacity"].number(10000));
    max_queue_delay = said["max_queue_delay"].number(0);
  }

  std::vector<std::string> dims;  // the first is that which every request has one of
  std::vector<Port> inputs, outputs;
  std::vector<std::string> stages;
  Budget budget;
  Budget limit;
  Seconds watchdog{};
  size_t capacity = 0;
  double max_queue_delay = 0;

 private:
  static Port read(const Json& said) {
    Port port;
    port.name = said["name"].text();
    port.dtype = static_cast<int>(said["dtype"].number(0));
    for (auto& dim : said["dims"].items()) port.dims.push_back(static_cast<int>(dim.number(-1)));
    return port;
  }

  Budget bounds(const Json& said) const {
    Budget found{Sizes(dims.size(), kUnbounded)};
    for (size_t dim = 0; dim < dims.size(); ++dim) {
      if (said[dims[dim]]) found.sizes[dim] = static_cast<int64_t>(said[dims[dim]].number(0));
    }
    return found;
  }
};

// Integers first, then text: the form of both messages that a batch takes.
class Message {
 public:
  void put(int64_t number) { numbers_.push_back(number); }
  void put(const char* text, size_t size) { text_.append(text, size); }
  int64_t& operator[](size_t position) { return numbers_[position]; }

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
    if (count_ < 0 || message.size() / sizeof(int64_t) < static_cast<size_t>(count_) + 1) fail();
    text_ = sizeof(int64_t) * (count_ + 1);
  }

  int64_t number() {
    if (next_ >= count_) fail();
    int64_t value;
    memcpy(&value, message_.data() + sizeof(int64_t) * (++next_), sizeof value);
    return value;
  }

  std::string text(size_t size) {
    if (size > message_.size() - text_) fail();
    text_ += size;
    return message_.substr(text_ - size, size);
  }

 private:
  [[noreturn]] static void fail() {
    throw std::runtime_error("a worker process sent a message that makes no sense");
  }

  const std::string& message_;
  int64_t count_ = 0, next_ = 0;
  size_t text_ = 0;
};

// Copy the inputs of a batch into the inbox, the one copy that is made of them, and return the
// message that says where they are.
inline std::string write_task(
    const Contract& contract, const Batcher<Ticket>::Batch& batch, Arena& inbox) {
  constexpr size_t kAlign = 64;
  struct Piece {
    TRITONBACKEND_Input* input;
    uint32_t buffers;
    size_t offset;
  };
  std::vector<Piece> pieces;
  Message task;
  task.put(0);  // bytes in the inbox, known at the end
  task.put(batch.size());
  size_t end = 0;
  for (auto& ticket : batch) {
    const char* id = "";
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestId(ticket->request, &id));
    if (!id) id = "";
    task.put(strlen(id));
    task.put(id, strlen(id));
    task.put(ticket->parameters.size());
    task.put(ticket->parameters.data(), ticket->parameters.size());
    for (auto& port : contract.inputs) {
      TRITONBACKEND_Input* input = nullptr;
      auto* absent = TRITONBACKEND_RequestInput(ticket->request, port.name.c_str(), &input);
      if (absent) {
        TRITONSERVER_ErrorDelete(absent);
        task.put(-1);
        continue;
      }
      const int64_t* shape = nullptr;
      uint32_t rank = 0, buffers = 0;
      uint64_t bytes = 0;
      TRITONSERVER_ErrorDelete(TRITONBACKEND_InputProperties(
          input, nullptr, nullptr, &shape, &rank, &bytes, &buffers));
      task.put(rank);
      for (uint32_t axis = 0; axis < rank; ++axis) task.put(shape[axis]);
      task.put(end);
      task.put(bytes);
      pieces.push_back({input, buffers, end});
      end += (bytes + kAlign - 1) / kAlign * kAlign;
    }
  }
  task[0] = end;
  char* base = inbox.reserve(end);
  for (auto& piece : pieces) {
    for (uint32_t number = 0; number < piece.buffers; ++number) {
      const void* data = nullptr;
      uint64_t bytes = 0;
      int memory = kCpu;
      int64_t device = 0;
      auto* failed =
          TRITONBACKEND_InputBuffer(piece.input, number, &data, &bytes, &memory, &device);
      if (failed || (memory != kCpu && memory != kPinned)) {
        TRITONSERVER_ErrorDelete(failed);
        throw std::runtime_error("inputs can be read from the CPU's memory only");
      }
      if (bytes) memcpy(base + piece.offset, data, bytes);
      piece.offset += bytes;
    }
  }
  return task.packed();
}

// One output as the worker has written it, whose bytes are at `base`.
inline bool read_value(Reading& done, const Port& port, const char* base, Value& value) {
  int64_t rank = done.number();
  if (rank < 0) return false;
  value.name = &port.name;
  value.dtype = port.dtype;
  value.shape.resize(rank);
  for (auto& size : value.shape) size = done.number();
  value.data = base + done.number();
  value.bytes = done.number();
  return true;
}

}  // namespace naiad
