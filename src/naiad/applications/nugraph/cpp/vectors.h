// Vectors of `lanes` numbers, and NuGraph3's functions of one number on all of them.
// Included in the namespace of an instruction set, which says how many lanes it has.

typedef float Vector __attribute__((vector_size(4 * lanes), may_alias));
typedef int32_t Integers __attribute__((vector_size(4 * lanes)));

inline Vector all(float value) { return value - Vector{}; }
inline Vector min(Vector a, Vector b) { return a > b ? b : a; }
inline Vector max(Vector a, Vector b) { return a < b ? b : a; }

// A row of vectors; rows start on a cache line.
inline Vector* vectors(float* row) { return reinterpret_cast<Vector*>(row); }
inline const Vector* vectors(const float* row) { return reinterpret_cast<const Vector*>(row); }

// exp(x) for x up to 88, to a rounding error; what is below -87 counts as -87, because its
// exponential is no normal number.
inline Vector exp(Vector x) {
  const float round = 1.5f * (1 << 23);  // added to a number below 2^22, leaves its nearest integer
  x = max(x, all(-87));
  const Vector shifted = x * 1.4426950408889634f + round;
  const Vector n = shifted - round;
  Vector r = x - n * 0.693359375f;  // few bits of ln(2), so that the product is exact
  r = r + n * 2.12194440e-4f;       // and the rest of it
  // Minimax polynomial of exp on [-ln(2)/2, ln(2)/2], relative error 2e-9 (Lawson's algorithm).
  Vector p = r * 0.0013836742f + 0.0083748987f;
  p = p * r + 0.041668233f;
  p = p * r + 0.1666642f;
  p = p * r + 0.49999991f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return (Vector)((Integers)p + ((Integers)shifted << 23));
}

inline Vector sigmoid(Vector x) { return 1 / (1 + exp(min(-x, all(80)))); }

// x * tanh(softplus(x)) with one exponential; the identity in float32 where x is above 20.
inline Vector mish(Vector x) {
  const Vector e = exp(min(x, all(20)));
  const Vector y = e * (e + 2);
  return x * (y / (y + 2));
}

// Sigmoid of numbers in place; there must be room for whole vectors.
inline void sigmoid(float* x, int64_t count) {
  for (int64_t i = 0; i * lanes < count; i++) vectors(x)[i] = sigmoid(vectors(x)[i]);
}

inline float dot(const float* a, const float* b, int64_t count) {
  Vector sum{};
  for (int64_t i = 0; i * lanes < count; i++) sum += vectors(a)[i] * vectors(b)[i];
  float total = 0;
  for (int i = 0; i < lanes; i++) total += sum[i];
  return total;
}
