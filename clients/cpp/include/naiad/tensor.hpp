// Tensors of requests and answers.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "naiad/error.hpp"

namespace naiad {

/// Datatypes of the KServe v2 protocol.
enum class DataType {
  BOOL,
  UINT8,
  UINT16,
  UINT32,
  UINT64,
  INT8,
  INT16,
  INT32,
  INT64,
  FP16,
  FP32,
  FP64,
  BYTES,
};

/// The type's name in the protocol, such as "FP32".
const char* name(DataType type);

/// The type with this name in the protocol. Throws PipelineError for an unknown one.
DataType datatype(std::string_view name);

/// Bytes per element; 0 for BYTES, whose elements vary in size.
std::size_t size_of(DataType type);

using Shape = std::vector<std::int64_t>;

/// As "[3, 7]".
std::string text(const Shape& shape);

/// Number of elements. Throws InvalidInput for a negative size, or a product beyond 64 bits.
std::size_t elements(const Shape& shape);

/// Bits of a half-precision number, with which C++17 cannot calculate.
struct Half {
  std::uint16_t bits = 0;
  friend bool operator==(Half a, Half b) { return a.bits == b.bits; }
};

/// Values with a shape, the last dimension varying fastest.
template <class T>
struct Array {
  Shape shape;
  std::vector<T> data;

  /// Size of the first dimension; 1 for a scalar.
  std::size_t rows() const { return shape.empty() ? 1 : static_cast<std::size_t>(shape[0]); }
  /// Elements per row.
  std::size_t columns() const { return rows() == 0 ? 0 : data.size() / rows(); }
  const T& operator()(std::size_t row, std::size_t column = 0) const {
    return data[row * columns() + column];
  }
};

/// A tensor to send. The caller owns its bytes and keeps them until the call returns; those of
/// strings are owned by the tensor.
struct Input {
  std::string name;
  DataType type;
  Shape shape;
  std::string_view bytes;
  std::shared_ptr<const std::string> owned;

  template <class T>
  static Input of(std::string name, DataType type, const std::vector<T>& values, Shape shape) {
    const auto* data = reinterpret_cast<const char*>(values.data());
    return {std::move(name), type, std::move(shape), {data, values.size() * sizeof(T)}, nullptr};
  }

  /// Strings, each preceded by its length.
  static Input of(std::string name, DataType type, const std::vector<std::string>& values,
                  Shape shape);
};

/// A tensor of an answer.
struct Tensor {
  std::string name;
  DataType type;
  Shape shape;
  std::string bytes;

  /// The values. Throws PipelineError if the bytes are not that many values of T.
  template <class T>
  std::vector<T> values() const {
    std::vector<T> values(checked_count(sizeof(T)));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

 private:
  std::size_t checked_count(std::size_t size) const;
};

/// The tensor with this name, or nullptr.
const Tensor* find(const std::vector<Tensor>& tensors, std::string_view name);

/// Strings of a BYTES tensor. Throws PipelineError if they are truncated.
template <>
std::vector<std::string> Tensor::values<std::string>() const;

}  // namespace naiad
