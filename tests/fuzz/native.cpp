// The native backend's decode path under libFuzzer: requests of any kind, made by the fuzzer through
// Triton's interface, and answers of any kind from a worker. Every request must get exactly one
// reply that can be sent, every index that is merged must be in range, and AddressSanitizer sees
// every place that is read or written.
//
// The file CONTRACTS has a line for each pipeline: what its worker announces (Wire.announced).
#include <fuzzer/FuzzedDataProvider.h>
#include <sanitizer/asan_interface.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fake_triton.h"
#include "held.h"
#include "request.h"

namespace {

using naiad::Arena;
using naiad::Batcher;
using naiad::Contract;
using naiad::Json;
using naiad::Message;
using naiad::Port;
using naiad::Reading;
using naiad::Sizes;
using naiad::PendingRequest;

const int64_t kNumbers[] = {
    -1, 0, 1, 2, 3, 7, 64, 65536, 65537, INT32_MAX, int64_t{1} << 32, int64_t{1} << 60,
    int64_t{1} << 61, int64_t{1} << 62, INT64_MAX - 63, INT64_MAX, INT64_MIN, -64};

class Fuzz {
 public:
  explicit Fuzz(FuzzedDataProvider& data) : data_(data) {}

  void run() {
    if (rarely(64)) return text();
    auto chosen = some_contract();
    const Contract& contract = *chosen;
    std::optional<naiad::LatencyTarget> target;
    if (rarely(2)) {
      auto learner = std::make_shared<naiad::Learner>(contract.dims.size(), contract.cost);
      Sizes sizes(contract.dims.size(), data_.ConsumeIntegral<uint8_t>());
      learner->learn(sizes, data_.ConsumeFloatingPoint<double>());
      target = naiad::LatencyTarget{data_.ConsumeFloatingPoint<double>(), learner};
    }
    Batcher<PendingRequest> queue(
        contract.budget, contract.capacity, contract.waiting, 0, target);
    size_t count = data_.ConsumeIntegralInRange(1, 5);
    std::vector<std::unique_ptr<TRITONBACKEND_Request>> requests;
    for (size_t number = 0; number < count; ++number) {
      calm_ = data_.ConsumeIntegralInRange(0, 3) < 3;  // most requests are right
      requests.push_back(some_request(contract));
      calm_ = false;
      auto pending = std::make_unique<PendingRequest>(requests.back().get(), nullptr, metrics());
      if (auto wrong = naiad::Examination(*pending, contract).run(); !wrong.empty()) {
        pending->refuse(naiad::kInvalidArgument, "InvalidInput", wrong);
        continue;
      }
      check(*pending, contract);
      if (auto why = queue.put(pending, contract.dims); !why.empty()) pending->refuse_unavailable(why);
    }
    while (true) {
      auto batch = queue.take(naiad::Seconds(0), SIZE_MAX);
      if (!batch || batch->empty()) break;
      if (contract.ahead) {
        hold(contract, std::move(*batch));
      } else {
        serve(contract, *batch);
      }
    }
    while (!held_.empty()) let_go(contract);
    for (auto& request : requests) REQUIRE(request->replies == 1 && request->releases == 1);
  }

 private:
  bool rarely(int times) { return !calm_ && data_.ConsumeIntegralInRange(0, times) == times; }

  int64_t odd_number() { return data_.PickValueInArray(kNumbers); }

  std::string some_text() {
    std::string text = data_.ConsumeRandomLengthString(24);
    text.resize(std::min(text.size(), text.find('\0')));  // Triton gives C strings
    return rarely(200) ? std::string(70000, 'a') + text : text;
  }

