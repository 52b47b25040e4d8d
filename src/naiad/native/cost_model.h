// The cost of a batch: seconds as a function of its sizes, first estimated and then learned from
// batches that ran.
#pragma once

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

#include "sizes.h"

namespace naiad {

// Point where a dimension costs more: `slope` extra seconds per row beyond `at` rows.
struct Knee {
  size_t dim = 0;
  double at = 0, slope = 0;
};

struct Cost {
  double fixed = 0;         // seconds per batch, independent of its content
  std::vector<double> per;  // seconds per row of each dimension
  std::optional<Knee> knee;

  // Predicted seconds for a batch of these sizes, whose type may be wider than that of Sizes.
  template <typename Row>
  double seconds(const std::vector<Row>& sizes) const {
    double rows = 0;
    for (size_t dim = 0; dim < per.size(); ++dim) rows += per[dim] * static_cast<double>(sizes[dim]);
    return fixed + rows + beyond(sizes);
  }

  // Share of it that comes from rows beyond the knee.
  template <typename Row>
  double beyond(const std::vector<Row>& sizes) const {
    if (!knee) return 0;
    return knee->slope * std::max(0.0, static_cast<double>(sizes[knee->dim]) - knee->at);
  }
};

// Learns the cost of batches; older ones count less. Thread-safe.
//
// Least squares of the relative error, with no coefficient below zero, by coordinate descent (Franc,
// Hlavac and Navara, "Sequential coordinate-wise algorithm for the non-negative least squares
// problem", CAIP 2005) on normal equations in which each batch counts 3% less with every later one.
// Until the first batch has run it predicts 0, or what `prior` predicts, which counts as ten batches.
// A knee is taken from the prior and never learned.
class Learner {
 public:
  explicit Learner(size_t dims, const std::optional<Cost>& prior = {})
      : squares_(1 + dims, std::vector<double>(1 + dims, 0)), products_(1 + dims, 0) {
    if (prior) cost_ = *prior;
    cost_.per.resize(dims, 0);
    if (prior) believe();
  }

  // Current estimate.
  Cost cost() const {
    std::lock_guard<std::mutex> hold(mutex_);
    return cost_;
  }

  // Learn that a batch of these sizes took `seconds`.
  void learn(const Sizes& sizes, double seconds) {
    seconds = std::max(kTiny, seconds);
    std::lock_guard<std::mutex> hold(mutex_);
    for (auto& row : squares_) {
      for (auto& value : row) value *= kMemory;
    }
    for (auto& value : products_) value *= kMemory;
    double plain = std::max(0.0, seconds - cost_.beyond(sizes));
    count(std::vector<double>(sizes.begin(), sizes.end()), plain, 1 / seconds);
    descend();
  }

 private:
  static constexpr double kMemory = 0.97;  // weight that a batch keeps with each later one
  static constexpr int kSweeps = 8;        // of the descent, which starts at the previous solution
  static constexpr double kBelief = 3.1622776601683795;  // root of the batches that a prior counts as
  static constexpr double kTiny = 1e-9;

  // Count an empty batch, and for each dimension a batch in which it costs as much.
  void believe() {
    double share = std::max(cost_.fixed, 1e-3), total = cost_.fixed + share;
    std::vector<double> rows(cost_.per.size(), 0);
    count(rows, cost_.fixed, kBelief / share);
    for (size_t dim = 0; dim < rows.size(); ++dim) {
      if (cost_.per[dim] == 0) continue;
      rows[dim] = share / cost_.per[dim];
      count(rows, total, kBelief / total);
      rows[dim] = 0;
    }
  }

  // Add a batch to the normal equations. The first coefficient is the fixed cost.
  void count(const std::vector<double>& sizes, double seconds, double weight) {
    std::vector<double> row{weight};
    for (double size : sizes) row.push_back(weight * size);
    for (size_t i = 0; i < row.size(); ++i) {
      for (size_t j = 0; j < row.size(); ++j) squares_[i][j] += row[i] * row[j];
      products_[i] += row[i] * weight * seconds;
    }
  }

  void descend() {
    std::vector<double> solution{cost_.fixed};
    solution.insert(solution.end(), cost_.per.begin(), cost_.per.end());
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      // The fixed cost comes last: while all batches have one size, larger ones are assumed to cost
      // proportionally more.
      for (size_t i = solution.size(); i-- > 0;) {
        if (!(squares_[i][i] > 0)) continue;
        double predicted = 0;
        for (size_t j = 0; j < solution.size(); ++j) predicted += squares_[i][j] * solution[j];
        solution[i] = std::max(0.0, solution[i] + (products_[i] - predicted) / squares_[i][i]);
      }
    }
    cost_.fixed = solution[0];
    cost_.per.assign(solution.begin() + 1, solution.end());
  }

  mutable std::mutex mutex_;
  std::vector<std::vector<double>> squares_;
  std::vector<double> products_;
  Cost cost_;
};

}  // namespace naiad
