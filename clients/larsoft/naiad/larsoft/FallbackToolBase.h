// An art tool that answers in place of the servers where none can.
#pragma once

#include <naiad/nugraph3.hpp>

namespace naiad::larsoft {

class FallbackToolBase {
 public:
  virtual ~FallbackToolBase() noexcept = default;

  /// The answer to `input`; `error` says why no server gave one.
  virtual models::Nugraph3Output infer(const models::Nugraph3Input& input, const Error& error) = 0;
};

}  // namespace naiad::larsoft
