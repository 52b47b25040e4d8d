// NuGraph2's inference. nugraph2_model.py in the folder above is the same function in torch: read it
// first.
//
// Steps have the same names. Differences, none of which changes the result:
//
// * gates are split into source and target features, computed per node instead of per edge;
// * so is plane_net's first layer: a sum of gated messages, times its weights, is the sum of messages
//   times weights, which are computed once per source. Hits then change in place, as their neighbours
//   read these products only;
// * the sums of nexus_net are as linear, and a spacepoint has at most one edge per plane: its first
//   layer is computed per hit;
// * nodes are processed in tiles, and classes in turn, so that temporaries stay in the processor's
//   cache.
//
// Included in the namespace of an instruction set.

namespace nugraph2 {

// Weights of a plane for a class. F, N: features of its hits, of spacepoints; in: given features.
struct PlaneClass {
  Layer encoder;                                             // [in, F]
  const float *plane_gate_of_target, *plane_gate_of_source;  // [F + in]
  Matrix plane_source;                 // [F + in, F], message part of plane_net's first layer
  Update plane_net;                    // [F + in, F], of the target's own features; [F, F]
  Matrix to_nexus;                     // [F, N], the plane's part of nexus_net's first layer
  const float* nexus_gate_of_target;   // [F], of nexus_down
  Update nexus_down;                   // [F + N, F]
};

// Weights of a plane.
struct Plane {
  const float *mean, *std;                           // [in]
  const float *plane_gate_bias, *nexus_gate_bias;    // [classes]
  PlaneClass* classes;
  Layer heads;  // [classes F, classes and the filter]
};

// Weights of spacepoints for a class.
struct NexusClass {
  const float* first_bias;  // [N], of nexus_net's first layer
  Layer second;             // [N, N]
};

// Weights of the network.
struct Network {
  NuGraph2Sizes sizes;
  Memory memory{};
  Plane* planes{};
  NexusClass* nexus{};  // by class
  Matrix nexus_gates;   // [classes N, planes classes], of sources of nexus_down
};

inline void read(Network& net, Reader& from) {
  const NuGraph2Sizes& s = net.sizes;
  const int64_t in = s.in_features, F = s.planar, N = s.nexus, C = s.semantic_classes;
  net.planes = net.memory.take<Plane>(s.planes);
  net.nexus = net.memory.take<NexusClass>(C);
  if (net.memory.failed) return;
  for (int64_t p = 0; p < s.planes; p++) {
    Plane& plane = net.planes[p];
    plane.mean = from.numbers(in);
    plane.std = from.numbers(in);
    plane.plane_gate_bias = from.numbers(C);
    plane.nexus_gate_bias = from.numbers(C);
    plane.classes = net.memory.take<PlaneClass>(C);
    if (!plane.classes) return;
    for (int64_t c = 0; c < C; c++) {
      PlaneClass& one = plane.classes[c];
      one.encoder = from.layer(in, F);
      one.plane_gate_of_target = from.numbers(F + in);
      one.plane_gate_of_source = from.numbers(F + in);
      one.plane_source = from.matrix(F + in, F);
      one.plane_net = from.update(F + in, F);
      one.to_nexus = from.matrix(F, N);
      one.nexus_gate_of_target = from.numbers(F);
      one.nexus_down = from.update(F + N, F);
    }
    plane.heads = from.layer(C * F, padded(C + 1));
  }
  for (int64_t c = 0; c < C; c++) {
    net.nexus[c].first_bias = from.numbers(N);
    net.nexus[c].second = from.layer(N, N);
  }
  net.nexus_gates = from.matrix(C * N, padded(s.planes * C));
}

// Share each edge's attention out among the classes; a row of gates for each.
inline void softmax(const Table& gates, int64_t classes, int64_t edges) {
  for (int64_t i = 0; i * lanes < edges; i++) {
    Vector top = vectors(gates[0])[i];
    for (int64_t c = 1; c < classes; c++) top = max(top, vectors(gates[c])[i]);
    Vector total{};
    for (int64_t c = 0; c < classes; c++) {
      Vector& gate = vectors(gates[c])[i];
      gate = exp(gate - top);
      total += gate;
    }
    for (int64_t c = 0; c < classes; c++) vectors(gates[c])[i] /= total;
  }
}

template <int width>
inline void gated_sum(const Table& x, const int32_t* sources, const float* gates, int64_t edges,
                      Vector* out) {
  Vector sums[width] = {};
  for (int64_t e = 0; e < edges; e++) {
    const Vector* message = vectors(x[sources[e]]);
#pragma clang loop unroll(full)
    for (int v = 0; v < width; v++) sums[v] += gates[e] * message[v];
  }
  for (int v = 0; v < width; v++) out[v] = sums[v];
}

// Sum of the gated features of sources, a few vectors at a time in registers.
inline void gated_sum(const Table& x, const int32_t* sources, const float* gates, int64_t edges,
                      float* out) {
  constexpr int few = 4;
  int64_t c = 0;
  for (; c + few * lanes <= x.columns; c += few * lanes)
    gated_sum<few>(x.part(c, few * lanes), sources, gates, edges, vectors(out + c));
  for (; c < x.columns; c += lanes)
    gated_sum<1>(x.part(c, lanes), sources, gates, edges, vectors(out + c));
}

// State of a plane's hits. Features of a class are side by side.
struct Hits {
  int64_t count;
  Edges plane_edges, nexus_edges;
  Table given;     // normalised input features
  Table features;  // [classes F]
  Table messages;  // [classes F], of step 1
  Table to_nexus;  // [classes N], messages of step 2
  // Gates of each hit, [classes]: as target and source of step 1, as target of step 3.
  Table as_target, as_source, from_nexus;
};

// State of a batch being labelled.
struct Labelling {
  const Network& net;
  const NuGraph2Batch& batch;
  Memory memory{};
  int64_t planes = net.sizes.planes, points = batch.spacepoints, most = tile_rows;
  int64_t classes = net.sizes.semantic_classes, F = net.sizes.planar, N = net.sizes.nexus;
  Hits* hits = memory.take<Hits>(planes);
  int32_t* hit_of = memory.take<int32_t>(points * planes);  // of a spacepoint on a plane, or -1
  Table nexus = memory.table(points, classes * N);
  Table nexus_gates = memory.table(points, net.nexus_gates.out);
  Table received = memory.table(most, F), hidden = memory.table(most, F);  // of a tile and a class
  Table narrow = memory.table(most, N);
  Table heads = memory.table(most, padded(classes + 1));
  Table gates{};  // [classes, edges], of a tile

