// Checks of a request before it is queued. All later code relies on them: text is UTF-8, sizes do
// not overflow and agree between inputs, and each input has as many bytes as its shape needs.
#pragma once

#include <strings.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "contract.h"
#include "text.h"
#include "pending_request.h"

namespace naiad {

class Examination {
 public:
  Examination(PendingRequest& pending, const Contract& contract)
      : pending_(pending), contract_(contract) {}

  // Fill in the pending request; return what is wrong with it, or "".
  std::string run() {
    read_parent();  // first: a request that is refused is traced, too
    if (!read_text() || !read_parameters() || !read_inputs() || !within_limit()) return wrong_;
    return "";
  }

 private:
  static constexpr size_t kMostText = 64 << 10;  // bytes of a request's id and parameters
  static constexpr int64_t kUnsent = 65536;      // maximum size of a dimension without values

  bool refuse(std::string why) {
    wrong_ = std::move(why);
    return false;
  }

  bool read_text() {
    const char* id = nullptr;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestId(pending_.request, &id));
    pending_.id = id ? id : "";
    if (!is_utf8(pending_.id)) {
      return refuse("the request id is " + shown(pending_.id) + ", which is not UTF-8");
    }
    return fits();
  }

  bool fits() {
    size_t size = pending_.id.size() + pending_.parameters.size();
    return size <= kMostText || refuse("the request's id and parameters have " + grouped(size) +
                                       " bytes; they may have " + grouped(kMostText));
  }

  struct Parameter {
    const char* key = nullptr;
    int type = 0;
    const void* value = nullptr;
  };

