////////////////////////////////////////////////////////////////////////
// Class:       NuGraphInferenceNaiad
// Plugin Type: producer
// File:        NuGraphInferenceNaiad_module.cc
//
// Labels hits, classifies the event and finds its vertex with a NuGraph3 that is served by Triton.
// Its configuration and products are described in docs/larsoft.md of Naiad.
////////////////////////////////////////////////////////////////////////

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <naiad/client.hpp>
#include <naiad/nugraph3.hpp>

#include "art/Framework/Core/EDProducer.h"
#include "art/Framework/Core/ModuleMacros.h"
#include "art/Framework/Principal/Event.h"
#include "art/Framework/Principal/Handle.h"
#include "art/Utilities/make_tool.h"
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
#include "naiad/larsoft/conversion.hpp"

namespace {

constexpr const char* kName = "NuGraphInferenceNaiad";

/// "host:port" as a URL; an address with a scheme, or a Unix socket, stays unchanged.
std::string address(const std::string& url, bool ssl) {
  if (url.find("://") != std::string::npos || url.rfind("unix:", 0) == 0) return url;
  return (ssl ? "grpcs://" : "grpc://") + url;
}

naiad::Options options(const fhicl::ParameterSet& p) {
  const bool ssl = p.get<bool>("ssl");
  naiad::Options options;
  options.servers = {address(p.get<std::string>("url"), ssl)};
  for (const auto& url : p.get<std::vector<std::string>>("servers", {})) {
    options.servers.push_back(address(url, ssl));
  }
  options.tls.ca_certificate = p.get<std::string>("sslRootCertificates", "");
  options.tls.private_key = p.get<std::string>("sslPrivateKey", "");
  options.tls.certificate = p.get<std::string>("sslCertificateChain", "");
  const auto timeout = p.get<double>("timeout", 60.);
  if (!(timeout > 0 && timeout < 1e9)) {
    throw naiad::InvalidInput("timeout is " + std::to_string(timeout) +
                              " s; it must be more than 0 and less than 1e9");
  }
  options.timeout =
      std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(timeout * 1e3));
  if (p.has_key("retryRounds")) options.retry.rounds = p.get<int>("retryRounds");
  // art records parameters in every file that it writes, so the API key is not one: the client
  // reads it from NAIAD_API_KEY in the environment.
  options.gzip = p.get<bool>("gzip", false);
  return options;
}

template <std::size_t N>
std::unique_ptr<std::vector<anab::FeatureVector<N>>> features(
    const std::vector<std::array<float, N>>& rows) {
  auto result = std::make_unique<std::vector<anab::FeatureVector<N>>>();
  for (const auto& row : rows) result->emplace_back(row);
  return result;
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
  naiad::larsoft::Decoded infer(const art::Event& e, const std::vector<art::Ptr<recob::Hit>>& hits);
  void put(art::Event& e, const naiad::larsoft::Decoded& decoded);

  const art::InputTag hitInput;
  const art::InputTag spsInput;
  const std::size_t minHits;
  const bool debug;
  const bool filterDecoder;
  const bool semanticDecoder;
  const bool vertexDecoder;
  const bool eventDecoder;
  const std::vector<std::string> semanticCategories;
  const std::vector<std::string> eventCategories;
  const bool emptyFallback;
  std::unique_ptr<naiad::larsoft::FallbackToolBase> fallbackTool;
  naiad::Client client;
  naiad::models::Nugraph3 model;
};