  // What may be any bytes: no message is too odd, no JSON either.
  void text() {
    std::string any = data_.ConsumeRemainingBytesAsString();
    std::string once = naiad::sendable(any);
    REQUIRE(naiad::is_utf8(once) && naiad::encoded_size(once) <= 2500);
    REQUIRE(naiad::sendable(once) == once);
    REQUIRE(naiad::is_utf8(naiad::shown(any)));
    try {
      Json::parse(any);
      REQUIRE(any.find('\0') == 0 || Json::parse(naiad::quoted(any)).is_string());
    } catch (const std::runtime_error&) {
    }
  }

  std::shared_ptr<const Contract> some_contract() {
    static const auto* known = [] {
      auto* found = new std::vector<std::shared_ptr<const Contract>>;
      for (auto& line : lines()) found->push_back(std::make_shared<Contract>(Json::parse(line)));
      return found;
    }();
    size_t which = data_.ConsumeIntegralInRange<size_t>(0, lines().size() - 1);
    if (rarely(100)) {
      std::string changed = lines()[which];
      for (int times = data_.ConsumeIntegralInRange(1, 4); times > 0; --times) {
        size_t at = data_.ConsumeIntegralInRange<size_t>(0, changed.size() - 1);
        changed.replace(at, data_.ConsumeIntegralInRange(0, 2), data_.ConsumeRandomLengthString(4));
      }
      try {
        return std::make_shared<Contract>(Json::parse(changed));
      } catch (const std::runtime_error&) {
      }
    }
    return (*known)[which];
  }

  static const std::vector<std::string>& lines() {
    static const auto* all = [] {
      auto* found = new std::vector<std::string>;
      std::ifstream file(getenv("CONTRACTS") ? getenv("CONTRACTS") : "contracts.jsonl");
      for (std::string line; std::getline(file, line);) found->push_back(line);
      REQUIRE(!found->empty());
      return found;
    }();
    return *all;
  }

  std::unique_ptr<TRITONBACKEND_Request> some_request(const Contract& contract) {
    auto request = std::make_unique<TRITONBACKEND_Request>();
    if (rarely(4)) request->id = some_text();
    for (int times = rarely(4) ? data_.ConsumeIntegralInRange(1, 3) : 0; times > 0; --times) {
      request->parameters.push_back(some_parameter());
    }
    base64_ = false;
    for (auto& one : request->parameters) base64_ = base64_ || one.name == "naiad_bytes";
    Sizes sizes(contract.dims.size(), 1);
    for (size_t dim = 1; dim < sizes.size(); ++dim) sizes[dim] = data_.ConsumeIntegralInRange(0, 6);
    // One input may have other sizes than the rest, and be all right by itself.
    size_t skewed = data_.ConsumeIntegralInRange<size_t>(0, 4 * contract.inputs.size());
    for (size_t place = 0; place < contract.inputs.size(); ++place) {
      auto& port = contract.inputs[place];
      Sizes own = sizes;
      if (place + 1 == skewed) {
        own[data_.ConsumeIntegralInRange<size_t>(0, own.size() - 1)] += 1;
      }
      if (!rarely(port.optional ? 1 : 30)) request->inputs.push_back(some_input(port, own));
    }
    if (rarely(60)) request->inputs.emplace_back();
    for (auto& port : contract.outputs) {
      if (!rarely(8)) request->outputs.push_back(port.name);
    }
    return request;
  }

  Parameter some_parameter() {
    Parameter made{rarely(3) ? "naiad_priority" : some_text(), int64_t{0}};
    switch (data_.ConsumeIntegralInRange(0, 3)) {
      case 0: made.value = some_text(); break;
      case 1: made.value = data_.ConsumeIntegral<int64_t>(); break;
      case 2: made.value = data_.ConsumeBool(); break;
      default: made.value = data_.ConsumeFloatingPoint<double>(); break;
    }
    if (rarely(8)) made.value = rarely(2) ? NAN : rarely(1) ? INFINITY : -INFINITY;
    made.absent = rarely(30);
    if (rarely(3)) return {"naiad_bytes", rarely(6) ? some_text() : "base64"};
    return made;
  }