  uint32_t parameter_count() const {
    uint32_t count = 0;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestParameterCount(pending_.request, &count));
    return count;
  }

  Parameter parameter(uint32_t number) const {
    Parameter found;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestParameter(
        pending_.request, number, &found.key, &found.type, &found.value));
    return found;
  }

  // Triton forwards the header as a parameter, if its command line asks for it.
  void read_parent() {
    const uint32_t count = parameter_count();
    for (uint32_t number = 0; number < count; ++number) {
      const auto [key, type, value] = parameter(number);
      if (key && value && type == kString && strcasecmp(key, "traceparent") == 0) {
        pending_.story.parent.read(static_cast<const char*>(value));
      }
    }
  }

  bool read_parameters() {
    const uint32_t count = parameter_count();
    for (uint32_t number = 0; number < count; ++number) {
      const auto [key, type, value] = parameter(number);
      std::string name = key ? key : "", text;
      if (!is_utf8(name)) {
        return refuse("the name of parameter " + shown(name) + " is not UTF-8");
      }
      if (!as_json(name, value ? type : -1, value, text)) return false;
      pending_.parameters += (number ? ", " : "{") + quoted(name) + ": " + text;
      if (!fits()) return false;
      if (name == "naiad_bytes") {
        pending_.base64 = text == "\"base64\"";
        if (!pending_.base64) {
          return refuse("parameter naiad_bytes is " + text + "; it must be \"base64\"");
        }
      }
      if (name != "naiad_priority") continue;
      int64_t priority = type == kInt && value ? *static_cast<const int64_t*>(value) : INT64_MAX;
      if (priority < -10 || priority > 10) {
        return refuse("parameter naiad_priority is " + text +
                      "; it must be an integer from -10 (most urgent) to 10");
      }
      pending_.priority = priority;
    }
    if (count) pending_.parameters += "}";
    return true;
  }

  bool as_json(const std::string& name, int type, const void* value, std::string& text) {
    switch (type) {
      case kString: {
        std::string said = static_cast<const char*>(value);
        if (!is_utf8(said)) {
          return refuse("parameter " + name + " is " + shown(said) + ", which is not UTF-8");
        }
        text = quoted(said);
        return true;
      }
      case kInt: text = std::to_string(*static_cast<const int64_t*>(value)); return true;
      case kBool: text = *static_cast<const bool*>(value) ? "true" : "false"; return true;
      case kDouble: {
        double number = *static_cast<const double*>(value);
        char written[32];
        snprintf(written, sizeof written, "%.17g", number);
        text = written;
        return std::isfinite(number) ||
               refuse("parameter " + name + " is " + text + "; it must be a finite number");
      }
      default: text = "null"; return true;
    }
  }

  bool read_inputs() {
    pending_.sizes.assign(contract_.dims.size(), 0);
    pending_.sizes[0] = 1;
    pending_.given.assign(contract_.inputs.size(), Given{});
    first_.assign(contract_.dims.size(), nullptr);
    sent_.assign(contract_.dims.size(), false);
    uint32_t count = 0, known = 0;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestInputCount(pending_.request, &count));
    for (size_t place = 0; place < contract_.inputs.size(); ++place) {
      auto& port = contract_.inputs[place];
      auto& given = pending_.given[place];
      if (given.find(pending_.request, port.name)) {
        if (!read_input(port, given)) return false;
        ++known;
      } else if (!port.optional) {
        return refuse("input '" + port.name + "' is missing; it must be " + dtype_name(port.dtype) + " " +
                      contract_.shape_text(port));
      }
    }
    if (known != count) return refuse("the request has inputs that this model does not have");
    for (size_t dim = 1; dim < contract_.dims.size(); ++dim) {
      if (first_[dim] && !sent_[dim] && pending_.sizes[dim] > kUnsent) {
        return refuse(first_[dim]->name + " has " + grouped(pending_.sizes[dim]) + " " +
                      contract_.dims[dim] + " but no values; at most " + grouped(kUnsent) +
                      " may be empty");
      }
    }
    return true;
  }

  bool read_input(const Port& port, Given& given) {
    if (given.dtype != port.dtype) {
      return refuse(port.name + " is " + dtype_name(given.dtype) + "; it must be " +
                    dtype_name(port.dtype));
    }
    auto found = elements(given.shape, given.rank, port.itemsize);
    if (!fits_shape(port, given, found)) return false;
    if (!found) {
      return refuse(port.name + " has shape " + shape_text(given.shape, given.rank) +
                    ", which is too large for any memory");
    }
    uint64_t pieces = 0;
    for (uint32_t number = 0; number < given.buffers; ++number) {
      const char* from = nullptr;
      uint64_t size = 0;
      if (!given.piece(number, from, size)) {
        return refuse(port.name + " is in memory that cannot be read here; send it in host memory");
      }
      if (given.buffers == 1) given.data = from;
      if (__builtin_add_overflow(pieces, size, &pieces)) pieces = UINT64_MAX;
    }
    if (pieces != given.bytes) {
      return refuse(port.name + " has " + std::to_string(pieces) + " bytes, but declares " +
                    std::to_string(given.bytes));
    }
    if (port.dtype == kBytes) {
      bool right = pending_.base64 ? decode(port, given, *found) : read_elements(port, given, *found);
      if (right && port.counts > 0) count(port, given.bytes - 4 * *found);
      return right;
    }
    uint64_t expected = *found * port.itemsize;
    if (given.bytes != expected) {
      return refuse(port.name + " has " + std::to_string(given.bytes) + " bytes; shape " +
                    shape_text(given.shape, given.rank) + " of " + dtype_name(port.dtype) + " takes " +
                    std::to_string(expected));
    }
    if (port.counts > 0) count(port, *found);
    return true;
  }

  // Check a shape against the declared one and those of previous inputs.
  bool fits_shape(const Port& port, const Given& given, std::optional<int64_t> elements) {
    bool right = given.rank == port.dims.size();
    for (uint32_t axis = 0; right && axis < given.rank; ++axis) {
      int dim = port.dims[axis];
      int64_t size = given.shape[axis];
      if (dim <= 0) {
        right = size == (dim < 0 ? port.sizes[axis] : 1);
        continue;
      }
      if (size < 0) {
        return refuse(port.name + " has shape " + shape_text(given.shape, given.rank) +
                      "; no size may be negative");
      }
      auto& known = pending_.sizes[dim];
      if (first_[dim] && known != size) {
        return refuse(port.name + " has " + std::to_string(size) + " " + contract_.dims[dim] +
                      ", but " + first_[dim]->name + " has " + std::to_string(known) +
                      "; they must be equal");
      }
      if (!first_[dim]) first_[dim] = &port;
      known = size;
      sent_[dim] = sent_[dim] || elements.value_or(0) > 0;
    }
    return right || refuse(port.name + " has shape " + shape_text(given.shape, given.rank) +
                           "; it must be " + contract_.shape_text(port));
  }

  // Each element of a BYTES tensor follows its length, in 32 bits.
  bool read_elements(const Port& port, const Given& given, int64_t wanted) {
    std::string name = port.name + ": ";
    if (given.bytes / 4 < static_cast<uint64_t>(wanted)) {
      return refuse(name + "there are fewer than " + std::to_string(wanted) + " elements");
    }
    Bytes bytes(given);
    uint64_t left = given.bytes;
    for (int64_t number = 0; number < wanted; ++number) {
      uint32_t length = 0;
      if (!bytes.length(length)) {
        return refuse(name + "there are fewer than " + std::to_string(wanted) + " elements");
      }
      left -= 4;
      if (length > left || !bytes.skip(length)) {
        return refuse(name + "element " + std::to_string(number) + " of " + std::to_string(wanted) +
                      " is longer than the data sent");
      }
      left -= length;
    }
    if (!bytes.at_end()) {
      return refuse(name + "there are more than " + std::to_string(wanted) + " elements");
    }
    return true;
  }

  // Replace a BYTES tensor in base64 by a decoded copy. The copy is checked, since a client may still
  // write to memory that it shares.
  bool decode(const Port& port, Given& given, int64_t wanted) {
    char* copy = pending_.decoded.emplace_back(new char[given.bytes]).get();
    if (!given.copy(copy)) return refuse(port.name + " has changed its length");
    given.data = copy;
    given.buffers = 1;
    given.decoded = true;
    if (!read_elements(port, given, wanted)) return false;
    const char* from = copy;
    char* into = copy;
    for (int64_t number = 0; number < wanted; ++number) {
      uint32_t length = 0;
      size_t size = 0;
      memcpy(&length, from, sizeof length);
      from += sizeof length;
      auto wrong = decode_base64({from, length}, into + sizeof length, size);
      if (!wrong.empty()) {
        return refuse(port.name + ": element " + std::to_string(number) + " of " +
                      std::to_string(wanted) + " is not base64: " + wrong);
      }
      from += length;
      length = static_cast<uint32_t>(size);
      memcpy(into, &length, sizeof length);
      into += sizeof length + size;
    }
    given.bytes = into - copy;
    return true;
  }

  void count(const Port& port, int64_t amount) {
    auto& total = pending_.sizes[port.counts];
    if (__builtin_add_overflow(total, amount, &total)) total = kUnbounded;
  }

  bool within_limit() {
    for (size_t dim = 0; dim < pending_.sizes.size(); ++dim) {
      if (pending_.sizes[dim] > contract_.limit.sizes[dim]) {
        return refuse("the request has " + grouped(pending_.sizes[dim]) + " " + contract_.dims[dim] +
                      "; this model takes at most " + grouped(contract_.limit.sizes[dim]));
      }
    }
    return true;
  }

  PendingRequest& pending_;
  const Contract& contract_;
  std::string wrong_;
  std::vector<const Port*> first_;  // by dimension: first input that has it
  std::vector<char> sent_;          // by dimension: true if an input has values along it
};

}  // namespace naiad
