// The parts of art, canvas, fhiclcpp, messagefacility and lardataobj that the module uses:
// declarations with their signatures, and just enough code to run it. Code that compiles against
// them may not compile against the real ones.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include "fhicl.hpp"

namespace mf {

class Log {
 public:
  explicit Log(const std::string& category) : text_(category + ": ") {}
  template <class T>
  Log& operator<<(const T& value) {
    std::ostringstream text;
    text << value;
    text_ += text.str();
    return *this;
  }
  ~Log() { lines().push_back(text_); }
  static std::vector<std::string>& lines() {
    static std::vector<std::string> lines;
    return lines;
  }

 private:
  std::string text_;
};
using LogWarning = Log;
using LogInfo = Log;

}  // namespace mf

namespace art {

class InputTag {
 public:
  InputTag(const char* label) : label_(label) {}
  InputTag(std::string label, std::string instance = "")
      : label_(std::move(label)), instance_(std::move(instance)) {}
  bool operator==(const InputTag& other) const {
    return label_ == other.label_ && instance_ == other.instance_;
  }
  std::string encode() const { return instance_.empty() ? label_ : label_ + ":" + instance_; }
  const std::string& label() const { return label_; }
  const std::string& instance() const { return instance_; }

 private:
  std::string label_;
  std::string instance_;
};

template <class T>
class Handle {
 public:
  const T& operator*() const { return *product_; }
  const T* operator->() const { return product_; }
  bool isValid() const { return product_ != nullptr; }
  void set(const T* product) { product_ = product; }

 private:
  const T* product_ = nullptr;
};

template <class T>
class Ptr {
 public:
  Ptr() = default;
  Ptr(const T* item, std::size_t key) : item_(item), key_(key) {}
  const T* operator->() const { return item_; }
  const T& operator*() const { return *item_; }
  std::size_t key() const { return key_; }

 private:
  const T* item_ = nullptr;
  std::size_t key_ = 0;
};

template <class T>
void fill_ptr_vector(std::vector<Ptr<T>>& pointers, const Handle<std::vector<T>>& handle) {
  for (std::size_t i = 0; i < handle->size(); ++i) pointers.emplace_back(&(*handle)[i], i);
}

template <class A, class B>
class Assns {
 public:
  void addSingle(const Ptr<A>& a, const Ptr<B>& b) { pairs_.emplace_back(a, b); }
  std::size_t size() const { return pairs_.size(); }
  const std::pair<Ptr<A>, Ptr<B>>& operator[](std::size_t i) const { return pairs_[i]; }

 private:
  std::vector<std::pair<Ptr<A>, Ptr<B>>> pairs_;
};

struct EventID {
  unsigned run() const { return 7; }
  unsigned subRun() const { return 8; }
  unsigned event() const { return 9; }
};

class Event {
 public:
  template <class T>
  void put(std::unique_ptr<T> product, const std::string& instance) {
    products_[{typeid(T), "module", instance}] = std::shared_ptr<T>(std::move(product));
  }
  template <class T>
  bool getByLabel(const InputTag& tag, Handle<T>& handle) const {
    const auto found = products_.find({typeid(T), tag.label(), tag.instance()});
    if (found == products_.end()) return false;
    handle.set(static_cast<const T*>(found->second.get()));
    return true;
  }
  EventID id() const { return {}; }

  /// For tests: add the product of another module.
  template <class T>
  void add(T product, const std::string& label) {
    products_[{typeid(T), label, ""}] = std::make_shared<T>(std::move(product));
  }
  std::size_t size() const { return products_.size(); }

 private:
  struct Key {
    std::type_index type;
    std::string label;
    std::string instance;
    bool operator<(const Key& other) const {
      return std::tie(type, label, instance) < std::tie(other.type, other.label, other.instance);
    }
  };
  std::map<Key, std::shared_ptr<void>> products_;
};

/// Makes pointers to the items of a product that is not in the event yet.
template <class T>
class PtrMaker {
 public:
  PtrMaker(const Event&, const std::string&) {}
  Ptr<T> operator()(std::size_t index) const { return {nullptr, index}; }
};

/// The associations that a test has put into the event as product of the tag.
template <class T>
class FindManyP {
 public:
  using Associations = std::vector<std::vector<Ptr<T>>>;
  template <class Source>
  FindManyP(const Source&, const Event& event, const InputTag& tag) {
    event.getByLabel(tag, associations_);
  }
  const std::vector<Ptr<T>>& at(std::size_t i) const { return associations_->at(i); }

 private:
  Handle<Associations> associations_;
};

class EDProducer {
 public:
  explicit EDProducer(const fhicl::ParameterSet&) {}
  virtual ~EDProducer() = default;
  virtual void produce(Event& e) = 0;
  const std::vector<std::pair<std::type_index, std::string>>& declared() const { return declared_; }

 protected:
  template <class T>
  void produces(const std::string& instance) {
    declared_.emplace_back(typeid(T), instance);
  }

 private:
  std::vector<std::pair<std::type_index, std::string>> declared_;
};

/// Tools that a test has made, by `tool_type`.
template <class T>
std::map<std::string, std::function<std::unique_ptr<T>()>>& tools() {
  static std::map<std::string, std::function<std::unique_ptr<T>()>> tools;
  return tools;
}

template <class T>
std::unique_ptr<T> make_tool(const fhicl::ParameterSet& p) {
  return tools<T>().at(p.get<std::string>("tool_type"))();
}

}  // namespace art

/// The one module of a test program.
std::unique_ptr<art::EDProducer> make_module(const fhicl::ParameterSet& p);
#define DEFINE_ART_MODULE(Module)                                              \
  std::unique_ptr<art::EDProducer> make_module(const fhicl::ParameterSet& p) { \
    return std::make_unique<Module>(p);                                        \
  }

namespace geo {
enum View_t { kU, kV, kW, kZ = kW, kY, kX };
struct WireID {
  unsigned Wire = 0;
};
}  // namespace geo

namespace recob {

class Hit {
 public:
  Hit(geo::View_t view, float time, unsigned wire, float integral, float rms)
      : view_(view), time_(time), wire_{wire}, integral_(integral), rms_(rms) {}
  geo::View_t View() const { return view_; }
  float PeakTime() const { return time_; }
  const geo::WireID& WireID() const { return wire_; }
  float Integral() const { return integral_; }
  float RMS() const { return rms_; }

 private:
  geo::View_t view_;
  float time_;
  geo::WireID wire_;
  float integral_;
  float rms_;
};

class SpacePoint {};

class Vertex {
 public:
  explicit Vertex(const double* xyz) : xyz_{xyz[0], xyz[1], xyz[2]} {}
  const std::array<double, 3>& xyz() const { return xyz_; }

 private:
  std::array<double, 3> xyz_;
};

}  // namespace recob

namespace anab {

template <std::size_t N>
class FeatureVector {
 public:
  explicit FeatureVector(const std::array<float, N>& values) : values_(values) {}
  float at(std::size_t i) const { return values_.at(i); }

 private:
  std::array<float, N> values_;
};

template <std::size_t N>
class MVADescription {
 public:
  MVADescription(const std::string& data, const std::string& instance,
                 const std::vector<std::string>& names)
      : data_(data), instance_(instance), names_(names) {
    if (names.size() != N) throw std::invalid_argument("there must be one name per feature");
  }
  const std::string& dataTag() const { return data_; }
  const std::string& outputName(std::size_t i) const { return names_.at(i); }

 private:
  std::string data_;
  std::string instance_;
  std::vector<std::string> names_;
};

}  // namespace anab
