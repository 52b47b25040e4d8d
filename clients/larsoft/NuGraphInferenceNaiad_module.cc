////////////////////////////////////////////////////////////////////////
// Class:       NuGraphInferenceNaiad
// Plugin Type: producer
// File:        NuGraphInferenceNaiad_module.cc
//
// Labels hits with a NuGraph2 or NuGraph3 that is served by Triton; NuGraph3 also classifies the
// event and finds its vertex. Its configuration and products are described in docs/larsoft.md of Naiad.
////////////////////////////////////////////////////////////////////////

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <naiad/client.hpp>
#include <naiad/nugraph3.hpp>

#include "art/Framework/Core/EDProducer.h"
#include "art/Framework/Core/ModuleMacros.h"
#include "art/Framework/Principal/Event.h"
#include "art/Framework/Principal/Handle.h"
#include "art/Persistency/Common/PtrMaker.h"
#include "art/Utilities/make_tool.h"
#include "canvas/Persistency/Common/Assns.h"
#include "canvas/Persistency/Common/FindManyP.h"
#include "canvas/Persistency/Common/Ptr.h"
#include "canvas/Utilities/InputTag.h"
#include "fhiclcpp/ParameterSet.h"
#include "lardataobj/AnalysisBase/MVAOutput.h"
#include "lardataobj/RecoBase/Hit.h"
#include "lardataobj/RecoBase/SpacePoint.h"
#include "lardataobj/RecoBase/Vertex.h"
#include "messagefacility/MessageLogger/MessageLogger.h"
#include "naiad/larsoft/FallbackToolBase.h"
#include "naiad/larsoft/configuration.hpp"
#include "naiad/larsoft/conversion.hpp"

namespace {

constexpr const char* kName = "NuGraphInferenceNaiad";

using Hits = std::vector<art::Ptr<recob::Hit>>;

template <std::size_t N>
using Features = anab::FeatureVector<N>;

/// Call `use` with the number of semantic classes as a constant: products have it in their type.
template <class Use>
void with_classes(std::size_t classes, Use use) {
  if (classes == naiad::larsoft::kFiveClasses.size()) use(std::integral_constant<std::size_t, 5>{});
  if (classes == naiad::larsoft::kSevenClasses.size()) use(std::integral_constant<std::size_t, 7>{});
}

}  // namespace

class NuGraphInferenceNaiad : public art::EDProducer {
 public:
  explicit NuGraphInferenceNaiad(fhicl::ParameterSet const& p);

  NuGraphInferenceNaiad(NuGraphInferenceNaiad const&) = delete;
  NuGraphInferenceNaiad(NuGraphInferenceNaiad&&) = delete;
  NuGraphInferenceNaiad& operator=(NuGraphInferenceNaiad const&) = delete;
  NuGraphInferenceNaiad& operator=(NuGraphInferenceNaiad&&) = delete;

  void produce(art::Event& e) override;

 private:
  naiad::larsoft::Decoded infer(const art::Event& e, const Hits& hits);
  void put(art::Event& e, const Hits& hits, const naiad::larsoft::Decoded& decoded);
  template <std::size_t N>
  void declareFeatures(const std::string& instance);
  template <std::size_t N>
  void putFeatures(art::Event& e, const Hits& hits, const std::vector<float>& rows,
                   const std::string& instance);
  template <std::size_t N>
  void putDescription(art::Event& e, const std::string& instance,
                      const std::vector<std::string>& names);

  const naiad::larsoft::Configuration config;
  std::unique_ptr<naiad::larsoft::FallbackToolBase> fallbackTool;
  naiad::Client client;
};

NuGraphInferenceNaiad::NuGraphInferenceNaiad(fhicl::ParameterSet const& p)
    : EDProducer{p},
      config(naiad::larsoft::Configuration::from(p)),
      client(config.options) {
  if (config.fallback == naiad::larsoft::Fallback::tool) {
    fallbackTool = art::make_tool<naiad::larsoft::FallbackToolBase>(
        p.get<fhicl::ParameterSet>("FallbackTool"));
  }
  if (config.parts.filter) declareFeatures<1>(config.filter);
  with_classes(config.parts.semantic_classes, [&](auto classes) {
    declareFeatures<classes()>(config.semantic);
    produces<anab::MVADescription<classes()>>(config.semantic);
  });
  if (config.parts.vertex) produces<std::vector<recob::Vertex>>(config.vertex);
  if (config.parts.event) {
    produces<std::vector<Features<4>>>(config.event);
    produces<anab::MVADescription<4>>(config.event);
  }
}

template <std::size_t N>
void NuGraphInferenceNaiad::declareFeatures(const std::string& instance) {
  produces<std::vector<Features<N>>>(instance);
  produces<art::Assns<Features<N>, recob::Hit>>(instance);
}

