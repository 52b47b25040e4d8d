// Memory for tables.
// Included in the namespace of an instruction set.

// Memory for tables, freed together. Check `failed` after allocating.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  ~Memory() {
    while (last_) {
      Header* before = last_->before;
      free(last_);
      last_ = before;
    }
  }

  template <typename T>
  T* take(int64_t count) {
    const size_t size = sizeof(Header) + count * sizeof(T);
    auto* header = static_cast<Header*>(aligned_alloc(64, (size + 2 * 64 - 1) / 64 * 64));
    if (!header) {
      failed = true;
      return nullptr;
    }
    header->before = last_;
    last_ = header;
    return reinterpret_cast<T*>(header + 1);
  }

  Table table(int64_t rows, int64_t columns) {
    return {take<float>(rows * columns), columns, columns};
  }

  bool failed = false;

 private:
  struct alignas(64) Header {
    Header* before;
  };
  Header* last_ = nullptr;
};
