// Vectors of `lanes` numbers, and the networks' elementwise functions.
// Included in the namespace of an instruction set, which defines `lanes`.

typedef float Vector __attribute__((vector_size(4 * lanes), may_alias));
typedef int32_t Integers __attribute__((vector_size(4 * lanes)));

inline Vector all(float value) { return value - Vector{}; }
inline Vector min(Vector a, Vector b) { return a > b ? b : a; }
inline Vector max(Vector a, Vector b) { return a < b ? b : a; }

// A row of vectors; rows start on a cache line.
inline Vector* vectors(float* row) { return reinterpret_cast<Vector*>(row); }
inline const Vector* vectors(const float* row) { return reinterpret_cast<const Vector*>(row); }

// exp(x) for x up to 88, to rounding error; x below -87 counts as -87, because its exponential is not
// a normal number.
inline Vector exp(Vector x) {
  const float round = 1.5f * (1 << 23);  // adding it to x below 2^22 rounds x to an integer
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

// x * tanh(softplus(x)) with one exponential; the identity in float32 for x above 20.
inline Vector mish(Vector x) {
  const Vector e = exp(min(x, all(20)));
  const Vector y = e * (e + 2);
  return x * (y / (y + 2));
}

// tanh(x), relative error 4e-7; 1 beyond 9, as in float32.
inline Vector tanh(Vector x) {
  x = min(max(x, all(-9.02f)), all(9.02f));
  const Vector t = x * x;
  // Minimax rational function of tanh(x) / x in x^2, relative error 2e-8 (Lawson's algorithm).
  Vector p = t * 1.3319077e-8f + 2.0583485e-5f;
  p = p * t + 3.4940347e-3f;
  p = p * t + 0.13379718f;
  p = p * t + 1.0f;
  Vector q = t * 7.7620214e-7f + 3.2830932e-4f;
  q = q * t + 0.025871074f;
  q = q * t + 0.46713033f;
  q = q * t + 1.0f;
  return x * p / q;
}

// Sigmoid in place; the array must have room for whole vectors.
inline void sigmoid(float* x, int64_t count) {
  for (int64_t i = 0; i * lanes < count; i++) vectors(x)[i] = sigmoid(vectors(x)[i]);
}

// The sum of a vector's numbers.
inline float total(Vector x) {
  typedef float Four __attribute__((vector_size(16), may_alias));
  Four sums{};
  for (int i = 0; i < lanes / 4; i++) sums += reinterpret_cast<const Four*>(&x)[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

inline float dot(const float* a, const float* b, int64_t count) {
  Vector sum{};
  for (int64_t i = 0; i * lanes < count; i++) sum += vectors(a)[i] * vectors(b)[i];
  return total(sum);
}
