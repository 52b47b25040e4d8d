// NuGraph3's inference. model.py in the folder above is the same function in torch: read it first.
//
// Steps and blocks have the same names. Differences, none of which changes the result:
//
// * gates and first layers are split into source and target features; linear parts are computed per
//   node instead of per edge;
// * a spacepoint has at most one edge per plane, and one from its event, so they need no softmax;
// * nodes are processed in tiles, whose temporaries stay in the processor's cache.
//
// Included in the namespace of an instruction set.

namespace nugraph3 {

// Weights of a plane. F, N: features of its hits, of spacepoints.
struct Plane {
  const float *mean, *std;                                   // [in]
  const float* encoder;                                      // [in, F]
  const float* encoder_bias;                                 // [F]
  const float *plane_gate_of_target, *plane_gate_of_source;  // [F]
  const float* plane_gate_bias;                              // [1]
  Update plane_net;                                          // [F + F, F]
  Matrix to_nexus;               // [F, N], message part of plane_to_nexus's first layer
  const float* to_nexus_gate;    // [F], of the source
  const float* from_nexus_gate;  // [F], of the target of nexus_to_plane
  const float* nexus_gate_bias;  // [2], of both
  const float* plane_to_nexus_bias;  // [N], of the first layer
  Layer plane_to_nexus;              // [N, N], the second
  Update nexus_to_plane;             // [N + F, F]
  Layer heads;                       // [F, semantic classes and the filter]
};

// Weights of the network. W: features of a spacepoint from all planes, N of each.
struct Network {
  NuGraph3Sizes sizes;
  Memory memory{};
  Plane* planes{};
  Matrix nexus;  // [N, W + 2 planes]: of targets of plane_to_nexus; gates of it, of nexus_to_plane
  Matrix wide;   // [W, N + 2]: of targets of interaction_to_nexus; gates of steps 3 and 4
  const float *event_gate_of_target, *event_gate_of_source;  // [I], of steps 3 and 4
  const float* event_gate_bias;                              // [2]
  Update nexus_to_interaction;                               // [W + I, I]
  Matrix from_event;                       // [I, N], of messages of interaction_to_nexus
  const float* interaction_to_nexus_bias;  // [N], of the first layer
  Layer interaction_to_nexus;              // [N, N], the second
  Layer event_heads;                       // [I, event classes and the vertex]

