#include "naiad/tensor.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace naiad {
namespace {

struct Type {
  std::string_view name;
  std::size_t size;
};

// In the order of DataType.
constexpr std::array<Type, 13> kTypes{{{"BOOL", 1},
                                       {"UINT8", 1},
                                       {"UINT16", 2},
                                       {"UINT32", 4},
                                       {"UINT64", 8},
                                       {"INT8", 1},
                                       {"INT16", 2},
                                       {"INT32", 4},
                                       {"INT64", 8},
                                       {"FP16", 2},
                                       {"FP32", 4},
                                       {"FP64", 8},
                                       {"BYTES", 0}}};

using Length = std::uint32_t;

/// Number of elements by the shape in a server's answer.
std::size_t answered_elements(const Tensor& tensor) {
  try {
    return elements(tensor.shape);
  } catch (const InvalidInput& error) {
    throw PipelineError("the server's answer is wrong: " + tensor.name + ": " +
                        error.what());
  }
}

}  // namespace

const char* name(DataType type) {
  return kTypes[static_cast<std::size_t>(type)].name.data();
}

DataType datatype(std::string_view name) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].name == name) return static_cast<DataType>(i);
  }
  throw PipelineError("the server's answer has datatype " + std::string(name) +
                      ", which this client does not know");
}

std::size_t size_of(DataType type) {
  return kTypes[static_cast<std::size_t>(type)].size;
}

std::string text(const Shape& shape) {
  std::string result = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    result += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return result + "]";
}

std::size_t elements(const Shape& shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) throw InvalidInput("shape " + text(shape) + " has a negative size");
    const auto factor = static_cast<std::size_t>(size);
    if (factor != 0 && count > std::numeric_limits<std::size_t>::max() / factor) {
      throw InvalidInput("shape " + text(shape) + " has more elements than can be counted");
    }
    count *= factor;
  }
  return count;
}

Input Input::of(std::string name, DataType type, const std::vector<std::string>& values,
                Shape shape) {
  std::string packed;
  for (const std::string& value : values) {
    if (value.size() > std::numeric_limits<Length>::max()) {
      throw InvalidInput(name + " has a string of " + std::to_string(value.size()) +
                         " bytes; it must be less than 4 GiB");
    }
    const auto length = static_cast<Length>(value.size());
    packed.append(reinterpret_cast<const char*>(&length), sizeof(length));
    packed += value;
  }
  auto owned = std::make_shared<const std::string>(std::move(packed));
  const std::string_view bytes = *owned;
  return {std::move(name), type, std::move(shape), bytes, std::move(owned)};
}

const Tensor* find(const std::vector<Tensor>& tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

std::size_t Tensor::checked_count(std::size_t size) const {
  const std::size_t count = answered_elements(*this);
  if (size_of(type) != size || bytes.size() / size != count || bytes.size() % size != 0) {
    throw PipelineError(name + " is " + naiad::name(type) + " " + text(shape) + " in " +
                        std::to_string(bytes.size()) + " bytes, and cannot be read as " +
                        std::to_string(count) + " values of " + std::to_string(size) + " bytes");
  }
  return count;
}

template <>
std::vector<std::string> Tensor::values<std::string>() const {
  std::vector<std::string> values;
  const std::size_t count = answered_elements(*this);
  std::size_t at = 0;
  while (values.size() < count && bytes.size() - at >= sizeof(Length)) {
    Length length;
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    at += sizeof(length);
    if (length > bytes.size() - at) break;
    values.push_back(bytes.substr(at, length));
    at += length;
  }
  if (type != DataType::BYTES || values.size() != count || at != bytes.size()) {
    throw PipelineError(name + " is " + naiad::name(type) + " " + text(shape) +
                        ", and its bytes are not that many strings");
  }
  return values;
}

}  // namespace naiad