  TRITONBACKEND_Input some_input(const Port& port, const Sizes& sizes) {
    TRITONBACKEND_Input input;
    input.name = port.name;
    input.dtype = rarely(40) ? data_.ConsumeIntegral<int8_t>() : port.dtype;
    for (size_t axis = 0; axis < port.dims.size(); ++axis) {
      input.shape.push_back(port.dims[axis] < 0 ? port.sizes[axis] : sizes[port.dims[axis]]);
    }
    if (rarely(12) && !input.shape.empty()) {
      size_t times = data_.ConsumeIntegralInRange<size_t>(1, input.shape.size());
      while (times--) input.shape[data_.ConsumeIntegral<uint8_t>() % input.shape.size()] = odd_number();
    }
    if (rarely(40)) input.shape.push_back(odd_number());
    if (rarely(40) && !input.shape.empty()) input.shape.pop_back();
    auto count = naiad::elements(input.shape.data(), input.shape.size(), 1).value_or(0);
    std::string content = content_of(port, std::min<int64_t>(count, 64), sizes);
    input.bytes = rarely(30) ? static_cast<uint64_t>(odd_number()) : content.size();
    if (rarely(20)) {
      content.resize(data_.ConsumeIntegralInRange<size_t>(0, content.size() + 9));
      if (rarely(1)) input.bytes = content.size();
    }
    for (size_t at = 0; at < content.size();) {
      size_t left = content.size() - at;
      size_t size = rarely(4) ? data_.ConsumeIntegralInRange<size_t>(0, left) : left;
      input.pieces.emplace_back(content.begin() + at, content.begin() + at + size);
      at += size;
      if (input.pieces.size() > 20) break;
    }
    if (rarely(80)) input.memory = 2;  // a GPU's
    return input;
  }

  std::string content_of(const Port& port, int64_t count, const Sizes& sizes) {
    std::string content;
    for (int64_t number = 0; number < count; ++number) {
      if (port.dtype == naiad::kBytes) {
        std::string element = data_.ConsumeRandomLengthString(6);
        if (base64_ && !rarely(12)) {
          std::string coded;
          naiad::append_base64(coded, element);
          element = coded;
        }
        auto length = static_cast<uint32_t>(rarely(20) ? odd_number() : element.size());
        content.append(reinterpret_cast<char*>(&length), 4);
        content += element;
        continue;
      }
      int64_t value = data_.ConsumeIntegral<int8_t>();
      if (!port.targets.empty()) {
        int64_t limit = std::max<int64_t>(1, sizes[port.targets[number % port.targets.size()]]);
        value = rarely(60) ? odd_number() : (value & 127) % limit;
      }
      content.append(reinterpret_cast<char*>(&value), std::min<int64_t>(8, port.itemsize));
      content.append(std::max<int64_t>(0, std::min<int64_t>(port.itemsize, 64) - 8), '\0');
    }
    return content;
  }

  // What is promised of a request that is queued.
  static void check(const PendingRequest& pending, const Contract& contract) {
    for (auto& parameter : pending.request->parameters) {
      auto* number = std::get_if<double>(&parameter.value);
      REQUIRE(!number || parameter.absent || std::isfinite(*number));
    }
    REQUIRE(naiad::is_utf8(pending.id) && naiad::is_utf8(pending.parameters));
    if (!pending.parameters.empty()) Json::parse(pending.parameters);
    for (int64_t size : pending.sizes) REQUIRE(size >= 0);
    for (size_t input = 0; input < pending.given.size(); ++input) {
      auto& given = pending.given[input];
      auto& port = contract.inputs[input];
      REQUIRE(given.input || port.optional);
      if (!given.input) continue;
      uint64_t pieces = 0, count = 1;
      for (auto& piece : given.input->pieces) pieces += piece.size();
      for (int64_t size : given.input->shape) count *= size;
      REQUIRE(given.decoded == (pending.base64 && port.dtype == naiad::kBytes));
      REQUIRE(given.decoded ? given.bytes <= pieces : given.bytes == pieces);
      if (given.decoded) check_elements(given.data, given.bytes, count);
      for (size_t axis = 0; axis < given.rank; ++axis) {
        int dim = port.dims[axis];
        REQUIRE(given.shape[axis] == (dim < 0 ? port.sizes[axis] : pending.sizes[dim]));
      }
      REQUIRE(port.dtype == naiad::kBytes || count * port.itemsize == pieces);
    }
  }