  int64_t width() const { return sizes.planes * sizes.nexus; }
};

inline void read(Network& net, Reader& from) {
  const NuGraph3Sizes& s = net.sizes;
  const int64_t W = net.width(), F = s.planar, N = s.nexus, I = s.interaction;
  net.planes = net.memory.take<Plane>(s.planes);
  if (!net.planes) return;
  for (int64_t p = 0; p < s.planes; p++) {
    Plane& plane = net.planes[p];
    plane.mean = from.numbers(s.in_features);
    plane.std = from.numbers(s.in_features);
    plane.encoder = from.numbers(s.in_features * F);
    plane.encoder_bias = from.numbers(F);
    plane.plane_gate_of_target = from.numbers(F);
    plane.plane_gate_of_source = from.numbers(F);
    plane.plane_gate_bias = from.numbers(1);
    plane.plane_net = from.update(F + F, F);
    plane.to_nexus = from.matrix(F, N);
    plane.to_nexus_gate = from.numbers(F);
    plane.from_nexus_gate = from.numbers(F);
    plane.nexus_gate_bias = from.numbers(2);
    plane.plane_to_nexus_bias = from.numbers(N);
    plane.plane_to_nexus = from.layer(N, N);
    plane.nexus_to_plane = from.update(N + F, F);
    plane.heads = from.layer(F, padded(s.semantic_classes + 1));
  }
  net.nexus = from.matrix(N, padded(W + 2 * s.planes));
  net.wide = from.matrix(W, padded(N + 2));
  net.event_gate_of_target = from.numbers(I);
  net.event_gate_of_source = from.numbers(I);
  net.event_gate_bias = from.numbers(2);
  net.nexus_to_interaction = from.update(W + I, I);
  net.from_event = from.matrix(I, N);
  net.interaction_to_nexus_bias = from.numbers(N);
  net.interaction_to_nexus = from.layer(N, N);
  net.event_heads = from.layer(I, padded(s.event_classes + 3));
}

// Mean of the gated features of sources, weighted per channel by their softmax.
//
// Messages are rounded before the maximum is subtracted, so that the largest gives exactly 0.
inline void softmax_mean(const Table& x, const int32_t* sources, const float* gates, int64_t edges,
                         float* out) {
  if (edges == 0) {
    memset(out, 0, x.columns * sizeof(float));
    return;
  }
  for (int64_t c = 0; c * lanes < x.columns; c++) {
    Vector top = gates[0] * vectors(x[sources[0]])[c];
    for (int64_t e = 1; e < edges; e++) {
      const Vector message = gates[e] * vectors(x[sources[e]])[c];
      top = max(top, message);
    }
    Vector total{}, sum{};
    for (int64_t e = 0; e < edges; e++) {
      const Vector message = gates[e] * vectors(x[sources[e]])[c];
      const Vector weight = exp(message - top);
      total += weight;
      sum += weight * message;
    }
    vectors(out)[c] = sum / total;
  }
}

// State of a plane's hits.
struct Hits {
  int64_t count;
  Edges plane_edges, nexus_edges;
  Table features, after;  // before and after step 1, or step 5
  Table to_nexus;         // messages of step 2
  // Gates of each hit: as target and source of step 1, as source of step 2, as target of step 5.
  float *as_target, *as_source, *to_nexus_gate, *from_nexus_gate;
  float* nexus_gate;  // of each spacepoint, as source of step 5
};

// State of a batch being labelled.
struct Labelling {
  const Network& net;
  const NuGraph3Batch& batch;
  Memory memory{};
  int64_t planes = net.sizes.planes, points = batch.spacepoints, events = batch.events;
  int64_t N = net.sizes.nexus, W = net.width(), most = tile_rows;
  Hits* hits = memory.take<Hits>(planes);
  int32_t* hit_of = memory.take<int32_t>(points * planes);  // of a spacepoint on a plane, or -1
  Edges of_event = group(memory, nullptr, batch.event_of, points, events);
  Table nexus = memory.table(points, N), nexus_terms = memory.table(points, net.nexus.out);
  Table wide = memory.table(points, W), wide_terms = memory.table(points, net.wide.out);
  Table event = memory.table(events, net.sizes.interaction);
  Table event_mean = memory.table(events, W), event_new = memory.table(events, event.columns);
  Table event_hidden = memory.table(events, event.columns), from_event = memory.table(events, N);
  Table mean{}, hidden{}, narrow{}, heads{};  // of a tile
  float* gates = nullptr;                     // of the edges of a tile, or of all spacepoints

  Labelling(const Network& network, const NuGraph3Batch& given) : net(network), batch(given) {
    int64_t edges = points > most ? points : most;
    for (int64_t p = 0; p < planes && !memory.failed; p++) {
      const PlaneBatch& from = batch.planes[p];
      Hits& to = hits[p];
      to.count = from.hits;
      to.plane_edges =
          group(memory, from.plane_source, from.plane_target, from.plane_edges, from.hits);
      to.nexus_edges = group(memory, from.nexus_point, from.nexus_hit, from.nexus_edges, from.hits);
      to.features = memory.table(from.hits, net.sizes.planar);
      to.after = memory.table(from.hits, net.sizes.planar);
      to.to_nexus = memory.table(from.hits, N);
      to.as_target = memory.take<float>(from.hits);
      to.as_source = memory.take<float>(from.hits);
      to.to_nexus_gate = memory.take<float>(from.hits);
      to.from_nexus_gate = memory.take<float>(from.hits);
      to.nexus_gate = memory.take<float>(points);
      if (!memory.failed) match(from, p, planes, points, hit_of);
      edges = edges > from.plane_edges ? edges : from.plane_edges;
      edges = edges > from.nexus_edges ? edges : from.nexus_edges;
    }
    const int64_t F = net.sizes.planar;
    mean = memory.table(most, F > W ? F : W);
    hidden = memory.table(most, F > N ? F : N);
    narrow = memory.table(most, N);
    int64_t heads_width = net.event_heads.weight.out;
    if (net.planes[0].heads.weight.out > heads_width) heads_width = net.planes[0].heads.weight.out;
    heads = memory.table(most, heads_width);
    gates = memory.take<float>(edges + lanes);
  }

  void run() {
    memset(nexus_terms.data, 0, points * nexus_terms.stride * sizeof(float));
    memset(event.data, 0, events * event.stride * sizeof(float));
    for (int64_t p = 0; p < planes; p++) encode(net.planes[p], hits[p], batch.planes[p].x);
    for (int64_t i = 0; i < net.sizes.iterations; i++) {
      for (int64_t p = 0; p < planes; p++) plane_net(net.planes[p], hits[p]);
      plane_to_nexus();
      nexus_to_interaction();
      interaction_to_nexus();
      for (int64_t p = 0; p < planes; p++) nexus_to_plane(net.planes[p], hits[p]);
    }
    for (int64_t p = 0; p < planes; p++) decode(net.planes[p], hits[p], batch.planes[p]);
    decode_events();
  }

