// Inference of NuGraph3 with object condensation. condensation/model.py in the folder above is the same
// function in torch: read it first.
//
// Steps have the same names. Differences, none of which changes the result:
//
// * gates are split into source and target features, computed per node instead of per edge;
// * heads with the same input are one layer; the caller takes its columns apart;
// * nodes are processed in tiles, whose temporaries stay in the processor's cache.
//
// Included in the namespace of an instruction set.

namespace condensation {

// Weights of a step of message passing.
struct Block {
  const float *gate_of_target, *gate_of_source, *gate_bias;
  Update net;  // [source + target, out], [out, out]
};

// A network of three layers: of one, or two, kinds of features.
struct Deep {
  Layer layers[3];
};

// Weights of the network. H, N, I: features of hits, spacepoints and events; S, C: score and
// coordinates of a hit.
struct Network {
  CondensationSizes sizes;
  Memory memory{};
  const float *mean, *deviation;   // [in]
  Layer encoder, score, place;     // [in, H], [in, S], [in, C]
  Block plane_net, plane_to_nexus, nexus_to_interaction, interaction_to_nexus, nexus_to_plane;
  Deep beta_net, coord_net;        // [S + H, wide], [wide, wide], [wide, S]; with C
  Update beta_head, coord_head;    // [H + S, H], [H, S]; with C
  Layer hit_heads, event_heads;    // [H, hit_columns], [I, event_columns]
};

inline Block read_block(Reader& from, int64_t source, int64_t target, int64_t out) {
  const float* of_target = from.numbers(target);
  const float* of_source = from.numbers(source);
  const float* bias = from.numbers(1);
  return {of_target, of_source, bias, from.update(source + target, out)};
}

inline Deep read_deep(Reader& from, int64_t in, int64_t wide, int64_t out) {
  const Layer first = from.layer(in, wide), second = from.layer(wide, wide);
  return {{first, second, from.layer(wide, out)}};
}

inline Update read_pair(Reader& from, int64_t in, int64_t hidden, int64_t out) {
  const Layer first = from.layer(in, hidden);
  return {first, from.layer(hidden, out)};
}

inline void read(Network& net, Reader& from) {
  const CondensationSizes& s = net.sizes;
  const int64_t in = s.in_features, H = s.hit, N = s.nexus, I = s.interaction;
  net.mean = from.numbers(in);
  net.deviation = from.numbers(in);
  net.encoder = from.layer(in, H);
  net.plane_net = read_block(from, H, H, H);
  net.plane_to_nexus = read_block(from, H, N, N);
  net.nexus_to_interaction = read_block(from, N, I, I);
  net.interaction_to_nexus = read_block(from, I, N, N);
  net.nexus_to_plane = read_block(from, N, H, H);
  if (s.condenses) {
    const int64_t S = padded(1), C = s.coordinates;
    net.score = from.layer(in, S);
    net.place = from.layer(in, C);
    net.beta_net = read_deep(from, S + H, s.wide, S);
    net.coord_net = read_deep(from, C + H, s.wide, C);
    net.beta_head = read_pair(from, H + S, H, S);
    net.coord_head = read_pair(from, H + C, H, C);
  }
  net.hit_heads = from.layer(H, s.hit_columns);
  net.event_heads = from.layer(I, s.event_columns);
}

// State of a batch being labelled.
struct Labelling {
  const Network& net;
  const CondensationBatch& batch;
  Memory memory{};
  const CondensationSizes& sizes = net.sizes;
  int64_t count = batch.hits, points = batch.spacepoints, events = batch.events, most = tile_rows;
  Edges neighbours = group(memory, batch.plane_source, batch.plane_target, batch.plane_edges, count);
  Edges hits_of = group(memory, batch.nexus_hit, batch.nexus_point, batch.nexus_edges, points);
  Edges points_of = group(memory, batch.nexus_point, batch.nexus_hit, batch.nexus_edges, count);
  Edges of_event = group(memory, nullptr, batch.event_of, points, events);
  int32_t* event_of = memory.take<int32_t>(points);
  int64_t* one_each = memory.take<int64_t>(points + 1);
  Table given = memory.table(count, sizes.in_features);
  Table hits = memory.table(count, sizes.hit), after = memory.table(count, sizes.hit);
  Table nexus = memory.table(points, sizes.nexus);
  Table event = memory.table(events, sizes.interaction);
  Table score{}, place{};
  Table mean = memory.table(most, larger(sizes.hit, larger(sizes.nexus, sizes.interaction)));
  Table hidden = memory.table(most, mean.columns);
  Table wide = memory.table(most, sizes.wide), wider = memory.table(most, sizes.wide);
  Table heads = memory.table(most, larger(sizes.hit_columns, sizes.event_columns));
  float* gates = memory.take<float>(
      larger(points, larger(batch.plane_edges, batch.nexus_edges)) + lanes);  // of a tile's edges
  float* target_gate = memory.take<float>(larger(count, larger(points, events)));
  float* source_gate = memory.take<float>(larger(count, larger(points, events)));

  static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

  Labelling(const Network& network, const CondensationBatch& given) : net(network), batch(given) {
    if (!sizes.condenses) return;
    score = memory.table(count, padded(1));
    place = memory.table(count, sizes.coordinates);
  }