  void serve(const Contract& contract, naiad::Batch& batch) {
    std::string task;
    naiad::Batch aside;
    size_t count = batch.size();
    if (contract.merges) task = naiad::write_merged(contract, batch, aside, 1, inbox());
    REQUIRE(batch.size() + aside.size() == count);
    if (!batch.empty()) answered(contract, batch, task);
    if (!aside.empty()) answered(contract, aside, "");
  }

  // Write a task, unless it is merged and written, and have it answered.
  void answered(const Contract& contract, naiad::Batch& batch, std::string task) {
    bool merged = !task.empty();
    if (!merged) task = naiad::write_apart(contract, batch, 1, inbox());
    check_task(contract, batch, task, merged);
    answer(contract, batch, merged);
  }

  // A worker is given a batch beside those that it has, and answers some.
  void hold(const Contract& contract, naiad::Batch batch) {
    size_t size = naiad::size_ahead(batch), start = held_.room(size);
    std::string task = naiad::write_apart(contract, batch, 1, inbox(), start);
    Reading reading(task);
    REQUIRE(reading.number() == static_cast<int64_t>(start + size));
    check_task(contract, batch, task, false);
    held_.add(std::move(batch), start, start + size);
    REQUIRE(held_.end() >= start + size);
    for (int times = data_.ConsumeIntegralInRange(0, 3); times > 0 && !held_.empty(); --times) {
      let_go(contract);
    }
  }

  void let_go(const Contract& contract) {
    size_t count = data_.ConsumeIntegralInRange<size_t>(1, held_.batch().size());
    auto batch = held_.pop(count);
    REQUIRE(batch.size() == count);
    const char* base = inbox().reserve(0);
    for (auto& pending : batch) {
      auto& claim = base[pending->claim];
      REQUIRE(!claim);
      for (auto& [offset, bytes] : sent_[pending.get()]) {
        REQUIRE(!bytes.compare(0, bytes.size(), base + offset, bytes.size()));
      }
      if (rarely(6)) pending->refuse_unavailable("it is too late");
    }
    answer(contract, batch, false);
  }

  void answer(const Contract& contract, naiad::Batch& batch, bool merged) {
    std::string said = some_answer(contract, batch, merged);
    int64_t claimed = 0;
    if (said.size() >= 16) memcpy(&claimed, said.data() + 8, 8);
    char* base = outbox().reserve(kRoom);
    size_t written = claimed < 0 || claimed > int64_t{kRoom} ? kRoom : claimed;
    ASAN_POISON_MEMORY_REGION(base + written, kRoom - written);
    try {
      naiad::deliver(contract, batch, said, outbox(), {}, metrics(), {});
    } catch (const std::runtime_error& error) {
      for (auto& pending : batch) {
        if (pending->request) pending->refuse(naiad::kInternal, "PipelineError", error.what());
      }
    }
    ASAN_UNPOISON_MEMORY_REGION(base, kRoom);
  }