  void encode(const Plane& plane, Hits& own, const float* x) {
    for (int64_t t = 0; t < own.count; t++, x += net.sizes.in_features) {
      Vector* out = vectors(own.features[t]);
      for (int64_t c = 0; c * lanes < own.features.columns; c++) {
        Vector sum = vectors(plane.encoder_bias)[c];
        for (int64_t k = 0; k < net.sizes.in_features; k++) {
          const float value = (x[k] - plane.mean[k]) / plane.std[k];
          sum += value * vectors(plane.encoder + k * own.features.columns)[c];
        }
        out[c] = sum;
      }
    }
    plane_gates(plane, own, 0, own.count);
  }

  void plane_gates(const Plane& plane, Hits& own, int64_t begin, int64_t end) {
    const int64_t F = own.features.columns;
    for (int64_t t = begin; t < end; t++) {
      const float* x = own.features[t];
      own.as_target[t] = dot(x, plane.plane_gate_of_target, F) + plane.plane_gate_bias[0];
      own.as_source[t] = dot(x, plane.plane_gate_of_source, F);
    }
  }

  // Update a tile of hits from the sources of their edges.
  void update_hits(const Update& block, int64_t begin, int64_t end, const Edges& edges,
                   const Table& x, const float* target_gate, const float* source_gate,
                   const Table& own, const Table& out) {
    const int64_t first = edges.begin[begin];
    for (int64_t t = begin; t < end; t++)
      for (int64_t e = edges.begin[t]; e < edges.begin[t + 1]; e++)
        gates[e - first] = target_gate[t] + source_gate[edges.sources[e]];
    sigmoid(gates, edges.begin[end] - first);
    const Table means = mean.part(0, x.columns);
    for (int64_t t = begin; t < end; t++) {
      const int64_t e = edges.begin[t];
      softmax_mean(x, edges.sources + e, gates + (e - first), edges.begin[t + 1] - e,
                   means[t - begin]);
    }
    apply<mish>(block, end - begin, means, own.from(begin), hidden.part(0, out.columns),
                out.from(begin));
  }

  // 1. Hits from their neighbours on the plane, and their messages for spacepoints.
  void plane_net(const Plane& plane, Hits& own) {
    for (int64_t begin = 0; begin < own.count; begin += most) {
      const int64_t end = begin + most < own.count ? begin + most : own.count;
      update_hits(plane.plane_net, begin, end, own.plane_edges, own.features, own.as_target,
                  own.as_source, own.features, own.after);
      product(end - begin, own.after.from(begin), plane.to_nexus, own.to_nexus.from(begin));
      for (int64_t t = begin; t < end; t++) {
        const float* x = own.after[t];
        const int64_t F = own.after.columns;
        own.to_nexus_gate[t] = dot(x, plane.to_nexus_gate, F) + plane.nexus_gate_bias[0];
        own.from_nexus_gate[t] = dot(x, plane.from_nexus_gate, F) + plane.nexus_gate_bias[1];
      }
    }
  }

  // 2. Spacepoints from their hits, one per plane.
  void plane_to_nexus() {
    for (int64_t begin = 0; begin < points; begin += most) {
      const int64_t count = begin + most < points ? most : points - begin;
      for (int64_t p = 0; p < planes; p++) {
        const Plane& plane = net.planes[p];
        const int32_t* hit = hit_of + begin * planes + p;
        const Table terms = nexus_terms.from(begin), own = terms.part(p * N, N);
        for (int64_t s = 0; s < count; s++) {
          const int32_t h = hit[s * planes];
          gates[s] = h < 0 ? 0 : hits[p].to_nexus_gate[h] + terms[s][W + p];
        }
        sigmoid(gates, count);
        for (int64_t s = 0; s < count; s++) {
          const int32_t h = hit[s * planes];
          for (int64_t c = 0; c * lanes < N; c++) {
            Vector sum = vectors(own[s])[c] + vectors(plane.plane_to_nexus_bias)[c];
            if (h >= 0) sum += gates[s] * vectors(hits[p].to_nexus[h])[c];
            vectors(narrow[s])[c] = mish(sum);
          }
        }
        const Table out = wide.from(begin).part(p * N, N);
        apply(plane.plane_to_nexus, count, narrow, out);
        activate<mish>(count, out);
      }
      product(count, wide.from(begin), net.wide, wide_terms.from(begin));
    }
  }

