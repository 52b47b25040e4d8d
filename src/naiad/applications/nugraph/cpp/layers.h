// Layers, and reading a network's weights.
// Included in the namespace of an instruction set.

struct Layer {
  Matrix weight;
  Table bias;  // the same for all rows
};

// Two-layer network.
struct Update {
  Layer first, second;
};

// out = layer(x, y), for rows with some features in x and the rest in y.
inline void apply(const Layer& layer, int64_t rows, const Table& x, const Table& y,
                  const Table& out) {
  product(rows, layer.bias, x, y, layer.weight, out);
}

inline void apply(const Layer& layer, int64_t rows, const Table& x, const Table& out) {
  apply(layer, rows, x, Table{}, out);
}

template <Vector function(Vector)>
inline void activate(int64_t rows, const Table& x) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c * lanes < x.columns; c++) vectors(x[r])[c] = function(vectors(x[r])[c]);
}

// out = function(second(function(first(x, y)))); it may be x or y.
template <Vector function(Vector)>
inline void apply(const Update& net, int64_t rows, const Table& x, const Table& y,
                  const Table& hidden, const Table& out) {
  apply(net.first, rows, x, y, hidden);
  activate<function>(rows, hidden);
  apply(net.second, rows, hidden, out);
  activate<function>(rows, out);
}

// Reads weights in the order of arrangement.py or nugraph2_arrangement.py.
struct Reader {
  const float *next, *end;
  Memory& memory;
  bool complete = true;

  float* numbers(int64_t count) {
    float* copy = memory.take<float>(count);
    if (copy && advance(count)) memcpy(copy, next - count, count * sizeof(float));
    return copy;
  }
  Matrix matrix(int64_t in, int64_t out) {
    float* packed = memory.take<float>(in * out);
    if (packed && advance(in * out)) pack(next - in * out, in, out, packed);
    return {packed, in, out};
  }
  Layer layer(int64_t in, int64_t out) {
    const Matrix weight = matrix(in, out);
    return {weight, {numbers(out), out, 0}};
  }
  Update update(int64_t in, int64_t out) {
    const Layer first = layer(in, out);
    return {first, layer(out, out)};
  }
  bool advance(int64_t count) {
    complete = complete && end - next >= count;
    if (complete) next += count;
    return complete;
  }
};

// Return a network, or null if the weights do not match the sizes or memory ran out.
template <typename Network, typename Sizes>
inline void* load_network(const Sizes& sizes, const float* weights, int64_t count) {
  void* place = aligned_alloc(64, (sizeof(Network) + 63) / 64 * 64);
  if (!place) return nullptr;
  auto* net = new (place) Network;
  net->sizes = sizes;
  Reader from{weights, weights + count, net->memory};
  read(*net, from);
  if (!net->memory.failed && from.complete && from.next == from.end) return net;
  net->~Network();
  free(place);
  return nullptr;
}

template <typename Network>
inline void unload_network(void* network) {
  static_cast<Network*>(network)->~Network();
  free(network);
}
