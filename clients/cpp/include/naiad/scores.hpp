// Probabilities from a network's scores.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace naiad {

/// Softmax of the scores from `first` to `last`, in place, computed in double precision.
template <class Iterator>
void softmax(Iterator first, Iterator last) {
  if (first == last) return;
  const double most = *std::max_element(first, last);
  std::vector<double> weights;
  double sum = 0;
  for (Iterator score = first; score != last; ++score) {
    weights.push_back(std::exp(static_cast<double>(*score) - most));
    sum += weights.back();
  }
  for (const double weight : weights) *first++ = static_cast<float>(weight / sum);
}

}  // namespace naiad
