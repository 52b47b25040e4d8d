// NuGraph's inference on a CPU, a library for native_library.py, which has the same declarations.
//
// The networks are compiled once per instruction set; the caller selects the processor's. They use no
// C++ library, so that the instruction sets share no library code.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

inline void* operator new(size_t, void* place) { return place; }

namespace {

// Sizes of the networks. Features of hits, spacepoints and events are multiples of 16: the caller pads
// with features that are 0 and stay 0.
struct NuGraph2Sizes {
  int64_t planes, in_features, planar, nexus;  // planar and nexus: for each class
  int64_t semantic_classes, iterations;
};

struct NuGraph3Sizes {
  int64_t planes, in_features, planar, nexus, interaction;
  int64_t semantic_classes, event_classes, iterations;
};

struct CondensationSizes {
  int64_t in_features, hit, nexus, interaction, coordinates, wide;  // multiples of 16 too
  int64_t condenses;                   // whether hits have scores and coordinates
  int64_t hit_columns, event_columns;  // of all heads of hits, of events; multiples of 16
  int64_t iterations;
};

// A plane of a batch: its hits, its edges and the destination of its answers.
struct PlaneBatch {
  int64_t hits, plane_edges, nexus_edges;
  const float* x;                              // [hits, in_features]
  const int64_t *plane_source, *plane_target;  // [plane_edges]
  const int64_t *nexus_hit, *nexus_point;      // [nexus_edges]
  float* semantic;                             // [hits, semantic_classes]
  float* filter;                               // [hits]
};

// Block-diagonal batches of events, whose indices are in range.
struct NuGraph2Batch {
  int64_t spacepoints;
  const PlaneBatch* planes;
};

struct NuGraph3Batch {
  int64_t spacepoints;
  const PlaneBatch* planes;
  int64_t events;
  const int64_t* event_of;  // [spacepoints]
  float* event_scores;      // [events, event_classes]
  float* vertex;            // [events, 3]
};

struct CondensationBatch {
  int64_t hits, spacepoints, events, plane_edges, nexus_edges;
  const float* x;                              // [hits, in_features]
  const int64_t *plane_source, *plane_target;  // [plane_edges]
  const int64_t *nexus_hit, *nexus_point;      // [nexus_edges]
  const int64_t* event_of;                     // [spacepoints]
  float *scores, *places;                      // [hits], [hits, coordinates], if it condenses
  float* hit_scores;                           // [hits, hit_columns]
  float* event_scores;                         // [events, event_columns]
};

constexpr int64_t padded(int64_t features) { return (features + 15) / 16 * 16; }

namespace baseline {
constexpr int lanes = 4, block_rows = 6;
#include "networks.h"
}  // namespace baseline

#ifdef __x86_64__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace avx2 {
constexpr int lanes = 8, block_rows = 6;  // of 16 registers, 12 hold sums
#include "networks.h"
}  // namespace avx2
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f"))), apply_to = function)
namespace avx512 {
constexpr int lanes = 16, block_rows = 12;  // of 32 registers, 24 do
#include "networks.h"
}  // namespace avx512
#pragma clang attribute pop
#endif

template <typename Sizes, typename Batch>
struct Network {
  void* (*load)(const Sizes&, const float*, int64_t);
  bool (*label)(const void*, const Batch&);
  void (*unload)(void*);
};

struct InstructionSet {
  Network<NuGraph2Sizes, NuGraph2Batch> nugraph2;
  Network<NuGraph3Sizes, NuGraph3Batch> nugraph3;
  Network<CondensationSizes, CondensationBatch> condensation;
};

#define NETWORKS(set)                                                   \
  {{set::nugraph2::load, set::nugraph2::label, set::nugraph2::unload}, \
   {set::nugraph3::load, set::nugraph3::label, set::nugraph3::unload}, \
   {set::condensation::load, set::condensation::label, set::condensation::unload}}

constexpr InstructionSet instruction_sets[] = {
    NETWORKS(baseline),
#ifdef __x86_64__
    NETWORKS(avx2),
    NETWORKS(avx512),
#endif
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void* nugraph2_load(int set, const NuGraph2Sizes* sizes, const float* weights,
                           int64_t count) {
  return instruction_sets[set].nugraph2.load(*sizes, weights, count);
}

EXPORT bool nugraph2_label(int set, const void* network, const NuGraph2Batch* batch) {
  return instruction_sets[set].nugraph2.label(network, *batch);
}

EXPORT void nugraph2_unload(int set, void* network) {
  instruction_sets[set].nugraph2.unload(network);
}

EXPORT void* nugraph3_load(int set, const NuGraph3Sizes* sizes, const float* weights,
                           int64_t count) {
  return instruction_sets[set].nugraph3.load(*sizes, weights, count);
}

EXPORT bool nugraph3_label(int set, const void* network, const NuGraph3Batch* batch) {
  return instruction_sets[set].nugraph3.label(network, *batch);
}

EXPORT void nugraph3_unload(int set, void* network) {
  instruction_sets[set].nugraph3.unload(network);
}

EXPORT void* condensation_load(int set, const CondensationSizes* sizes, const float* weights,
                               int64_t count) {
  return instruction_sets[set].condensation.load(*sizes, weights, count);
}

EXPORT bool condensation_label(int set, const void* network, const CondensationBatch* batch) {
  return instruction_sets[set].condensation.label(network, *batch);
}

EXPORT void condensation_unload(int set, void* network) {
  instruction_sets[set].condensation.unload(network);
}