  // What a worker is told is in the inbox, and no index leads out of its own graph.
  void check_task(
      const Contract& contract, const naiad::Batch& batch, const std::string& task, bool merged) {
    Reading reading(task);
    int64_t end = reading.number();
    REQUIRE(reading.number() == static_cast<int64_t>(batch.size()));
    auto apart = contract.ahead ? naiad::kAhead : naiad::kApart;
    REQUIRE(reading.number() == (merged ? naiad::kMerged : apart));
    REQUIRE(reading.number() == 1);  // thread
    const char* base = inbox().reserve(end);
    if (!merged) {
      int64_t start = contract.ahead ? reading.number() : 0;
      for (size_t number = 0; contract.ahead && number < batch.size(); ++number) {
        REQUIRE(batch[number]->claim == start + number && !base[start + number]);
      }
      if (contract.ahead) start += naiad::aligned(batch.size());
      for (auto& pending : batch) {
        bool checked = reading.number();
        for (int64_t size : pending->sizes) REQUIRE(reading.number() == size);
        REQUIRE(reading.text(reading.number()) == pending->id);
        reading.text(reading.number());
        for (size_t input = 0; input < contract.inputs.size(); ++input) {
          int64_t rank = reading.number();
          if (rank < 0) continue;
          while (rank--) reading.number();
          int64_t offset = reading.number(), bytes = reading.number();
          REQUIRE(offset >= start && bytes >= 0 && bytes <= end && offset <= end - bytes);
          auto& port = contract.inputs[input];
          if (checked && port.range && port.targets.empty()) check_range(port, base + offset, bytes);
          if (contract.ahead) {
            sent_[pending.get()].emplace_back(offset, std::string(base + offset, bytes));
          }
        }
      }
      REQUIRE(!reading.left());
      return;
    }
    Sizes totals(contract.dims.size());
    for (auto& total : totals) total = reading.number();
    for (auto& port : contract.inputs) {
      int64_t offset = reading.number(), bytes = reading.number();
      REQUIRE(offset >= 0 && bytes >= 0 && bytes <= end && offset <= end - bytes);
      if (port.dtype == naiad::kBytes) {
        check_elements(base + offset, bytes, port.elements(totals));
        continue;
      }
      REQUIRE(bytes == port.outer * port.rows(totals) * port.inner);
      if (!port.targets.empty()) check_indices(port, batch, base + offset, totals);
      if (port.range) check_range(port, base + offset, bytes);
    }
  }

  static void check_elements(const char* base, int64_t bytes, int64_t elements) {
    int64_t at = 0;
    while (elements--) {
      uint32_t length = 0;
      REQUIRE(bytes - at >= 4);
      memcpy(&length, base + at, 4);
      at += 4 + int64_t{length};
      REQUIRE(at <= bytes);
    }
    REQUIRE(at == bytes);
  }

  // Of what the pipelines here have: only floats, which must be finite.
  static void check_range(const Port& port, const char* base, int64_t bytes) {
    for (int64_t at = 0; port.dtype == naiad::kFloat32 && at < bytes; at += sizeof(float)) {
      float value;
      memcpy(&value, base + at, sizeof value);
      REQUIRE(std::isfinite(value));
    }
  }

  // Each element by itself, and by where it is: whose row it is in, and into what it is an index.
  static void check_indices(
      const Port& port, const naiad::Batch& batch, const char* base, const Sizes& totals) {
    int64_t rows = port.rows(totals), width = port.inner / port.itemsize;
    int64_t kinds = port.targets.size();
    for (int64_t place = 0; place < port.outer * rows * width; ++place) {
      int64_t element = place % width, row = place / width % rows, run = place / width / rows;
      int target = port.targets[port.axis < 0 ? element * kinds / width : run * kinds / port.outer];
      int64_t first = 0;
      auto pending = batch.begin();
      for (; row >= port.rows((*pending)->sizes); ++pending) {
        row -= port.rows((*pending)->sizes);
        first += (*pending)->sizes[target];
      }
      uint64_t index = 0;
      memcpy(&index, base + place * port.itemsize, port.itemsize);
      REQUIRE(index - first < static_cast<uint64_t>((*pending)->sizes[target]));
    }
  }