void NuGraphInferenceNaiad::produce(art::Event& e) {
  art::Handle<std::vector<recob::Hit>> handle;
  Hits hits;
  if (e.getByLabel(config.hits, handle)) art::fill_ptr_vector(hits, handle);
  if (config.debug) mf::LogInfo(kName) << hits.size() << " hits";
  if (hits.size() < config.min_hits) {
    put(e, hits, naiad::larsoft::Decoded::empty(hits.size(), config.parts));
    return;
  }
  put(e, hits, infer(e, hits));
}

naiad::larsoft::Decoded NuGraphInferenceNaiad::infer(const art::Event& e, const Hits& hits) {
  using naiad::models::Nugraph3Input;
  using naiad::models::Nugraph3Output;
  art::Handle<std::vector<recob::SpacePoint>> handle;
  std::vector<Hits> spacepoints;
  if (e.getByLabel(config.spacepoints, handle)) {
    const art::FindManyP<recob::Hit> associated(handle, e, config.spacepoints);
    for (std::size_t i = 0; i < handle->size(); ++i) spacepoints.push_back(associated.at(i));
  }
  const Nugraph3Input input =
      naiad::larsoft::request(hits.begin(), hits.end(), spacepoints.begin(), spacepoints.end());
  const auto tensors = input.tensors();
  naiad::check_inputs(Nugraph3Input::schema(), tensors);
  naiad::Call call;
  call.outputs = naiad::larsoft::outputs(config.parts);
  call.version = config.version;
  call.id = std::to_string(e.id().run()) + "/" + std::to_string(e.id().subRun()) + "/" +
            std::to_string(e.id().event());
  try {
    const auto outputs = client.infer(config.model, tensors, call);
    naiad::check_outputs(naiad::larsoft::schema(config.parts), outputs, call.outputs);
    return naiad::larsoft::decode(input, Nugraph3Output::from(outputs), config.parts);
  } catch (const naiad::Error& error) {
    const bool noAnswer = error.code() == naiad::Code::deadline_exceeded ||
                          dynamic_cast<const naiad::Unavailable*>(&error) != nullptr;
    if (!noAnswer || config.fallback == naiad::larsoft::Fallback::raise) throw;
    if (fallbackTool != nullptr) {
      mf::LogWarning(kName) << error.what() << "; asking the fallback tool";
      return naiad::larsoft::decode(input, fallbackTool->infer(input, error), config.parts);
    }
    mf::LogWarning(kName) << error.what() << "; the products of event " << call.id << " are empty";
    return naiad::larsoft::Decoded::empty(hits.size(), config.parts);
  }
}

void NuGraphInferenceNaiad::put(art::Event& e, const Hits& hits,
                                const naiad::larsoft::Decoded& decoded) {
  if (config.parts.filter) putFeatures<1>(e, hits, decoded.filter, config.filter);
  with_classes(config.parts.semantic_classes, [&](auto classes) {
    putFeatures<classes()>(e, hits, decoded.semantic.data, config.semantic);
    putDescription<classes()>(e, config.semantic, config.semantic_classes);
  });
  if (config.parts.vertex) {
    auto vertices = std::make_unique<std::vector<recob::Vertex>>();
    for (const auto& position : decoded.vertex) {
      double xyz[3] = {position[0], position[1], position[2]};
      vertices->emplace_back(xyz);
    }
    e.put(std::move(vertices), config.vertex);
  }
  if (config.parts.event) {
    e.put(std::make_unique<std::vector<Features<4>>>(1, Features<4>(decoded.event)), config.event);
    putDescription<4>(e, config.event, config.event_classes);
  }
}

/// Put N scores per hit, and which hit each row belongs to.
template <std::size_t N>
void NuGraphInferenceNaiad::putFeatures(art::Event& e, const Hits& hits,
                                        const std::vector<float>& rows,
                                        const std::string& instance) {
  auto features = std::make_unique<std::vector<Features<N>>>();
  auto associations = std::make_unique<art::Assns<Features<N>, recob::Hit>>();
  const art::PtrMaker<Features<N>> pointer(e, instance);
  for (std::size_t hit = 0; hit < hits.size(); ++hit) {
    std::array<float, N> row;
    std::copy_n(rows.data() + hit * N, N, row.begin());
    features->emplace_back(row);
    associations->addSingle(pointer(hit), hits[hit]);
  }
  e.put(std::move(features), instance);
  e.put(std::move(associations), instance);
}

template <std::size_t N>
void NuGraphInferenceNaiad::putDescription(art::Event& e, const std::string& instance,
                                           const std::vector<std::string>& names) {
  e.put(std::make_unique<anab::MVADescription<N>>(config.hits.label(), instance, names), instance);
}

DEFINE_ART_MODULE(NuGraphInferenceNaiad)
