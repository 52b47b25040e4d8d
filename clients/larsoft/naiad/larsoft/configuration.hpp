// Parameters of the module: the tables of larrecodnn's modules of 2026, or the flat names of its
// modules of 2024. Each table stands for the flat names of its part, so they may be mixed.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <naiad/error.hpp>
#include <naiad/options.hpp>

#include "canvas/Utilities/InputTag.h"
#include "fhiclcpp/ParameterSet.h"
#include "naiad/larsoft/conversion.hpp"

namespace naiad::larsoft {

inline const std::vector<std::string> kFiveClasses{"MIP", "HIP", "shower", "michel", "diffuse"};
inline const std::vector<std::string> kSevenClasses{"pion",   "muon",   "kaon",   "hadron",
                                                    "shower", "michel", "diffuse"};

enum class Fallback { raise, empty, tool };

struct Configuration {
  art::InputTag hits;
  art::InputTag spacepoints;
  std::size_t min_hits;
  bool debug;
  std::string model;
  std::string version;
  Options options;
  Fallback fallback;
  Parts parts;
  // Instance names of the products, and the names of the classes in their descriptions.
  std::string filter = "filter";
  std::string semantic = "semantic";
  std::string vertex = "vertex";
  std::string event = "event";
  std::vector<std::string> semantic_classes;
  std::vector<std::string> event_classes;