NuGraphInferenceNaiad::NuGraphInferenceNaiad(fhicl::ParameterSet const& p)
    : EDProducer{p},
      hitInput(p.get<art::InputTag>("hitInput")),
      spsInput(p.get<art::InputTag>("spsInput")),
      minHits(p.get<std::size_t>("minHits")),
      debug(p.get<bool>("debug", false)),
      filterDecoder(p.get<bool>("filterDecoder")),
      semanticDecoder(p.get<bool>("semanticDecoder")),
      vertexDecoder(p.get<bool>("vertexDecoder")),
      eventDecoder(p.get<bool>("eventDecoder", false)),
      semanticCategories(p.get<std::vector<std::string>>(
          "semanticCategories", {"pion", "muon", "kaon", "hadron", "shower", "michel", "diffuse"})),
      eventCategories(p.get<std::vector<std::string>>("eventCategories",
                                                      {"cc_nue", "cc_numu", "cc_nutau", "nc"})),
      emptyFallback(p.get<std::string>("fallback", "throw") == "empty"),
      client(options(p)),
      model(client, p.get<std::string>("modelName", naiad::models::Nugraph3Input::model)) {
  const auto fallback = p.get<std::string>("fallback", "throw");
  if (fallback == "tool") {
    fallbackTool = art::make_tool<naiad::larsoft::FallbackToolBase>(
        p.get<fhicl::ParameterSet>("FallbackTool"));
    model.set_fallback(
        [this](const naiad::models::Nugraph3Input& input, const naiad::Error& error) {
          mf::LogWarning(kName) << error.what() << "; asking the fallback tool";
          return fallbackTool->infer(input, error);
        });
  } else if (fallback != "throw" && fallback != "empty") {
    throw naiad::InvalidInput("fallback is \"" + fallback +
                              "\"; it must be \"throw\", \"empty\" or \"tool\"");
  }
  if (filterDecoder) produces<std::vector<anab::FeatureVector<1>>>("filter");
  if (semanticDecoder) {
    produces<std::vector<anab::FeatureVector<7>>>("semantic");
    produces<anab::MVADescription<7>>("semantic");
  }
  if (vertexDecoder) produces<std::vector<recob::Vertex>>("vertex");
  if (eventDecoder) {
    produces<std::vector<anab::FeatureVector<4>>>("event");
    produces<anab::MVADescription<4>>("event");
  }
}

void NuGraphInferenceNaiad::produce(art::Event& e) {
  art::Handle<std::vector<recob::Hit>> handle;
  std::vector<art::Ptr<recob::Hit>> hits;
  if (e.getByLabel(hitInput, handle)) art::fill_ptr_vector(hits, handle);
  if (debug) mf::LogInfo(kName) << hits.size() << " hits";
  if (hits.size() < minHits) {
    put(e, naiad::larsoft::Decoded::empty(hits.size()));
    return;
  }
  put(e, infer(e, hits));
}

naiad::larsoft::Decoded NuGraphInferenceNaiad::infer(
    const art::Event& e, const std::vector<art::Ptr<recob::Hit>>& hits) {
  art::Handle<std::vector<recob::SpacePoint>> handle;
  std::vector<std::vector<art::Ptr<recob::Hit>>> spacepoints;
  if (e.getByLabel(spsInput, handle)) {
    const art::FindManyP<recob::Hit> associated(handle, e, spsInput);
    for (std::size_t i = 0; i < handle->size(); ++i) spacepoints.push_back(associated.at(i));
  }
  const naiad::models::Nugraph3Input input =
      naiad::larsoft::request(hits.begin(), hits.end(), spacepoints.begin(), spacepoints.end());
  naiad::Call call;
  call.outputs = naiad::larsoft::outputs();
  call.id = std::to_string(e.id().run()) + "/" + std::to_string(e.id().subRun()) + "/" +
            std::to_string(e.id().event());
  try {
    return naiad::larsoft::decode(input, model.infer(input, call));
  } catch (const naiad::Error& error) {
    const bool noAnswer = error.code() == naiad::Code::deadline_exceeded ||
                          dynamic_cast<const naiad::Unavailable*>(&error) != nullptr;
    if (!emptyFallback || !noAnswer) throw;
    mf::LogWarning(kName) << error.what() << "; the products of event " << call.id << " are empty";
    return naiad::larsoft::Decoded::empty(hits.size());
  }
}

void NuGraphInferenceNaiad::put(art::Event& e, const naiad::larsoft::Decoded& decoded) {
  if (filterDecoder) e.put(features(decoded.filter), "filter");
  if (semanticDecoder) {
    e.put(features(decoded.semantic), "semantic");
    e.put(
        std::make_unique<anab::MVADescription<7>>(hitInput.label(), "semantic", semanticCategories),
        "semantic");
  }
  if (vertexDecoder) {
    auto vertices = std::make_unique<std::vector<recob::Vertex>>();
    for (const auto& position : decoded.vertex) {
      double xyz[3] = {position[0], position[1], position[2]};
      vertices->emplace_back(xyz);
    }
    e.put(std::move(vertices), "vertex");
  }
  if (eventDecoder) {
    e.put(features<4>({decoded.event}), "event");
    e.put(std::make_unique<anab::MVADescription<4>>(hitInput.label(), "event", eventCategories),
          "event");
  }
}

DEFINE_ART_MODULE(NuGraphInferenceNaiad)
