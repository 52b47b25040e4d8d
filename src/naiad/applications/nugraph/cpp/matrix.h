// Tables of features, and their products with the weights of a layer.
// Included in the namespace of an instruction set, which says how many sums its registers hold.

#include "vectors.h"

// Rows of features, or some columns of them. Tables start on a cache line, and all of their
// columns are a multiple of 16, so that rows are whole vectors.
struct Table {
  float* data;
  int64_t columns, stride;

  float* operator[](int64_t row) const { return data + row * stride; }
  Table from(int64_t row) const { return {data + row * stride, columns, stride}; }
  Table part(int64_t first, int64_t width) const { return {data + first, width, stride}; }
};

// A matrix of weights, [in, out], as panels of columns: all of a panel's first row, its second...
// The last panel may be one vector wide, the others are two.
struct Matrix {
  const float* packed;
  int64_t in, out;
};

constexpr int wide_panel = 2 * lanes;

inline void pack(const float* matrix, int64_t in, int64_t out, float* packed) {
  for (int64_t first = 0; first < out; first += wide_panel) {
    const int64_t width = out - first < wide_panel ? out - first : wide_panel;
    for (int64_t k = 0; k < in; k++)
      for (int64_t c = 0; c < width; c++) *packed++ = matrix[k * out + first + c];
  }
}

// Add the products of `height` rows with a panel to their sums, which stay in registers.
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
inline void block(const Table& x, const Table& y, const float* panel, const Table& out) {
  Vector sums[height][width] = {};
  accumulate(sums, x, vectors(panel));
  accumulate(sums, y, vectors(panel) + x.columns * width);
  for (int r = 0; r < height; r++)
    for (int v = 0; v < width; v++) vectors(out[r])[v] = sums[r][v];
}

// The rows that are left, which are fewer than a block has.
template <int height, int width>
inline void remainder(int64_t rows, const Table& x, const Table& y, const float* panel,
                      const Table& out) {
  if constexpr (height > 0) {
    if (rows == height)
      block<height, width>(x, y, panel, out);
    else
      remainder<height - 1, width>(rows, x, y, panel, out);
  }
}

template <int width>
void panel_product(int64_t rows, const Table& x, const Table& y, const float* panel,
                   const Table& out) {
  int64_t row = 0;
  for (; row + block_rows <= rows; row += block_rows)
    block<block_rows, width>(x.from(row), y.from(row), panel, out.from(row));
  remainder<block_rows - 1, width>(rows - row, x.from(row), y.from(row), panel, out.from(row));
}

// out = (x, y) @ matrix, for rows that have a part of their features in x and the rest in y.
//
// Each number is a sum in the order of the features, whatever rows there are beside it: what an
// event is batched with does not change its answer.
inline void product(int64_t rows, const Table& x, const Table& y, const Matrix& matrix,
                    const Table& out) {
  for (int64_t first = 0; first < matrix.out; first += wide_panel) {
    const float* panel = matrix.packed + first * matrix.in;
    const Table columns = out.part(first, wide_panel);
    if (matrix.out - first > lanes)
      panel_product<2>(rows, x, y, panel, columns);
    else
      panel_product<1>(rows, x, y, panel, columns);
  }
}

inline void product(int64_t rows, const Table& x, const Matrix& matrix, const Table& out) {
  product(rows, x, Table{}, matrix, out);
}
