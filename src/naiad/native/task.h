// Batches sent to a worker and its answers; wire.py is the other end.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "indices.h"
#include "pending_request.h"
#include "worker.h"

namespace naiad {

using Batch = Batcher<PendingRequest>::Batch;

// Layout of a task's requests in the inbox and of an answer's results in the outbox. A worker may
// answer merged requests by asking for them one by one, to find the faulty ones.
enum Form : int64_t { kApart = 0, kMerged = 1, kWantedApart = 2, kAhead = 3 };

constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Bytes that a batch takes in the inbox of a worker that holds several.
inline size_t size_ahead(const Batch& batch) {
  size_t size = aligned(batch.size());
  for (auto& pending : batch) {
    for (auto& given : pending->given) size += given.input ? aligned(given.bytes) : 0;
  }
  return size;
}

// Copy a request's inputs to `into`, which moves to their end; return false if a value is out of range
// as far as this side checks it. The copies are checked, since a client may still write to memory that
// it shares.
inline bool copy_in(const Contract& contract, const PendingRequest& pending, char*& into) {
  bool right = true;
  for (size_t input = 0; input < contract.inputs.size(); ++input) {
    auto& given = pending.given[input];
    if (!given.input) continue;
    if (!given.copy(into)) throw std::runtime_error("an input has changed its length");
    int64_t rows = given.rank ? given.shape[0] : 1;
    right = right && is_in_range(contract.inputs[input], into, given.bytes, rows, pending.sizes);
    into += aligned(given.bytes);
  }
  return right;
}

// Copy the inputs of a batch into the inbox, request by request, from offset `ahead` if the worker
// holds several. This is the only copy made of them. Return the message that says where they are.
inline std::string write_apart(
    const Contract& contract, const Batch& batch, int threads, Arena& inbox,
    std::optional<size_t> ahead = {}) {
  Message task;
  task.put(0);  // bytes in the inbox, filled in below
  task.put(batch.size());
  task.put(ahead ? kAhead : kApart);
  task.put(threads);
  size_t start = ahead.value_or(0), end = start;
  if (ahead) {
    task.put(start);
    for (auto& pending : batch) pending->claim = end++;
    start = end = *ahead + aligned(batch.size());
  }
  std::vector<size_t> checked;  // places in the message
  for (auto& pending : batch) {
    checked.push_back(task.size());
    task.put(0);
    for (int64_t size : pending->sizes) task.put(size);
    task.put(pending->id.size());
    task.put(pending->id.data(), pending->id.size());
    task.put(pending->parameters.size());
    task.put(pending->parameters.data(), pending->parameters.size());
    for (auto& given : pending->given) {
      if (!given.input) {
        task.put(-1);
        continue;
      }
      task.put(given.rank);
      for (uint32_t axis = 0; axis < given.rank; ++axis) task.put(given.shape[axis]);
      task.put(end);
      task.put(given.bytes);
      end += aligned(given.bytes);
    }
  }
  task[0] = end;
  char* into = inbox.reserve(end) + start;
  if (ahead) memset(into - aligned(batch.size()), 0, batch.size());
  for (size_t number = 0; number < batch.size(); ++number) {
    task[checked[number]] = copy_in(contract, *batch[number], into);
  }
  return task.packed();
}

// The same with the rows of all requests contiguous and indices shifted: the batch's merged tensors.
// Marks requests with an index or another value out of range in `wrong`; if there are none, the
// message is valid. "" if an input is in several pieces.
inline std::string lay_out(
    const Contract& contract, const Batch& batch, int threads, Arena& inbox,
    std::vector<bool>& wrong) {
  Sizes totals(contract.dims.size(), 0);
  for (auto& pending : batch) {
    add(totals, pending->sizes);
    for (auto& given : pending->given) {
      if (!given.input || given.buffers > 1) return "";
    }
  }
  Message task;
  task.put(0);
  task.put(batch.size());
  task.put(kMerged);
  task.put(threads);
  for (int64_t total : totals) task.put(total);
  size_t end = 0;
  std::vector<size_t> offsets;
  for (size_t input = 0; input < contract.inputs.size(); ++input) {
    size_t bytes = 0;
    for (auto& pending : batch) bytes += pending->given[input].bytes;
    offsets.push_back(end);
    task.put(end);
    task.put(bytes);
    end += aligned(bytes);
  }
  for (auto& pending : batch) {
    for (int64_t size : pending->sizes) task.put(size);
  }
  task[0] = end;
  char* base = inbox.reserve(end);
  for (size_t input = 0; input < contract.inputs.size(); ++input) {
    auto& port = contract.inputs[input];
    Sizes before(contract.dims.size(), 0);
    size_t at = offsets[input];
    for (size_t number = 0; number < batch.size(); ++number) {
      auto& given = batch[number]->given[input];
      auto& sizes = batch[number]->sizes;
      bool right = port.dtype == kBytes
                       ? merge_bytes(port, given.data, given.bytes, base + at, sizes)
                       : merge_in(port, given.data, base + offsets[input], sizes, before, totals);
      if (!right) wrong[number] = true;
      at += given.bytes;
      add(before, sizes);
    }
  }
  return task.packed();
}

// The same without faulty requests, which are moved to `aside`, so that they cost their neighbours
// nothing and a worker reports what is wrong with each. "" if none is left or they cannot be merged.
inline std::string write_merged(
    const Contract& contract, Batch& batch, Batch& aside, int threads, Arena& inbox) {
  while (!batch.empty()) {
    std::vector<bool> wrong(batch.size(), false);
    std::string task = lay_out(contract, batch, threads, inbox, wrong);
    if (std::find(wrong.begin(), wrong.end(), true) == wrong.end()) return task;
    Batch right;
    right.reserve(batch.size());  // so that no request is lost if memory runs out
    aside.reserve(aside.size() + batch.size());
    for (size_t number = 0; number < batch.size(); ++number) {
      (wrong[number] ? aside : right).push_back(std::move(batch[number]));
    }
    batch = std::move(right);
  }
  return "";
}

inline int64_t requests_of(const std::string& answer) {
  Reading reading(answer);
  reading.number();
  return reading.number();
}

inline int64_t form_of(const std::string& answer) {
  Reading reading(answer);
  reading.number();
  reading.number();
  return reading.number();
}

// Memory that a worker has written for a batch. Checks the offsets and sizes of its message.
class Results {
 public:
  Results(Arena& outbox, int64_t size) : size_(size) {
    if (size < 0 || !outbox.holds(size)) Reading::fail();
    base_ = outbox.reserve(size);
  }