  // 3. Events from their spacepoints.
  void nexus_to_interaction() {
    for (int64_t i = 0; i < events; i++) {
      const int64_t first = of_event.begin[i], count = of_event.begin[i + 1] - first;
      const int32_t* sources = of_event.sources + first;
      const float own = dot(event[i], net.event_gate_of_target, event.columns);
      for (int64_t e = 0; e < count; e++)
        gates[e] = own + net.event_gate_bias[0] + wide_terms[sources[e]][N];
      sigmoid(gates, count);
      softmax_mean(wide, sources, gates, count, event_mean[i]);
    }
    apply<mish>(net.nexus_to_interaction, events, event_mean, event, event_hidden, event_new);
    const Table before = event;
    event = event_new;
    event_new = before;
  }

  // 4. Spacepoints from their event, and their gates for hits.
  void interaction_to_nexus() {
    product(events, event, net.from_event, from_event);
    for (int64_t i = 0; i < events; i++) {
      const float own = dot(event[i], net.event_gate_of_source, event.columns);
      for (int64_t e = of_event.begin[i]; e < of_event.begin[i + 1]; e++) {
        const int32_t s = of_event.sources[e];
        gates[s] = own + net.event_gate_bias[1] + wide_terms[s][N + 1];
      }
    }
    sigmoid(gates, points);
    for (int64_t begin = 0; begin < points; begin += most) {
      const int64_t count = begin + most < points ? most : points - begin;
      for (int64_t s = 0; s < count; s++) {
        const float* message = from_event[batch.event_of[begin + s]];
        for (int64_t c = 0; c * lanes < N; c++) {
          Vector sum = vectors(wide_terms[begin + s])[c];
          sum += gates[begin + s] * vectors(message)[c];
          vectors(narrow[s])[c] = mish(sum + vectors(net.interaction_to_nexus_bias)[c]);
        }
      }
      const Table out = nexus.from(begin);
      apply(net.interaction_to_nexus, count, narrow, out);
      activate<mish>(count, out);
      product(count, out, net.nexus, nexus_terms.from(begin));
      for (int64_t s = begin; s < begin + count; s++)
        for (int64_t p = 0; p < planes; p++) hits[p].nexus_gate[s] = nexus_terms[s][W + planes + p];
    }
  }

  // 5. Hits from their spacepoints, and their gates for the next step 1.
  void nexus_to_plane(const Plane& plane, Hits& own) {
    for (int64_t begin = 0; begin < own.count; begin += most) {
      const int64_t end = begin + most < own.count ? begin + most : own.count;
      update_hits(plane.nexus_to_plane, begin, end, own.nexus_edges, nexus, own.from_nexus_gate,
                  own.nexus_gate, own.after, own.features);
      plane_gates(plane, own, begin, end);
    }
  }

  // Scores and signal probability of each hit.
  void decode(const Plane& plane, const Hits& own, const PlaneBatch& to) {
    const int64_t classes = net.sizes.semantic_classes;
    for (int64_t begin = 0; begin < own.count; begin += most) {
      const int64_t count = begin + most < own.count ? most : own.count - begin;
      apply(plane.heads, count, own.features.from(begin), heads);
      for (int64_t t = 0; t < count; t++) {
        memcpy(to.semantic + (begin + t) * classes, heads[t], classes * sizeof(float));
        gates[t] = heads[t][classes];
      }
      sigmoid(gates, count);
      memcpy(to.filter + begin, gates, count * sizeof(float));
    }
  }

  // Scores and vertex of each event.
  void decode_events() {
    const int64_t classes = net.sizes.event_classes;
    for (int64_t begin = 0; begin < events; begin += most) {
      const int64_t count = begin + most < events ? most : events - begin;
      apply(net.event_heads, count, event.from(begin), heads);
      for (int64_t i = 0; i < count; i++) {
        memcpy(batch.event_scores + (begin + i) * classes, heads[i], classes * sizeof(float));
        memcpy(batch.vertex + (begin + i) * 3, heads[i] + classes, 3 * sizeof(float));
      }
    }
  }
};

inline void* load(const NuGraph3Sizes& sizes, const float* weights, int64_t count) {
  return load_network<Network>(sizes, weights, count);
}

inline void unload(void* network) { unload_network<Network>(network); }

// Label a batch; return false if memory ran out.
inline bool label(const void* network, const NuGraph3Batch& batch) {
  Labelling work(*static_cast<const Network*>(network), batch);
  if (work.memory.failed) return false;
  work.run();
  return true;
}

}  // namespace nugraph3