  Labelling(const Network& network, const NuGraph2Batch& given) : net(network), batch(given) {
    int64_t edges = most;
    for (int64_t p = 0; p < planes && !memory.failed; p++) {
      const PlaneBatch& from = batch.planes[p];
      Hits& to = hits[p];
      to.count = from.hits;
      to.plane_edges =
          group(memory, from.plane_source, from.plane_target, from.plane_edges, from.hits);
      to.nexus_edges = group(memory, from.nexus_point, from.nexus_hit, from.nexus_edges, from.hits);
      to.given = memory.table(from.hits, net.sizes.in_features);
      to.features = memory.table(from.hits, classes * F);
      to.messages = memory.table(from.hits, classes * F);
      to.to_nexus = memory.table(from.hits, classes * N);
      to.as_target = memory.table(from.hits, classes);
      to.as_source = memory.table(from.hits, classes);
      to.from_nexus = memory.table(from.hits, classes);
      if (!memory.failed) match(from, p, planes, points, hit_of);
      edges = edges > from.plane_edges ? edges : from.plane_edges;
      edges = edges > from.nexus_edges ? edges : from.nexus_edges;
    }
    gates = memory.table(classes, padded(edges));
  }

  void run() {
    for (int64_t p = 0; p < planes; p++) encode(net.planes[p], hits[p], batch.planes[p].x);
    for (int64_t i = 0; i < net.sizes.iterations; i++) {
      for (int64_t p = 0; p < planes; p++) plane_net(net.planes[p], hits[p]);
      nexus_net();
      const bool last = i + 1 == net.sizes.iterations;
      for (int64_t p = 0; p < planes; p++) nexus_down(net.planes[p], p, hits[p], last);
    }
    for (int64_t p = 0; p < planes; p++) decode(net.planes[p], hits[p], batch.planes[p]);
  }

