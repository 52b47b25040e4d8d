#include "naiad/schema.hpp"

#include <algorithm>
#include <map>

namespace naiad {
namespace {

std::string text(const std::vector<Dim>& dims) {
  std::string result = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    result += i == 0 ? "" : ", ";
    result += dims[i].name.empty() ? std::to_string(dims[i].size) : std::string(dims[i].name);
  }
  return result + "]";
}

/// Sizes of named dimensions, with the tensor that set each.
class Sizes {
 public:
  /// The error in a tensor, in words; empty if there is none.
  std::string add(const TensorSpec& spec, DataType type, const Shape& shape) {
    const std::string tensor(spec.name);
    if (type != spec.type) {
      return tensor + " is " + name(type) + "; it must be " + name(spec.type);
    }
    if (shape.size() != spec.dims.size()) return wrong_shape(spec, shape);
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const Dim& dim = spec.dims[i];
      if (dim.name.empty()) {
        if (shape[i] != dim.size) return wrong_shape(spec, shape);
        continue;
      }
      const auto [first, is_new] = known_.try_emplace(dim.name, First{shape[i], spec.name});
      if (!is_new && first->second.size != shape[i]) {
        return tensor + " has " + std::to_string(shape[i]) + " " + std::string(dim.name) +
               ", but " + std::string(first->second.tensor) + " has " +
               std::to_string(first->second.size) + "; they must be equal";
      }
    }
    return "";
  }

 private:
  struct First {
    std::int64_t size;
    std::string_view tensor;
  };

  static std::string wrong_shape(const TensorSpec& spec, const Shape& shape) {
    return std::string(spec.name) + " has shape " + naiad::text(shape) + "; it must be " +
           text(spec.dims);
  }

  std::map<std::string_view, First> known_;
};

}  // namespace

void check_inputs(const Schema& schema, const std::vector<Input>& inputs) {
  for (const Input& input : inputs) {
    const bool known = std::any_of(schema.begin(), schema.end(),
                                   [&](const TensorSpec& spec) { return spec.name == input.name; });
    if (!known) throw InvalidInput("unknown input '" + input.name + "'");
  }
  Sizes sizes;
  for (const TensorSpec& spec : schema) {
    const auto input = std::find_if(inputs.begin(), inputs.end(),
                                    [&](const Input& given) { return given.name == spec.name; });
    if (input == inputs.end()) {
      if (spec.optional) continue;
      throw InvalidInput("input '" + std::string(spec.name) + "' is missing; it must be " +
                         name(spec.type) + " " + text(spec.dims));
    }
    if (const std::string wrong = sizes.add(spec, input->type, input->shape); !wrong.empty()) {
      throw InvalidInput(wrong);
    }
    check_bytes(*input);
  }
}

void check_outputs(const Schema& schema, const std::vector<Tensor>& outputs,
                   const std::vector<std::string>& asked) {
  Sizes sizes;
  for (const TensorSpec& spec : schema) {
    const Tensor* output = find(outputs, spec.name);
    if (output == nullptr) {
      if (asked.empty() || std::find(asked.begin(), asked.end(), spec.name) != asked.end()) {
        throw PipelineError("the server's answer has no output '" + std::string(spec.name) + "'");
      }
      continue;
    }
    if (const std::string wrong = sizes.add(spec, output->type, output->shape); !wrong.empty()) {
      throw PipelineError("the server's answer is wrong: " + wrong);
    }
  }
}

void check_bytes(const Input& input) {
  const std::size_t count = elements(input.shape);
  const std::size_t size = size_of(input.type);
  if (size != 0 && (input.bytes.size() % size != 0 || input.bytes.size() / size != count)) {
    throw InvalidInput(input.name + " has " + std::to_string(input.bytes.size() / size) +
                       " values; shape " + text(input.shape) + " needs " + std::to_string(count));
  }
}

}  // namespace naiad