  // An answer as a worker would give it, some of its numbers changed; or anything at all.
  std::string some_answer(const Contract& contract, const naiad::Batch& batch, bool merged) {
    if (rarely(20)) return data_.ConsumeRandomLengthString(64);
    std::vector<int64_t> numbers{4096, static_cast<int64_t>(batch.size())};
    std::string text;
    if (merged && (contract.splits ? !rarely(4) : rarely(20))) {
      numbers.push_back(naiad::kMerged);
      for (size_t output = 0; output < contract.outputs.size(); ++output) numbers.push_back(64 * output);
    } else {
      numbers.push_back(naiad::kApart);
      for (auto& pending : batch) answer(contract, *pending, numbers, text);
    }
    numbers.insert(numbers.end(), contract.stages.size(), 5);
    numbers.push_back(1);
    numbers.insert(numbers.end(), contract.dims.size(), 3);
    numbers.insert(numbers.end(), 2 * contract.stages.size(), 7);  // when each began and ended
    for (int times = rarely(2) ? data_.ConsumeIntegralInRange(1, 3) : 0; times > 0; --times) {
      size_t at = data_.ConsumeIntegralInRange<size_t>(0, numbers.size() - 1);
      int64_t near = numbers[at] % 8192 + data_.ConsumeIntegralInRange(-9, 9);
      numbers[at] = rarely(1) ? odd_number() : near;
    }
    if (rarely(20)) numbers.resize(data_.ConsumeIntegralInRange<size_t>(0, numbers.size()));
    Message message;
    for (int64_t number : numbers) message.put(number);
    message.put(text.data(), text.size());
    std::string said = message.packed();
    if (rarely(30)) said.resize(data_.ConsumeIntegralInRange<size_t>(0, said.size()));
    if (rarely(30) && said.size() >= 8) {
      int64_t count = odd_number();
      memcpy(said.data(), &count, sizeof count);
    }
    return said;
  }

  void answer(
      const Contract& contract, const PendingRequest& pending, std::vector<int64_t>& numbers,
      std::string& text) {
    if (rarely(4)) {
      std::string kind = "PipelineError", why = data_.ConsumeRandomLengthString(40);
      if (rarely(4)) why += std::string(9000, static_cast<char>(data_.ConsumeIntegral<uint8_t>()));
      numbers.insert(numbers.end(), {1, static_cast<int64_t>(kind.size()),
                                     static_cast<int64_t>(why.size())});
      text += kind + why;
      return;
    }
    numbers.push_back(0);
    for (auto& port : contract.outputs) {
      if (rarely(10)) {
        numbers.push_back(-1);
        continue;
      }
      numbers.push_back(port.dims.size());
      int64_t bytes = port.itemsize;
      for (size_t axis = 0; axis < port.dims.size(); ++axis) {
        int64_t size = port.dims[axis] < 0 ? port.sizes[axis] : pending.sizes[port.dims[axis]];
        numbers.push_back(size);
        bytes = naiad::product(bytes, size).value_or(0);
      }
      numbers.push_back(64 * data_.ConsumeIntegralInRange(0, 63));
      numbers.push_back(bytes);
    }
  }

  static Arena& inbox() {
    static auto* one = new Arena;
    return *one;
  }

  static Arena& outbox() {
    static auto* one = [] {
      auto* made = new Arena;
      REQUIRE(!ftruncate(made->fd, kRoom));
      return made;
    }();
    return *one;
  }

  FuzzedDataProvider& data_;
  bool calm_ = false;
  naiad::Held held_;
  bool base64_ = false;  // of the request being made
  std::map<PendingRequest*, std::vector<std::pair<int64_t, std::string>>> sent_;
  // One model's for all runs: what appears with an event must not appear for ever.
  static naiad::Metrics& metrics() {
    static auto* one = [] {
      auto* made = new naiad::Metrics("fuzzed", "1");
      made->declare(
          {"queue", "prepare", "collate", "forward", "split", "finish"}, {"requests", "x", "y"});
      return made;
    }();
    return *one;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  Fuzz(data).run();
  return 0;
}