  void encode(const Plane& plane, Hits& own, const float* x) {
    const int64_t in = net.sizes.in_features;
    for (int64_t t = 0; t < own.count; t++)
      for (int64_t k = 0; k < in; k++)
        own.given[t][k] = (x[t * in + k] - plane.mean[k]) / plane.std[k];
    for (int64_t begin = 0; begin < own.count; begin += most) {
      const int64_t count = begin + most < own.count ? most : own.count - begin;
      for (int64_t c = 0; c < classes; c++) {
        const Table features = own.features.part(c * F, F).from(begin);
        apply(plane.classes[c].encoder, count, own.given.from(begin), features);
        activate<tanh>(count, features);
        send(plane, c, own, begin, count);
      }
    }
  }

  // Messages and gates of a tile of hits and a class, for the next step 1.
  void send(const Plane& plane, int64_t c, Hits& own, int64_t begin, int64_t count) {
    const PlaneClass& one = plane.classes[c];
    const Table x = own.features.part(c * F, F).from(begin), given = own.given.from(begin);
    product(count, Table{}, x, given, one.plane_source, own.messages.part(c * F, F).from(begin));
    for (int64_t t = 0; t < count; t++) {
      float target = dot(x[t], one.plane_gate_of_target, F) + plane.plane_gate_bias[c];
      float source = dot(x[t], one.plane_gate_of_source, F);
      for (int64_t k = 0; k < given.columns; k++) {
        target += given[t][k] * one.plane_gate_of_target[F + k];
        source += given[t][k] * one.plane_gate_of_source[F + k];
      }
      own.as_target[begin + t][c] = target;
      own.as_source[begin + t][c] = source;
    }
  }

  // Compute the gates of the edges to a tile of hits.
  void share(const Edges& edges, int64_t begin, int64_t count, const Table& target,
             const Table& source) {
    const int64_t first = edges.begin[begin], last = edges.begin[begin + count];
    for (int64_t t = begin; t < begin + count; t++)
      for (int64_t e = edges.begin[t]; e < edges.begin[t + 1]; e++)
        for (int64_t c = 0; c < classes; c++)
          gates[c][e - first] = target[t][c] + source[edges.sources[e]][c];
    softmax(gates, classes, last - first);
  }

  // Gather what a tile of hits receives for a class, through gates that are computed.
  void receive(const Edges& edges, int64_t begin, int64_t count, int64_t c, const Table& x,
               bool mean, const Table& out) {
    const int64_t first = edges.begin[begin];
    for (int64_t t = 0; t < count; t++) {
      const int64_t e = edges.begin[begin + t], degree = edges.begin[begin + t + 1] - e;
      gated_sum(x, edges.sources + e, gates[c] + (e - first), degree, out[t]);
      if (mean && degree > 1)
        for (int64_t v = 0; v * lanes < x.columns; v++) vectors(out[t])[v] /= float(degree);
    }
  }

