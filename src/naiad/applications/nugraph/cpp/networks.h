// All networks. Included in the namespace of an instruction set; each file needs those before it.

// clang-format off
#include "vectors.h"
#include "matrix.h"
#include "memory.h"
#include "layers.h"
#include "edges.h"
#include "nugraph2.h"
#include "nugraph3.h"
#include "condensation.h"
// clang-format on