  /// Throws InvalidInput for values that this module cannot follow.
  static Configuration from(const fhicl::ParameterSet& p);
};

namespace detail {

inline std::string quoted(const std::string& text) { return "\"" + text + "\""; }

/// The table with this name, or all parameters.
inline fhicl::ParameterSet table(const fhicl::ParameterSet& p, const std::string& name) {
  return p.has_key(name) ? p.get<fhicl::ParameterSet>(name) : p;
}

/// "host:port" as a URL; an address with a scheme, or a Unix socket, stays unchanged.
inline std::string address(const std::string& url, bool ssl) {
  if (url.find("://") != std::string::npos || url.rfind("unix:", 0) == 0) return url;
  return (ssl ? "grpcs://" : "grpc://") + url;
}

inline std::chrono::milliseconds timeout(double seconds) {
  constexpr double longest = 1e9;
  if (!(seconds >= 0 && seconds < longest)) {
    throw InvalidInput("timeout is " + std::to_string(seconds) +
                       " s; it must be at least 0 (no limit) and less than 1e9");
  }
  using Count = std::chrono::milliseconds::rep;
  return std::chrono::milliseconds(static_cast<Count>((seconds > 0 ? seconds : longest) * 1e3));
}

inline Options options(const fhicl::ParameterSet& p) {
  const bool nested = p.has_key("TritonConfig");
  const auto server = table(p, "TritonConfig");
  const auto ssl = server.get<bool>("ssl", false);
  Options options;
  options.servers = {address(server.get<std::string>(nested ? "serverURL" : "url"), ssl)};
  for (const auto& url : p.get<std::vector<std::string>>("servers", {})) {
    options.servers.push_back(address(url, ssl));
  }
  options.tls.ca_certificate = server.get<std::string>("sslRootCertificates", "");
  options.tls.private_key = server.get<std::string>("sslPrivateKey", "");
  options.tls.certificate = server.get<std::string>("sslCertificateChain", "");
  options.timeout = timeout(server.get<double>("timeout", 60.));
  if (nested && server.has_key("allowedTries")) {
    options.retry.rounds = std::max(server.get<int>("allowedTries"), 1) - 1;
  }
  if (p.has_key("retryRounds")) options.retry.rounds = p.get<int>("retryRounds");
  // art records parameters in every file that it writes, so the API key is not one: the client
  // reads it from NAIAD_API_KEY in the environment.
  options.gzip = p.get<bool>("gzip", false);
  return options;
}

/// Refuse `key` of a decoder if it is not what the wire contract says.
inline void check_name(const fhicl::ParameterSet& p, const std::string& decoder,
                       const std::string& key, const std::string& right) {
  if (const auto name = p.get<std::string>(key, right); name != right) {
    throw InvalidInput("DecoderTools." + decoder + "." + key + " is " + quoted(name) +
                       "; the served models have " + quoted(right));
  }
}

inline void read_decoders(const fhicl::ParameterSet& decoders, Configuration& c) {
  for (const auto& name : decoders.get_pset_names()) {
    const auto p = decoders.get<fhicl::ParameterSet>(name);
    const auto type = p.get<std::string>("tool_type");
    if (type == "FilterDecoder") {
      check_name(p, name, "outputName", "x_filter_");
      c.parts.filter = true;
      c.filter = p.get<std::string>("instanceName", c.filter);
    } else if (type == "SemanticDecoder") {
      check_name(p, name, "outputName", "x_semantic_");
      c.semantic_classes = p.get<std::vector<std::string>>("categories");
      c.parts.semantic_classes = c.semantic_classes.size();
      c.semantic = p.get<std::string>("instanceName", c.semantic);
    } else if (type == "VertexDecoder") {
      c.parts.vertex = true;
      c.vertex = p.get<std::string>("instanceName", c.vertex);
    } else if (type == "EventDecoder") {
      c.parts.event = true;
      c.event = p.get<std::string>("instanceName", c.event);
      c.event_classes = p.get<std::vector<std::string>>("categories", c.event_classes);
    } else {
      throw InvalidInput("DecoderTools." + name + " is a " + quoted(type) +
                         "; this module has FilterDecoder, SemanticDecoder, VertexDecoder and "
                         "EventDecoder");
    }
    if (const auto hits = p.get<art::InputTag>("hitInput", c.hits); !(hits == c.hits)) {
      throw InvalidInput("DecoderTools." + name + ".hitInput is " + quoted(hits.encode()) +
                         "; it must be that of the loader, " + quoted(c.hits.encode()));
    }
  }
}

inline void check(const fhicl::ParameterSet& p, const Configuration& c) {
  const std::vector<std::string> planes{"u", "v", "y"};
  if (p.get<std::vector<std::string>>("planes", planes) != planes) {
    throw InvalidInput("planes must be [\"u\", \"v\", \"y\"], as in the names of the outputs");
  }
  const std::size_t classes = c.parts.semantic_classes;
  if (classes != 0 && classes != kFiveClasses.size() && classes != kSevenClasses.size()) {
    throw InvalidInput(std::to_string(classes) +
                       " semantic categories; there must be 5 (NuGraph2) or 7 (NuGraph3)");
  }
  if (c.model.rfind("nugraph2", 0) == 0 && (c.parts.vertex || c.parts.event)) {
    throw InvalidInput(c.model + " has no " + (c.parts.vertex ? "vertex" : "event class") +
                       "; leave that decoder out, or use nugraph3");
  }
  const auto outputs_of = table(p, "TritonConfig").get<std::vector<std::string>>("outputs", {});
  for (const auto& output : outputs(c.parts)) {
    if (!outputs_of.empty() &&
        std::find(outputs_of.begin(), outputs_of.end(), output) == outputs_of.end()) {
      throw InvalidInput("TritonConfig.outputs lacks " + output +
                         ", which a decoder needs; add it, or leave the list empty");
    }
  }
}

}  // namespace detail

inline Configuration Configuration::from(const fhicl::ParameterSet& p) {
  const auto loader = detail::table(p, "LoaderTool");
  const auto server = detail::table(p, "TritonConfig");
  Configuration c{loader.get<art::InputTag>("hitInput"), loader.get<art::InputTag>("spsInput"),
                  p.get<std::size_t>("minHits"),
                  p.get<bool>("debug", false) || server.get<bool>("verbose", false),
                  server.get<std::string>("modelName", Nugraph3Input::model),
                  server.get<std::string>("modelVersion", ""), detail::options(p),
                  Fallback::raise, {}};
  if (const auto type = loader.get<std::string>("tool_type", "StandardLoader");
      type != "StandardLoader") {
    throw InvalidInput("LoaderTool is a " + detail::quoted(type) +
                       "; this module has StandardLoader only");
  }
  const auto fallback = p.get<std::string>("fallback", "throw");
  if (fallback == "empty" || fallback == "tool") {
    c.fallback = fallback == "empty" ? Fallback::empty : Fallback::tool;
  } else if (fallback != "throw") {
    throw InvalidInput("fallback is " + detail::quoted(fallback) +
                       "; it must be \"throw\", \"empty\" or \"tool\"");
  }
  c.event_classes =
      p.get<std::vector<std::string>>("eventCategories", {"cc_nue", "cc_numu", "cc_nutau", "nc"});
  if (p.has_key("DecoderTools")) {
    detail::read_decoders(p.get<fhicl::ParameterSet>("DecoderTools"), c);
  } else {
    c.parts.filter = p.get<bool>("filterDecoder");
    c.parts.vertex = p.get<bool>("vertexDecoder");
    c.parts.event = p.get<bool>("eventDecoder", false);
    if (p.get<bool>("semanticDecoder")) {
      const bool five = c.model.rfind("nugraph2", 0) == 0;
      c.semantic_classes = p.get<std::vector<std::string>>("semanticCategories",
                                                           five ? kFiveClasses : kSevenClasses);
      c.parts.semantic_classes = c.semantic_classes.size();
    }
  }
  detail::check(p, c);
  return c;
}

}  // namespace naiad::larsoft
