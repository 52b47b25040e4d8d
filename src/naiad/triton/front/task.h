// Batches on their way to a worker, and its answers on their way back: wire.py is the other end.
#pragma once

#include <string>
#include <vector>

#include "indices.h"

namespace naiad {

using Batch = Batcher<Ticket>::Batch;

// How a task's requests lie in the inbox, and an answer's results in the outbox. To merged requests a
// worker may also answer that it wants each by itself, to find out what is wrong with which.
enum Form : int64_t { kApart = 0, kMerged = 1, kWantedApart = 2 };

// One input of one request, in the memory of Triton.
struct Given {
  TRITONBACKEND_Input* input = nullptr;
  const int64_t* shape = nullptr;
  uint32_t rank = 0, buffers = 0;
  uint64_t bytes = 0;

  // False where the request leaves it out.
  bool find(const Ticket& ticket, const Port& port) {
    if (auto* absent = TRITONBACKEND_RequestInput(ticket.request, port.name.c_str(), &input)) {
      TRITONSERVER_ErrorDelete(absent);
      return false;
    }
    TRITONSERVER_ErrorDelete(TRITONBACKEND_InputProperties(
        input, nullptr, nullptr, &shape, &rank, &bytes, &buffers));
    return true;
  }

  const char* buffer(uint32_t number, uint64_t& size) const {
    const void* data = nullptr;
    int memory = kCpu;
    int64_t device = 0;
    auto* failed = TRITONBACKEND_InputBuffer(input, number, &data, &size, &memory, &device);
    if (failed || (memory != kCpu && memory != kPinned)) {
      TRITONSERVER_ErrorDelete(failed);
      throw std::runtime_error("inputs can be read from the CPU's memory only");
    }
    return static_cast<const char*>(data);
  }

  // Whether it is of the declared shape, with the request's sizes of named dimensions.
  bool fits(const Port& port, const Sizes& sizes) const {
    if (rank != port.dims.size() || buffers > 1) return false;
    for (uint32_t axis = 0; axis < rank; ++axis) {
      int64_t wanted = port.dims[axis] < 0 ? port.sizes[axis] : sizes[port.dims[axis]];
      if (shape[axis] != wanted) return false;
    }
    return true;
  }
};

constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Copy the inputs of a batch into the inbox, the one copy that is made of them, each request's by
// themselves. Returns the message that says where they are.
inline std::string write_apart(const Contract& contract, const Batch& batch, Arena& inbox) {
  std::vector<std::pair<Given, size_t>> pieces;
  Message task;
  task.put(0);  // bytes in the inbox, known at the end
  task.put(batch.size());
  task.put(kApart);
  size_t end = 0;
  for (auto& ticket : batch) {
    const char* id = nullptr;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestId(ticket->request, &id));
    std::string name = id ? id : "";
    task.put(name.size());
    task.put(name.data(), name.size());
    task.put(ticket->parameters.size());
    task.put(ticket->parameters.data(), ticket->parameters.size());
    for (auto& port : contract.inputs) {
      Given given;
      if (!given.find(*ticket, port)) {
        task.put(-1);
        continue;
      }
      task.put(given.rank);
      for (uint32_t axis = 0; axis < given.rank; ++axis) task.put(given.shape[axis]);
      task.put(end);
      task.put(given.bytes);
      pieces.emplace_back(given, end);
      end += aligned(given.bytes);
    }
  }
  task[0] = end;
  char* base = inbox.reserve(end);
  for (auto& [given, offset] : pieces) {
    for (uint32_t number = 0; number < given.buffers; ++number) {
      uint64_t size = 0;
      const char* data = given.buffer(number, size);
      if (size) memcpy(base + offset, data, size);
      offset += size;
    }
  }
  return task.packed();
}