  void run() {
    memset(nexus.data, 0, points * nexus.stride * sizeof(float));
    memset(event.data, 0, events * event.stride * sizeof(float));
    for (int64_t s = 0; s <= points; s++) one_each[s] = s;
    for (int64_t s = 0; s < points; s++) event_of[s] = batch.event_of[s];
    encode();
    for (int64_t i = 0; i < sizes.iterations; i++) {
      step(net.plane_net, count, hits, count, hits, neighbours, after);
      step(net.plane_to_nexus, count, after, points, nexus, hits_of, nexus);
      step(net.nexus_to_interaction, points, nexus, events, event, of_event, event);
      step(net.interaction_to_nexus, events, event, points, nexus, {event_of, one_each}, nexus);
      step(net.nexus_to_plane, points, nexus, count, after, points_of, hits);
      if (sizes.condenses) condense();
    }
    if (sizes.condenses) condense_last();
    decode(net.hit_heads, count, hits, batch.hit_scores);
    decode(net.event_heads, events, event, batch.event_scores);
  }

  void encode() {
    const int64_t in = given.columns;
    const float* x = batch.x;
    for (int64_t t = 0; t < count; t++, x += in)
      for (int64_t k = 0; k < in; k++) given[t][k] = (x[k] - net.mean[k]) / net.deviation[k];
    apply(net.encoder, count, given, hits);
    if (!sizes.condenses) return;
    apply(net.score, count, given, score);
    activate<sigmoid>(count, score);
    apply(net.place, count, given, place);
    activate<mish>(count, place);
  }

  // Update targets, from `own` to `out`, from the sources of their edges. `out` may be `own`.
  void step(const Block& block, int64_t sources, const Table& x, int64_t targets, const Table& own,
            const Edges& edges, const Table& out) {
    for (int64_t s = 0; s < sources; s++) source_gate[s] = dot(x[s], block.gate_of_source, x.columns);
    for (int64_t t = 0; t < targets; t++)
      target_gate[t] = dot(own[t], block.gate_of_target, own.columns) + block.gate_bias[0];
    const Table means = mean.part(0, x.columns);
    for (int64_t begin = 0; begin < targets; begin += most) {
      const int64_t end = begin + most < targets ? begin + most : targets;
      const int64_t first = edges.begin[begin];
      for (int64_t t = begin; t < end; t++)
        for (int64_t e = edges.begin[t]; e < edges.begin[t + 1]; e++)
          gates[e - first] = target_gate[t] + source_gate[edges.sources[e]];
      sigmoid(gates, edges.begin[end] - first);
      for (int64_t t = begin; t < end; t++) {
        const int64_t e = edges.begin[t];
        nugraph3::softmax_mean(x, edges.sources + e, gates + (e - first), edges.begin[t + 1] - e,
                               means[t - begin]);
      }
      apply<mish>(block.net, end - begin, means, own.from(begin), hidden.part(0, out.columns),
                  out.from(begin));
    }
  }

  void condense() {
    for (int64_t begin = 0; begin < count; begin += most) {
      const int64_t rows = begin + most < count ? most : count - begin;
      deep(net.beta_net, rows, score.from(begin), hits.from(begin));
      activate<sigmoid>(rows, score.from(begin));
      deep(net.coord_net, rows, place.from(begin), hits.from(begin));
    }
  }

  // The old value comes before the hit's features.
  void deep(const Deep& deep, int64_t rows, const Table& old, const Table& own) {
    apply(deep.layers[0], rows, old, own, wide);
    activate<mish>(rows, wide);
    apply(deep.layers[1], rows, wide, wider);
    activate<mish>(rows, wider);
    apply(deep.layers[2], rows, wider, old);
  }

  // Here the hit's features come first.
  void last(const Update& head, int64_t rows, const Table& old, const Table& own) {
    const Table narrow = hidden.part(0, sizes.hit);
    apply(head.first, rows, own, old, narrow);
    activate<mish>(rows, narrow);
    apply(head.second, rows, narrow, old);
  }

  void condense_last() {
    for (int64_t begin = 0; begin < count; begin += most) {
      const int64_t rows = begin + most < count ? most : count - begin;
      last(net.beta_head, rows, score.from(begin), hits.from(begin));
      activate<sigmoid>(rows, score.from(begin));
      last(net.coord_head, rows, place.from(begin), hits.from(begin));
    }
    for (int64_t t = 0; t < count; t++) batch.scores[t] = score[t][0];
    for (int64_t t = 0; t < count; t++)
      memcpy(batch.places + t * place.columns, place[t], place.columns * sizeof(float));
  }

  void decode(const Layer& layer, int64_t rows, const Table& x, float* to) {
    const int64_t columns = layer.weight.out;
    for (int64_t begin = 0; begin < rows; begin += most) {
      const int64_t some = begin + most < rows ? most : rows - begin;
      const Table found = heads.part(0, columns);
      apply(layer, some, x.from(begin), found);
      for (int64_t t = 0; t < some; t++)
        memcpy(to + (begin + t) * columns, found[t], columns * sizeof(float));
    }
  }
};

inline void* load(const CondensationSizes& sizes, const float* weights, int64_t count) {
  return load_network<Network>(sizes, weights, count);
}

inline void unload(void* network) { unload_network<Network>(network); }

// Label a batch; return false if memory ran out.
inline bool label(const void* network, const CondensationBatch& batch) {
  Labelling work(*static_cast<const Network*>(network), batch);
  if (work.memory.failed) return false;
  work.run();
  return true;
}

}  // namespace condensation