  const char* at(int64_t offset, int64_t bytes) const {
    if (offset < 0 || bytes < 0 || offset > size_ || bytes > size_ - offset) Reading::fail();
    return base_ + offset;
  }

 private:
  int64_t size_;
  const char* base_;
};

// Answer each request of a batch from the worker's message.
inline void answer_apart(
    const Contract& contract, Batch& batch, Reading& done, const Results& results,
    const Times& times) {
  for (auto& pending : batch) {
    if (int64_t code = done.number()) {
      std::string kind = done.text(done.number());
      std::string text = done.text(done.number());
      if (!pending->request) continue;
      pending->refuse(code > 0 && code <= kLastCode ? static_cast<int>(code) : kInternal, kind, text);
      continue;
    }
    std::vector<Value> values;
    for (auto& port : contract.outputs) {
      int64_t rank = done.number();
      if (rank < 0) continue;
      if (rank > done.left()) Reading::fail();
      Value value{&port.name, port.dtype, std::vector<int64_t>(rank)};
      for (auto& size : value.shape) size = done.number();
      int64_t offset = done.number(), bytes = done.number();
      auto count = elements(value.shape.data(), rank, port.itemsize);
      bool fits = count && (port.dtype == kBytes ? *count <= bytes / 4
                                                 : *count * port.itemsize == bytes);
      if (!fits) Reading::fail();
      value.data = results.at(offset, bytes);
      value.run = bytes;
      values.push_back(std::move(value));
    }
    if (pending->request) pending->answer(values, times);
  }
}

// The same for results with the rows of all requests contiguous.
inline void answer_merged(
    const Contract& contract, Batch& batch, Reading& done, const Results& results,
    const Times& times) {
  if (!contract.splits) Reading::fail();
  Sizes totals(contract.dims.size(), 0), before(totals);
  for (auto& pending : batch) add(totals, pending->sizes);
  std::vector<const char*> outputs;
  for (auto& port : contract.outputs) {
    auto bytes = product(product(port.outer, port.rows(totals)).value_or(-1), port.inner);
    outputs.push_back(results.at(done.number(), bytes.value_or(-1)));
  }
  for (auto& pending : batch) {
    std::vector<Value> values;
    for (size_t output = 0; output < contract.outputs.size(); ++output) {
      auto& port = contract.outputs[output];
      int64_t rows = port.rows(pending->sizes);
      Value value{&port.name, port.dtype, port.sizes};
      if (port.axis >= 0) value.shape[port.axis] = rows;
      value.data = outputs[output] + port.rows(before) * port.inner;
      value.run = rows * port.inner;
      value.runs = port.outer;
      value.stride = port.rows(totals) * port.inner;
      values.push_back(std::move(value));
    }
    add(before, pending->sizes);
    pending->answer(values, times);
  }
}

// Note what the worker says of the task in the stories of its requests; `ran` has the rest.
inline void note_run(
    Batch& batch, Reading& done, const Contract& contract, const Times& times, Ran ran) {
  for (size_t stage = 0; stage < contract.stages.size(); ++stage) {
    int64_t began = done.number(), ended = done.number();
    if (stage >= kRecordedStages) continue;
    ran.spans[stage][0] = began;
    ran.spans[stage][1] = ended;
  }
  ran.requests = static_cast<int32_t>(batch.size());
  for (auto& pending : batch) {
    pending->story.times = times;
    pending->story.ran = ran;
  }
}

// Answer a batch from the worker's message and count its work; return the number of merged batches.
// Throws if the message is malformed, which may leave requests unanswered.
inline int64_t deliver(
    const Contract& contract, Batch& batch, const std::string& said, Arena& outbox,
    const Times& times, Metrics& metrics, Ran ran) {
  Reading done(said);
  Results results(outbox, done.number());
  if (done.number() != static_cast<int64_t>(batch.size())) {
    throw std::runtime_error("a worker process answered the wrong number of requests");
  }
  auto answer = done.number() == kMerged ? answer_merged : answer_apart;
  answer(contract, batch, done, results, times);
  for (size_t stage = 0; stage < contract.stages.size(); ++stage) {
    double seconds = 1e-9 * done.number() / batch.size();
    if (contract.stages[stage] != "queue") {
      metrics.stage(stage, seconds, batch.size());
    } else if (contract.ahead) {  // others are counted when they leave this side's queue
      for (auto& pending : batch) metrics.queue(pending->waited + seconds);
    }
  }
  int64_t batches = done.number();
  for (int64_t left = batches; left > 0; --left) {
    metrics.batch();
    for (size_t dim = 0; dim < contract.dims.size(); ++dim) {
      int64_t rows = done.number();
      metrics.items(dim, rows);
      if (dim < kRecordedDims) ran.totals[dim] += rows;
      if (dim == 0 && !batch.empty()) batch[0]->report_batch(rows, times);
    }
  }
  ran.merged = static_cast<int32_t>(batches);
  note_run(batch, done, contract, times, ran);
  return batches;
}

}  // namespace naiad
