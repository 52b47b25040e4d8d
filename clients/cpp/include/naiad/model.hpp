// Typed calls, with the headers that `naiad codegen cpp` writes.
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "naiad/client.hpp"
#include "naiad/schema.hpp"

namespace naiad {

/// A served model that takes `In` and returns `Out`, both generated from its pipeline's schema.
/// Safe to use from any number of threads at once.
template <class In, class Out>
class Model {
 public:
  /// Answers in place of the servers, from the input and the error that no server answered.
  using Fallback = std::function<Out(const In&, const Error&)>;

  /// `client` must outlive the model and its futures.
  explicit Model(Client& client, std::string name = In::model)
      : client_(client), name_(std::move(name)) {}

  /// Use `fallback` if no server answers: all are unavailable, or the time is up. It is called in
  /// the thread of the call, or by `infer_async` in one of the client's. Set it before calls.
  void set_fallback(Fallback fallback) { fallback_ = std::move(fallback); }

  /// Ask and wait. Throws InvalidInput for wrong shapes before anything is sent, and naiad::Error
  /// as Client::infer does.
  Out infer(const In& input, const Call& call = {}) const {
    const std::vector<Input> inputs = input.tensors();
    check_inputs(In::schema(), inputs);
    try {
      std::vector<Tensor> outputs = client_.infer(name_, inputs, call);
      check_outputs(Out::schema(), outputs, call.outputs);
      return Out::from(outputs);
    } catch (const Unavailable& error) {
      if (fallback_) return fallback_(input, error);
      throw;
    } catch (const DeadlineExceeded& error) {
      if (fallback_) return fallback_(input, error);
      throw;
    }
  }

  /// Ask without waiting for the answer; waits while the client's `max_in_flight` are in flight.
  std::future<Out> infer_async(In input, Call call = {}) const {
    return client_.submit(
        [this, input = std::move(input), call = std::move(call)] { return infer(input, call); });
  }

  const std::string& name() const { return name_; }
  Client& client() const { return client_; }

 private:
  Client& client_;
  std::string name_;
  Fallback fallback_;
};

/// Add a member of a generated struct to the tensors to send.
template <class T>
void add_tensor(std::vector<Input>& tensors, const TensorSpec& spec, const std::vector<T>& values) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  tensors.push_back(Input::of(std::string(spec.name), spec.type, values, shape));
}

template <class T>
void add_tensor(std::vector<Input>& tensors, const TensorSpec& spec, const Array<T>& array) {
  tensors.push_back(Input::of(std::string(spec.name), spec.type, array.data, array.shape));
}

template <class T>
void add_tensor(std::vector<Input>& tensors, const TensorSpec& spec,
                const std::optional<T>& given) {
  if (given) add_tensor(tensors, spec, *given);
}

/// Fill a member of a generated struct from the answer; leave it empty if the answer lacks it.
template <class T>
void read_tensor(const std::vector<Tensor>& tensors, std::string_view name, Array<T>& array) {
  if (const Tensor* found = find(tensors, name)) {
    array.data = found->values<T>();
    array.shape = found->shape;
  }
}

template <class T>
void read_tensor(const std::vector<Tensor>& tensors, std::string_view name,
                 std::vector<T>& values) {
  if (const Tensor* found = find(tensors, name)) values = found->values<T>();
}

template <class T>
void read_tensor(const std::vector<Tensor>& tensors, std::string_view name,
                 std::optional<T>& given) {
  if (find(tensors, name) != nullptr) read_tensor(tensors, name, given.emplace());
}

}  // namespace naiad
