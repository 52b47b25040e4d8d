// Tables of features, and their products with the weights of a layer.
// Included in the namespace of an instruction set, which says how many sums its registers hold.

// Rows of features, or some of their columns. Tables start on a cache line, and have a multiple of 16
// columns in all, so that rows are whole vectors. With a stride of 0, all rows are the same.
struct Table {
  float* data;
  int64_t columns, stride;

  float* operator[](int64_t row) const { return data + row * stride; }
  Table from(int64_t row) const { return {data + row * stride, columns, stride}; }
  Table part(int64_t first, int64_t width) const { return {data + first, width, stride}; }
};

// A matrix of weights, [in, out], stored as panels of columns: a panel's first row, its second...
// The last panel may be one vector wide, the others are two.
struct Matrix {
  const float* packed;
  int64_t in, out;
};

constexpr int wide_panel = 2 * lanes;

// Rows to process together, so that their temporaries stay in the processor's cache; a multiple of the
// rows of a block.
constexpr int64_t tile_rows = 120;

// Products to sum before adding them to the total: half the rounding error of one sum of hundreds.
constexpr int64_t summed_together = 64;

inline void pack(const float* matrix, int64_t in, int64_t out, float* packed) {
  for (int64_t first = 0; first < out; first += wide_panel) {
    const int64_t width = out - first < wide_panel ? out - first : wide_panel;
    for (int64_t k = 0; k < in; k++)
      for (int64_t c = 0; c < width; c++) *packed++ = matrix[k * out + first + c];
  }
}

// Add the products of `height` rows and a panel to their sums, which stay in registers.
template <int height, int width>
inline void accumulate(Vector (&sums)[height][width], const Table& x, const Vector* panel) {
  for (int64_t k = 0; k < x.columns; k++, panel += width) {
#pragma clang loop unroll(full)
    for (int r = 0; r < height; r++)
#pragma clang loop unroll(full)
      for (int v = 0; v < width; v++) sums[r][v] += x[r][k] * panel[v];
  }
}

template <int height, int width>
inline void block(const Table& start, const Table& x, const Table& y, const float* panel,
                  const Table& out) {
  Vector totals[height][width] = {};
  if (start.data)
    for (int r = 0; r < height; r++)
      for (int v = 0; v < width; v++) totals[r][v] = vectors(start[r])[v];
  const Table parts[] = {x, y};
  for (const Table& part : parts)
    for (int64_t k = 0; k < part.columns; k += summed_together) {
      const int64_t left = part.columns - k, some = left < summed_together ? left : summed_together;
      Vector sums[height][width] = {};
      accumulate(sums, part.part(k, some), vectors(panel));
      panel += some * width * lanes;
      for (int r = 0; r < height; r++)
        for (int v = 0; v < width; v++) totals[r][v] += sums[r][v];
    }
  for (int r = 0; r < height; r++)
    for (int v = 0; v < width; v++) vectors(out[r])[v] = totals[r][v];
}

// Multiply the remaining rows, which are fewer than a block.
template <int height, int width>
inline void remainder(int64_t rows, const Table& start, const Table& x, const Table& y,
                      const float* panel, const Table& out) {
  if constexpr (height > 0) {
    if (rows == height)
      block<height, width>(start, x, y, panel, out);
    else
      remainder<height - 1, width>(rows, start, x, y, panel, out);
  }
}

template <int width>
void panel_product(int64_t rows, const Table& start, const Table& x, const Table& y,
                   const float* panel, const Table& out) {
  int64_t row = 0;
  for (; row + block_rows <= rows; row += block_rows)
    block<block_rows, width>(start.from(row), x.from(row), y.from(row), panel, out.from(row));
  remainder<block_rows - 1, width>(rows - row, start.from(row), x.from(row), y.from(row), panel,
                                   out.from(row));
}

// out = start + (x, y) @ matrix, for rows with some features in x and the rest in y; without data,
// start is 0. It may be out.
//
// Each number is summed in the order of the features, whatever the other rows: the events that share
// a batch do not change each other's answers.
inline void product(int64_t rows, const Table& start, const Table& x, const Table& y,
                    const Matrix& matrix, const Table& out) {
  for (int64_t first = 0; first < matrix.out; first += wide_panel) {
    const float* panel = matrix.packed + first * matrix.in;
    const Table sums = start.data ? start.part(first, wide_panel) : Table{};
    const Table columns = out.part(first, wide_panel);
    if (matrix.out - first > lanes)
      panel_product<2>(rows, sums, x, y, panel, columns);
    else
      panel_product<1>(rows, sums, x, y, panel, columns);
  }
}

inline void product(int64_t rows, const Table& x, const Matrix& matrix, const Table& out) {
  product(rows, Table{}, x, Table{}, matrix, out);
}
