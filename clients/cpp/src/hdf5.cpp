#include "hdf5.hpp"

#include <hdf5.h>
#include <sys/stat.h>

#include <array>

#include "naiad/error.hpp"

namespace naiad::hdf5 {
namespace {

static_assert(sizeof(Id) == sizeof(hid_t));

template <class T>
hid_t memory_type();
template <>
hid_t memory_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}
template <>
hid_t memory_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t memory_type<double>() {
  return H5T_NATIVE_DOUBLE;
}

// Most values read at once. A gRPC request is below 2 GiB, so no event has more; and a small file
// can claim any number, since unwritten values take no space in it.
constexpr std::uint64_t kMost = std::uint64_t{1} << 25;

/// rows * columns. Throws InvalidInput if that is too many.
std::size_t count_of(std::uint64_t rows, std::uint64_t columns) {
  if (columns > kMost || (columns > 0 && rows > kMost / columns)) {
    throw InvalidInput(std::to_string(rows) + " rows of a dataset are to be read at once, of " +
                       std::to_string(columns) + " values each; at most " + std::to_string(kMost) +
                       " values can be");
  }
  return rows * columns;
}

Kind kind_of(H5T_class_t type) {
  if (type == H5T_INTEGER || type == H5T_ENUM) return Kind::integer;
  return type == H5T_FLOAT ? Kind::real : Kind::other;
}

}  // namespace

std::mutex& lock() {
  static std::mutex mutex;
  return mutex;
}

Handle open_file(const std::string& path) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors become exceptions
  struct stat found {};
  if (stat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) {
    throw InvalidInput(path + ": no such file");
  }
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file) throw InvalidInput(path + " is not an HDF5 file, or is damaged");
  return file;
}

bool exists(const Handle& parent, const std::string& name) {
  return H5Lexists(parent.id(), name.c_str(), H5P_DEFAULT) > 0;
}

Handle open_group(const Handle& parent, const std::string& name) {
  if (!exists(parent, name)) return {};
  return Handle(H5Gopen2(parent.id(), name.c_str(), H5P_DEFAULT), H5Gclose);
}

std::vector<std::string> names(const Handle& group) {
  std::vector<std::string> found;
  H5Literate(
      group.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t, const char* name, const H5L_info_t*, void* to) {
        static_cast<std::vector<std::string>*>(to)->emplace_back(name);
        return herr_t{0};
      },
      &found);
  return found;
}

Dataset Dataset::open(const Handle& group, const std::string& name) {
  Dataset result;
  if (!exists(group, name)) return result;
  const Handle object(H5Oopen(group.id(), name.c_str(), H5P_DEFAULT), H5Oclose);
  if (!object || H5Iget_type(object.id()) != H5I_DATASET) return result;
  const Handle space(H5Dget_space(object.id()), H5Sclose);
  const Handle type(H5Dget_type(object.id()), H5Tclose);
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (!type || rank < 0 || rank > 2) return result;
  std::array<hsize_t, 2> sizes{1, 1};
  H5Sget_simple_extent_dims(space.id(), sizes.data(), nullptr);
  result.handle_ = object;
  result.rank_ = static_cast<std::size_t>(rank);
  result.rows_ = sizes[0];
  result.columns_ = sizes[1];
  result.kind_ = kind_of(H5Tget_class(type.id()));
  return result;
}

bool Dataset::has_attribute(const std::string& name) const {
  return H5Aexists(handle_.id(), name.c_str()) > 0;
}

template <class T>
std::vector<T> Dataset::read(std::uint64_t start, std::uint64_t stop, std::uint64_t column,
                             std::uint64_t count) const {
  if (start > stop || stop > rows_ || column > columns_ || count > columns_ - column) {
    throw InvalidInput("rows " + std::to_string(start) + " to " + std::to_string(stop) +
                       " of a dataset are asked for; it has " + std::to_string(rows_));
  }
  std::vector<T> values(count_of(stop - start, count));
  if (values.empty()) return values;
  const std::array<hsize_t, 2> offset{start, column};
  const std::array<hsize_t, 2> size{stop - start, count};
  const hsize_t flat = values.size();
  const Handle file(H5Dget_space(handle_.id()), H5Sclose);
  const Handle memory(H5Screate_simple(1, &flat, nullptr), H5Sclose);
  const bool selected = rank_ == 0 || H5Sselect_hyperslab(file.id(), H5S_SELECT_SET, offset.data(),
                                                          nullptr, size.data(), nullptr) >= 0;
  if (!selected || H5Dread(handle_.id(), memory_type<T>(), memory.id(), file.id(), H5P_DEFAULT,
                           values.data()) < 0) {
    throw InvalidInput("rows " + std::to_string(start) + " to " + std::to_string(stop) +
                       " of a dataset cannot be read: the file is damaged, or the values are no "
                       "numbers");
  }
  return values;
}

template std::vector<std::int64_t> Dataset::read(std::uint64_t, std::uint64_t, std::uint64_t,
                                                 std::uint64_t) const;
template std::vector<float> Dataset::read(std::uint64_t, std::uint64_t, std::uint64_t,
                                          std::uint64_t) const;
template std::vector<double> Dataset::read(std::uint64_t, std::uint64_t, std::uint64_t,
                                           std::uint64_t) const;

std::vector<std::string> Dataset::strings() const {
  const Handle type(H5Dget_type(handle_.id()), H5Tclose);
  if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) > 0 || rank_ > 1) {
    return {};
  }
  const std::size_t length = H5Tget_size(type.id());
  std::string all(count_of(rows_, length), '\0');
  if (rows_ > 0 &&
      H5Dread(handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, all.data()) < 0) {
    throw InvalidInput("names in a dataset cannot be read: the file is damaged");
  }
  std::vector<std::string> result;
  for (std::size_t i = 0; i < rows_; ++i) {
    result.emplace_back(all.substr(i * length, length).c_str());  // without the padding
  }
  return result;
}

}  // namespace naiad::hdf5