  // 1. Hits from their neighbours on the plane, and their messages for spacepoints.
  void plane_net(const Plane& plane, Hits& own) {
    for (int64_t begin = 0; begin < own.count; begin += most) {
      const int64_t count = begin + most < own.count ? most : own.count - begin;
      share(own.plane_edges, begin, count, own.as_target, own.as_source);
      for (int64_t c = 0; c < classes; c++) {
        const PlaneClass& one = plane.classes[c];
        const Table x = own.features.part(c * F, F).from(begin);
        apply(one.plane_net.first, count, x, own.given.from(begin), hidden);
        receive(own.plane_edges, begin, count, c, own.messages.part(c * F, F), false, received);
        for (int64_t t = 0; t < count; t++)
          for (int64_t v = 0; v * lanes < F; v++)
            vectors(hidden[t])[v] = tanh(vectors(hidden[t])[v] + vectors(received[t])[v]);
        apply(one.plane_net.second, count, hidden, x);
        activate<tanh>(count, x);
        product(count, x, one.to_nexus, own.to_nexus.part(c * N, N).from(begin));
        for (int64_t t = 0; t < count; t++)
          own.from_nexus[begin + t][c] =
              dot(x[t], one.nexus_gate_of_target, F) + plane.nexus_gate_bias[c];
      }
    }
  }

  // 2. Spacepoints from their hits, one per plane, and their gates for hits.
  void nexus_net() {
    for (int64_t begin = 0; begin < points; begin += most) {
      const int64_t count = begin + most < points ? most : points - begin;
      for (int64_t c = 0; c < classes; c++) {
        for (int64_t s = 0; s < count; s++) {
          const int32_t* hit = hit_of + (begin + s) * planes;
          for (int64_t v = 0; v * lanes < N; v++) {
            Vector sum = vectors(net.nexus[c].first_bias)[v];
            for (int64_t p = 0; p < planes; p++)
              if (hit[p] >= 0) sum += vectors(hits[p].to_nexus[hit[p]] + c * N)[v];
            vectors(narrow[s])[v] = tanh(sum);
          }
        }
        const Table out = nexus.part(c * N, N).from(begin);
        apply(net.nexus[c].second, count, narrow, out);
        activate<tanh>(count, out);
      }
      product(count, nexus.from(begin), net.nexus_gates, nexus_gates.from(begin));
    }
  }

  // 3. Hits from their spacepoints, and their messages for the next step 1.
  void nexus_down(const Plane& plane, int64_t p, Hits& own, bool last) {
    const Table from_nexus = nexus_gates.part(p * classes, classes);
    for (int64_t begin = 0; begin < own.count; begin += most) {
      const int64_t count = begin + most < own.count ? most : own.count - begin;
      share(own.nexus_edges, begin, count, own.from_nexus, from_nexus);
      for (int64_t c = 0; c < classes; c++) {
        const Table x = own.features.part(c * F, F).from(begin);
        receive(own.nexus_edges, begin, count, c, nexus.part(c * N, N), true, narrow);
        apply<tanh>(plane.classes[c].nexus_down, count, x, narrow, hidden, x);
        if (!last) send(plane, c, own, begin, count);
      }
    }
  }

  // Scores and signal probability of each hit.
  void decode(const Plane& plane, const Hits& own, const PlaneBatch& to) {
    for (int64_t begin = 0; begin < own.count; begin += most) {
      const int64_t count = begin + most < own.count ? most : own.count - begin;
      apply(plane.heads, count, own.features.from(begin), heads);
      for (int64_t t = 0; t < count; t++) {
        memcpy(to.semantic + (begin + t) * classes, heads[t], classes * sizeof(float));
        gates[0][t] = heads[t][classes];
      }
      sigmoid(gates[0], count);
      memcpy(to.filter + begin, gates[0], count * sizeof(float));
    }
  }
};

inline void* load(const NuGraph2Sizes& sizes, const float* weights, int64_t count) {
  return load_network<Network>(sizes, weights, count);
}

inline void unload(void* network) { unload_network<Network>(network); }

// Label a batch; return false if memory ran out.
inline bool label(const void* network, const NuGraph2Batch& batch) {
  Labelling work(*static_cast<const Network*>(network), batch);
  if (work.memory.failed) return false;
  work.run();
  return true;
}

}  // namespace nugraph2
