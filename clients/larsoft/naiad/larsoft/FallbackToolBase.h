// An art tool that answers if no server can.
#pragma once

#include <naiad/nugraph3.hpp>

namespace naiad::larsoft {

class FallbackToolBase {
 public:
  virtual ~FallbackToolBase() noexcept = default;

  /// Return the answer to `input`; `error` says why no server did. Only the outputs that the job's
  /// products need are read; x_semantic_* have a column per configured category, five or seven.
  virtual models::Nugraph3Output infer(const models::Nugraph3Input& input, const Error& error) = 0;
};

}  // namespace naiad::larsoft
