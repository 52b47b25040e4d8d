// Edges of a batch.
// Included in the namespace of an instruction set.

// Edges by target: those of node t come from sources[begin[t]] to sources[begin[t + 1] - 1].
struct Edges {
  const int32_t* sources;
  const int64_t* begin;
};

// Group edges by target, keeping their order.
inline Edges group(Memory& memory, const int64_t* source, const int64_t* target, int64_t edges,
                   int64_t targets) {
  auto* begin = memory.take<int64_t>(targets + 2);
  auto* sources = memory.take<int32_t>(edges);
  if (memory.failed) return {};
  memset(begin, 0, (targets + 2) * sizeof(int64_t));
  int64_t* place = begin + 1;  // where the next edge of a target goes; in the end, the next's begin
  for (int64_t e = 0; e < edges; e++) place[target[e] + 1]++;
  for (int64_t t = 0; t < targets; t++) place[t + 1] += place[t];
  for (int64_t e = 0; e < edges; e++) sources[place[target[e]]++] = source ? source[e] : e;
  return {sources, begin};
}

// Note the hit of each spacepoint on plane p in row-major hit_of, [points, planes]; -1 for no hit.
inline void match(const PlaneBatch& plane, int64_t p, int64_t planes, int64_t points,
                  int32_t* hit_of) {
  for (int64_t s = 0; s < points; s++) hit_of[s * planes + p] = -1;
  for (int64_t e = 0; e < plane.nexus_edges; e++)
    hit_of[plane.nexus_point[e] * planes + p] = plane.nexus_hit[e];
}
