// Schema of a model's tensors, as its pipeline declares them, and its checks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "naiad/tensor.hpp"

namespace naiad {

/// One dimension: a size, or a name (then the size is 0). Dimensions of one name are equally long.
struct Dim {
  std::int64_t size = 0;
  std::string_view name;

  constexpr Dim(std::int64_t fixed) : size(fixed) {}         // NOLINT: reads as {"hits", 7}
  constexpr Dim(const char* dimension) : name(dimension) {}  // NOLINT
};

/// One tensor of a schema.
struct TensorSpec {
  std::string_view name;
  DataType type;
  std::vector<Dim> dims;
  bool optional = false;
};

using Schema = std::vector<TensorSpec>;

/// Throw InvalidInput unless names, datatypes and shapes fit the schema, and the bytes of each
/// tensor its shape.
void check_inputs(const Schema& schema, const std::vector<Input>& inputs);

/// Throw PipelineError unless the answer fits the schema. If `asked` names outputs, only those are
/// required.
void check_outputs(const Schema& schema, const std::vector<Tensor>& outputs,
                   const std::vector<std::string>& asked);

/// Throw InvalidInput if the bytes of a tensor do not fit its shape.
void check_bytes(const Input& input);

}  // namespace naiad
