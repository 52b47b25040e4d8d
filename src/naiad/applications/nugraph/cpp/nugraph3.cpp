// NuGraph3's inference on a CPU as a library for compiled.py, which has the same declarations.
//
// The network is compiled once for each instruction set; the caller says which the processor has.
// Needs nothing of C++'s library, so that nothing of it is shared between instruction sets.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

inline void* operator new(size_t, void* place) { return place; }

namespace {

// Sizes of the network. Features of hits, spacepoints and events are multiples of 16: the caller
// adds some that are 0 and stay so.
struct Sizes {
  int64_t planes, in_features, planar, nexus, interaction;
  int64_t semantic_classes, event_classes, iterations;
};

// A plane of a batch: its hits and edges, and where its answers go.
struct PlaneBatch {
  int64_t hits, plane_edges, nexus_edges;
  const float* x;                              // [hits, in_features]
  const int64_t *plane_source, *plane_target;  // [plane_edges]
  const int64_t *nexus_hit, *nexus_point;      // [nexus_edges]
  float* semantic;                             // [hits, semantic_classes]
  float* filter;                               // [hits]
};

// A block-diagonal batch of events, whose indices are in range.
struct Batch {
  int64_t spacepoints, events;
  const int64_t* event_of;  // [spacepoints]
  float* event_scores;      // [events, event_classes]
  float* vertex;            // [events, 3]
  const PlaneBatch* planes;
};

constexpr int64_t padded(int64_t features) { return (features + 15) / 16 * 16; }

namespace baseline {
constexpr int lanes = 4, block_rows = 6;
#include "network.h"
}  // namespace baseline

#ifdef __x86_64__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace avx2 {
constexpr int lanes = 8, block_rows = 6;  // of 16 registers, 12 hold sums
#include "network.h"
}  // namespace avx2
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f"))), apply_to = function)
namespace avx512 {
constexpr int lanes = 16, block_rows = 12;  // of 32 registers, 24 do
#include "network.h"
}  // namespace avx512
#pragma clang attribute pop
#endif

struct InstructionSet {
  void* (*load)(const Sizes&, const float*, int64_t);
  bool (*label)(const void*, const Batch&);
  void (*unload)(void*);
};

constexpr InstructionSet instruction_sets[] = {
    {baseline::load, baseline::label, baseline::unload},
#ifdef __x86_64__
    {avx2::load, avx2::label, avx2::unload},
    {avx512::load, avx512::label, avx512::unload},
#endif
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void* nugraph3_load(int set, const Sizes* sizes, const float* weights, int64_t count) {
  return instruction_sets[set].load(*sizes, weights, count);
}

EXPORT bool nugraph3_label(int set, const void* network, const Batch* batch) {
  return instruction_sets[set].label(network, *batch);
}

EXPORT void nugraph3_unload(int set, void* network) { instruction_sets[set].unload(network); }