// The same, with the rows of all requests behind each other, and indices shifted: the merged tensors
// of the batch. "" where the requests do not fit together so, or an index is out of its range.
inline std::string write_merged(const Contract& contract, const Batch& batch, Arena& inbox) {
  std::vector<Given> given(batch.size() * contract.inputs.size());
  auto next = given.begin();
  Sizes totals(contract.dims.size(), 0);
  for (auto& ticket : batch) {
    add(totals, ticket->sizes);
    for (auto& port : contract.inputs) {
      if (!next->find(*ticket, port) || !next->fits(port, ticket->sizes)) return "";
      ++next;
    }
  }
  Message task;
  task.put(0);
  task.put(batch.size());
  task.put(kMerged);
  for (int64_t total : totals) task.put(total);
  size_t end = 0;
  std::vector<size_t> offsets;
  for (auto& port : contract.inputs) {
    offsets.push_back(end);
    task.put(end);
    end += aligned(port.outer * port.rows(totals) * port.inner);
  }
  for (auto& ticket : batch) {
    for (int64_t size : ticket->sizes) task.put(size);
  }
  task[0] = end;
  char* base = inbox.reserve(end);
  for (size_t input = 0; input < contract.inputs.size(); ++input) {
    auto& port = contract.inputs[input];
    Sizes before(contract.dims.size(), 0);
    for (size_t number = 0; number < batch.size(); ++number) {
      auto& one = given[number * contract.inputs.size() + input];
      auto& sizes = batch[number]->sizes;
      uint64_t size = 0;
      const char* data = one.buffers ? one.buffer(0, size) : nullptr;
      if (size != static_cast<uint64_t>(port.outer * port.rows(sizes) * port.inner)) return "";
      if (!merge_in(port, data, base + offsets[input], sizes, before, totals)) return "";
      add(before, sizes);
    }
  }
  return task.packed();
}

inline int64_t form_of(const std::string& answer) {
  Reading reading(answer);
  reading.number();
  reading.number();
  return reading.number();
}

// Answer each request of a batch as the worker's message says, whose arrays are in the outbox.
inline void answer_apart(
    const Contract& contract, Batch& batch, Reading& done, const char* base, const Times& times) {
  for (auto& ticket : batch) {
    if (int64_t code = done.number()) {
      std::string kind = done.text(done.number());
      std::string text = done.text(done.number());
      ticket->refuse(static_cast<int>(code), kind, text);
      continue;
    }
    std::vector<Value> values;
    for (auto& port : contract.outputs) {
      int64_t rank = done.number();
      if (rank < 0) continue;
      Value value{&port.name, port.dtype, std::vector<int64_t>(rank)};
      for (auto& size : value.shape) size = done.number();
      value.data = base + done.number();
      value.run = done.number();
      values.push_back(std::move(value));
    }
    ticket->answer(values, times);
  }
}

// The same, where the rows of all requests lie behind each other.
inline void answer_merged(
    const Contract& contract, Batch& batch, Reading& done, const char* base, const Times& times) {
  Sizes totals(contract.dims.size(), 0), before(totals);
  for (auto& ticket : batch) add(totals, ticket->sizes);
  std::vector<const char*> outputs;
  for (size_t output = 0; output < contract.outputs.size(); ++output) {
    outputs.push_back(base + done.number());
  }
  for (auto& ticket : batch) {
    std::vector<Value> values;
    for (size_t output = 0; output < contract.outputs.size(); ++output) {
      auto& port = contract.outputs[output];
      int64_t rows = port.rows(ticket->sizes);
      Value value{&port.name, port.dtype, port.sizes};
      if (port.axis >= 0) value.shape[port.axis] = rows;
      value.data = outputs[output] + port.rows(before) * port.inner;
      value.run = rows * port.inner;
      value.runs = port.outer;
      value.stride = port.rows(totals) * port.inner;
      values.push_back(std::move(value));
    }
    add(before, ticket->sizes);
    ticket->answer(values, times);
  }
}

}  // namespace naiad
