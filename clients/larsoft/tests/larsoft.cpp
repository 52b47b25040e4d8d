// The conversion on plain structs, and the module on declarations of its framework: art.hpp.
// With the environment variables NAIAD_URL and NAIAD_EVENTS, also on a server; for TLS see tls().
#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <list>
#include <sstream>
#include <string>
#include <vector>

#include <naiad/events.hpp>

#include "art.hpp"
#include "naiad/larsoft/FallbackToolBase.h"
#include "naiad/larsoft/configuration.hpp"
#include "naiad/larsoft/conversion.hpp"

using namespace naiad::larsoft;

namespace {

// A user's own hits, with the accessors and nothing else.
struct Wire {
  unsigned Wire;
};

struct PlainHit {
  int view;
  double time;
  unsigned wire;
  int View() const { return view; }
  double PeakTime() const { return time; }
  Wire WireID() const { return {wire}; }
  double Integral() const { return 100 + wire; }
  double RMS() const { return 3.5; }
};

struct PlainPtr {
  PlainHit hit;
  std::size_t number;
  const PlainHit* operator->() const { return &hit; }
  std::size_t key() const { return number; }
};

const std::list<PlainPtr> kHits{{{0, 10, 1}, 4}, {{2, 20, 2}, 5}, {{0, 30, 3}, 9}, {{1, 40, 4}, 2}};

Parts all(std::size_t classes = 7) { return {true, classes, true, true}; }

/// An answer in which row i of each plane is mostly class i, of `classes`.
Nugraph3Output answer(std::size_t u, std::size_t v, std::size_t y, std::size_t classes = 7) {
  const auto scores = [&](std::size_t rows, float first) {
    const naiad::Shape shape{static_cast<std::int64_t>(rows), static_cast<std::int64_t>(classes)};
    naiad::Array<float> array{shape, std::vector<float>(rows * classes)};
    for (std::size_t row = 0; row < rows; ++row) array.data[row * classes + row] = first;
    return array;
  };
  Nugraph3Output output;
  output.x_semantic_u = scores(u, 5);
  output.x_semantic_v = scores(v, 6);
  output.x_semantic_y = scores(y, 7);
  for (std::size_t i = 0; i < u; ++i)
    output.x_filter_u.push_back(0.1F + static_cast<float>(i) / 10);
  output.x_filter_v.assign(v, 0.7F);
  output.x_filter_y.assign(y, 0.9F);
  output.e_evt = {{1, 4}, {0, 0, 2, 0}};
  output.v_evt = {{1, 3}, {1, 2, 3}};
  return output;
}

}  // namespace

TEST_CASE("hits and spacepoints become the tensors of the wire contract") {
  const std::vector<PlainPtr> hits(kHits.begin(), kHits.end());
  // The first has two hits on plane u, the second none at all.
  const std::vector<std::vector<PlainPtr>> spacepoints{{hits[0], hits[1], hits[2]}, {}, {hits[3]}};
  const auto input = request(kHits.begin(), kHits.end(), spacepoints.begin(), spacepoints.end());
  using Integers = std::vector<std::int32_t>;
  using Numbers = std::vector<float>;
  CHECK(input.hit_table_hit_id == Integers{4, 5, 9, 2});
  CHECK(input.hit_table_local_plane == Integers{0, 2, 0, 1});
  CHECK(input.hit_table_local_time == Numbers{10, 20, 30, 40});
  CHECK(input.hit_table_local_wire == Integers{1, 2, 3, 4});
  CHECK(input.hit_table_integral == Numbers{101, 102, 103, 104});
  CHECK(input.hit_table_rms == Numbers{3.5, 3.5, 3.5, 3.5});
  CHECK(input.spacepoint_table_spacepoint_id == Integers{0, 1, 2});
  CHECK(input.spacepoint_table_hit_id_u == Integers{9, -1, -1});
  CHECK(input.spacepoint_table_hit_id_v == Integers{-1, -1, 2});
  CHECK(input.spacepoint_table_hit_id_y == Integers{5, -1, -1});

  std::vector<std::string> sent;
  for (const naiad::Input& tensor : input.tensors()) sent.push_back(tensor.name);
  CHECK(sent == std::vector<std::string>{
                    "hit_table_hit_id", "hit_table_local_plane", "hit_table_local_time",
                    "hit_table_local_wire", "hit_table_integral", "hit_table_rms",
                    "spacepoint_table_spacepoint_id", "spacepoint_table_hit_id_u",
                    "spacepoint_table_hit_id_v", "spacepoint_table_hit_id_y"});
}

TEST_CASE("a hit on another view, or with too large a key, is refused") {
  const std::vector<std::vector<PlainPtr>> none;
  const auto refused = [&](const PlainPtr& hit) {
    try {
      request(&hit, &hit + 1, none.begin(), none.end());
    } catch (const naiad::InvalidInput& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({{3, 0, 0}, 17}) == "hit 17 has view 3; it must be 0 (u), 1 (v) or 2 (y)");
  CHECK_FALSE(refused({{0, 0, 0}, std::size_t{1} << 31}).empty());
  CHECK(refused({{0, 0, 0}, (std::size_t{1} << 31) - 1}).empty());
}

TEST_CASE("the answer's rows, by plane, go beside the hits, in their order") {
  const std::vector<std::vector<PlainPtr>> none;
  const auto input = request(kHits.begin(), kHits.end(), none.begin(), none.end());
  for (const std::size_t classes : {5, 7}) {
    const Decoded decoded = decode(input, answer(2, 1, 1, classes), all(classes));
    REQUIRE(decoded.semantic.rows() == 4);
    REQUIRE(decoded.semantic.columns() == classes);
    // Hits 0 and 2 are the first and second of plane u.
    CHECK(decoded.semantic(0, 0) > 0.9F);
    CHECK(decoded.semantic(2, 1) > 0.9F);
    CHECK(decoded.filter == std::vector<float>{0.1F, 0.9F, 0.2F, 0.7F});
    for (std::size_t hit = 0; hit < 4; ++hit) {
      float sum = 0;
      for (std::size_t i = 0; i < classes; ++i) sum += decoded.semantic(hit, i);
      CHECK(sum == doctest::Approx(1));
    }
    CHECK(decoded.event[2] > decoded.event[0]);
    CHECK(decoded.vertex.front() == std::array<float, 3>{1, 2, 3});
  }
  CHECK_THROWS_AS(decode(input, answer(1, 1, 1), all()), naiad::PipelineError);
  CHECK_THROWS_AS(decode(input, answer(3, 1, 1), all()), naiad::PipelineError);
  Nugraph3Output narrow = answer(2, 1, 1);
  narrow.x_semantic_u = {{2, 3}, std::vector<float>(6)};  // a fallback's: no schema has seen it
  CHECK_THROWS_AS(decode(input, narrow, all()), naiad::PipelineError);
  narrow.x_semantic_u = {{std::int64_t{1} << 60, 0}, {}};
  CHECK_THROWS_AS(decode(input, narrow, all()), naiad::PipelineError);
  narrow = answer(2, 1, 1);
  narrow.x_filter_v.clear();
  CHECK_THROWS_AS(decode(input, narrow, all()), naiad::PipelineError);
}

TEST_CASE("an answer of another number of classes is refused by both numbers") {
  const std::vector<std::vector<PlainPtr>> none;
  const auto input = request(kHits.begin(), kHits.end(), none.begin(), none.end());
  std::string said;
  try {
    decode(input, answer(2, 1, 1, 7), all(5));
  } catch (const naiad::PipelineError& error) {
    said = error.what();
  }
  CHECK(said ==
        "the answer has 7 semantic scores per hit on plane 0; 5 categories are configured");
}

TEST_CASE("only the outputs of the parts are asked for, and read") {
  using Names = std::vector<std::string>;
  CHECK(outputs({true, 0, false, false}) == Names{"x_filter_u", "x_filter_v", "x_filter_y"});
  CHECK(outputs({true, 5, false, false}) == Names{"x_semantic_u", "x_semantic_v", "x_semantic_y",
                                                  "x_filter_u", "x_filter_v", "x_filter_y"});
  CHECK(outputs(all()).size() == 8);
  const std::vector<std::vector<PlainPtr>> none;
  const auto input = request(kHits.begin(), kHits.end(), none.begin(), none.end());
  Nugraph3Output filter_only;
  filter_only.x_filter_u = {0.1F, 0.2F};
  filter_only.x_filter_v = filter_only.x_filter_y = {0.3F};
  const Decoded decoded = decode(input, filter_only, {true, 0, false, false});
  CHECK(decoded.filter == std::vector<float>{0.1F, 0.3F, 0.2F, 0.3F});
  CHECK(decoded.semantic.data.empty());
  CHECK(decoded.vertex.empty());
  for (const Parts& parts : {Parts{true, 5, false, false}, Parts{true, 0, true, false},
                             Parts{true, 0, false, true}}) {
    CHECK_THROWS_AS(decode(input, filter_only, parts), naiad::PipelineError);
  }
}

namespace {

constexpr const char* kNowhere = "127.0.0.1:1";

using Hits = std::vector<recob::Hit>;
using Features1 = std::vector<anab::FeatureVector<1>>;
using Features4 = std::vector<anab::FeatureVector<4>>;
using Features5 = std::vector<anab::FeatureVector<5>>;
using Features7 = std::vector<anab::FeatureVector<7>>;
template <std::size_t N>
using Associations = art::Assns<anab::FeatureVector<N>, recob::Hit>;

/// As larrecodnn's prologs compose them.
constexpr const char* kTables = R"(
BEGIN_PROLOG
Filter: { instanceName: "filter" outputName: "x_filter_" hitInput: @nil tool_type: "FilterDecoder" }
Semantic: {
  instanceName: "semantic"
  outputName: "x_semantic_"
  categories: ["MIP", "HIP", "shower", "michel", "diffuse"]
  hitInput: @nil
  tool_type: "SemanticDecoder"
}
Common: {
  minHits: 10
  debug: false
  planes: ["u", "v", "y"]
  LoaderTool: { hitInput: "nuslhits" spsInput: "sps" tool_type: "StandardLoader" }
  DecoderTools: { FilterDecoderTool: @local::Filter SemanticDecoderTool: @local::Semantic }
}
Common.DecoderTools.FilterDecoderTool.hitInput: @local::Common.LoaderTool.hitInput
Common.DecoderTools.SemanticDecoderTool.hitInput: @local::Common.LoaderTool.hitInput
TritonConfig: {
  serverURL: @nil  # "host:8001"
  verbose: false
  ssl: true
  sslRootCertificates: ""
  sslPrivateKey: ""
  sslCertificateChain: ""
  modelName: "nugraph2"
  modelVersion: ""
  timeout: 0
  allowedTries: 1
  outputs: []
}
NuGraphTriton: {
  @table::Common
  TritonConfig: @local::TritonConfig
  module_type: "NuGraphInferenceTriton"
}
ApptainerNuGraphTriton: @local::NuGraphTriton
ApptainerNuGraphTriton.TritonConfig.serverURL: "localhost:8001"
ApptainerNuGraphTriton.TritonConfig.ssl: false
END_PROLOG
)";

/// The tables, with further assignments such as "debug: true".
fhicl::ParameterSet tables(const std::string& changes) {
  std::string text = kTables + std::string("NuGraph: @local::NuGraphTriton\n");
  std::istringstream lines(changes);
  for (std::string line; std::getline(lines, line, ';');) text += "NuGraph." + line + "\n";
  return fhicl::parse(text).get<fhicl::ParameterSet>("NuGraph");
}

std::string content(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// The flat names, of our own prologs.
fhicl::ParameterSet parameters(const std::string& url, const std::string& changes = "",
                               const std::string& prolog = "NuGraphNaiad") {
  std::ostringstream text;
  text << content(NAIAD_FCL) << prolog << ".url: \"" << url << "\"\n" << prolog << ".retryRounds: 1\n";
  std::istringstream lines(changes);
  for (std::string line; std::getline(lines, line, ';');) text << prolog << "." << line << "\n";
  return fhicl::parse(text.str()).get<fhicl::ParameterSet>(prolog);
}

/// The blocks of a page that have no language.
std::vector<std::string> blocks(const char* page) {
  std::vector<std::string> found;
  std::istringstream lines(content(page));
  bool inside = false;
  bool plain = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("```", 0) == 0) {
      inside = !inside;
      plain = inside && line == "```";
      if (plain) found.emplace_back();
    } else if (plain) {
      found.back() += line + "\n";
    }
  }
  return found;
}

/// What the configuration is refused with, or "".
std::string refused(const fhicl::ParameterSet& p) {
  try {
    make_module(p);
  } catch (const naiad::InvalidInput& error) {
    return error.what();
  }
  return "";
}

void add_event(art::Event& e, const naiad::Event& event) {
  Hits hits;
  for (std::size_t i = 0; i < event.hit_id.size(); ++i) {
    hits.emplace_back(static_cast<geo::View_t>(event.local_plane[i]), event.local_time[i],
                      static_cast<unsigned>(event.local_wire[i]), event.integral[i], event.rms[i]);
  }
  e.add(std::move(hits), "nuslhits");
  art::Handle<Hits> handle;
  e.getByLabel(art::InputTag("nuslhits"), handle);
  art::FindManyP<recob::Hit>::Associations associations;
  const auto row = [&](std::int32_t id) {
    return static_cast<std::size_t>(std::find(event.hit_id.begin(), event.hit_id.end(), id) -
                                    event.hit_id.begin());
  };
  for (std::size_t i = 0; i < event.spacepoint_id.size(); ++i) {
    associations.emplace_back();
    for (const auto* ids : {&event.hit_id_u, &event.hit_id_v, &event.hit_id_y}) {
      if ((*ids)[i] < 0) continue;
      associations.back().emplace_back(&(*handle)[row((*ids)[i])], row((*ids)[i]));
    }
  }
  e.add(std::vector<recob::SpacePoint>(event.spacepoint_id.size()), "sps");
  e.add(std::move(associations), "sps");
}

naiad::Event twelve_hits() {
  naiad::Event event;
  for (int i = 0; i < 12; ++i) {
    event.hit_id.push_back(i);
    event.local_plane.push_back(i % 3);
    event.local_time.push_back(static_cast<float>(i));
    event.local_wire.push_back(i * i);
    event.integral.push_back(100);
    event.rms.push_back(3);
  }
  return event;
}

template <class T>
const T& product(const art::Event& e, const std::string& instance) {
  art::Handle<T> handle;
  REQUIRE(e.getByLabel(art::InputTag("module", instance), handle));
  return *handle;
}

class Local : public FallbackToolBase {
 public:
  Nugraph3Output infer(const Nugraph3Input& input, const naiad::Error&) override {
    const std::size_t each = input.hit_table_hit_id.size() / 3;
    return answer(each, each, each);
  }
};

}  // namespace

TEST_CASE("the module declares what is asked for, and puts as much") {
  art::Event e;
  e.add(Hits(3, recob::Hit(geo::kU, 0, 0, 0, 0)), "nuslhits");
  const auto module = make_module(parameters(kNowhere, "vertexDecoder: false"));
  CHECK(module->declared().size() == 7);
  const std::size_t before = e.size();
  module->produce(e);  // fewer hits than minHits: nobody is asked
  CHECK(e.size() == before + 7);
  CHECK(product<Associations<7>>(e, "semantic").size() == 3);
  CHECK(product<Associations<1>>(e, "filter")[2].first.key() == 2);
  CHECK(product<Associations<1>>(e, "filter")[2].second.key() == 2);
  CHECK(product<Features1>(e, "filter").size() == 3);
  CHECK(product<Features7>(e, "semantic").at(2).at(6) == -1);
  CHECK(product<Features4>(e, "event").size() == 1);
  CHECK(product<anab::MVADescription<7>>(e, "semantic").outputName(1) == "muon");
  CHECK(product<anab::MVADescription<7>>(e, "semantic").dataTag() == "nuslhits");
}

TEST_CASE("larrecodnn's tables make the products of its decoders") {
  art::Event e;
  e.add(Hits(3, recob::Hit(geo::kU, 0, 0, 0, 0)), "nuslhits");
  const auto module = make_module(tables(
      "TritonConfig.serverURL: \"gpu-1:443\";DecoderTools.SemanticDecoderTool.instanceName: ours"));
  CHECK(module->declared().size() == 5);
  module->produce(e);
  CHECK(product<Features1>(e, "filter").size() == 3);
  CHECK(product<Features5>(e, "ours").at(2).at(4) == -1);
  CHECK(product<anab::MVADescription<5>>(e, "ours").outputName(1) == "HIP");
  CHECK(product<anab::MVADescription<5>>(e, "ours").dataTag() == "nuslhits");
  CHECK(product<Associations<5>>(e, "ours").size() == 3);
}

TEST_CASE("larrecodnn's tables say how the server is reached") {
  auto c = Configuration::from(tables(
      "TritonConfig.serverURL: \"gpu-1:443\";TritonConfig.sslRootCertificates: \"ca.pem\";"
      "TritonConfig.sslPrivateKey: \"own.key\";TritonConfig.sslCertificateChain: \"own.pem\";"
      "TritonConfig.modelVersion: \"3\";TritonConfig.allowedTries: 4;servers: [\"gpu-2:443\"]"));
  CHECK(c.options.servers == std::vector<std::string>{"grpcs://gpu-1:443", "grpcs://gpu-2:443"});
  CHECK(c.options.tls.ca_certificate == "ca.pem");
  CHECK(c.options.tls.private_key == "own.key");
  CHECK(c.options.tls.certificate == "own.pem");
  CHECK(c.options.retry.rounds == 3);
  CHECK(c.options.timeout > std::chrono::hours(24 * 365));  // 0: no limit
  CHECK(c.model == "nugraph2");
  CHECK(c.version == "3");
  CHECK_FALSE(c.debug);
  c = Configuration::from(tables(
      "TritonConfig.serverURL: \"gpu-1:8001\";TritonConfig.ssl: false;TritonConfig.timeout: 7;"
      "TritonConfig.allowedTries: 0;TritonConfig.verbose: true;planes: [u, v, y]"));
  CHECK(c.options.servers == std::vector<std::string>{"grpc://gpu-1:8001"});
  CHECK(c.options.timeout == std::chrono::seconds(7));
  CHECK(c.options.retry.rounds == 0);
  CHECK(c.debug);
}

TEST_CASE("nugraph2 is not asked for what it lacks") {
  const std::string url = "TritonConfig.serverURL: \"gpu-1:443\";";
  const std::vector<std::string> six{"x_semantic_u", "x_semantic_v", "x_semantic_y",
                                     "x_filter_u",   "x_filter_v",   "x_filter_y"};
  for (const char* model : {"nugraph2", "nugraph2_cpu", "nugraph3"}) {
    const auto c = Configuration::from(tables(url + "TritonConfig.modelName: " + model));
    CHECK(outputs(c.parts) == six);
  }
  const auto flat = Configuration::from(parameters(kNowhere, "", "NuGraph2Naiad"));
  CHECK(outputs(flat.parts) == six);
  CHECK(flat.semantic_classes == kFiveClasses);
  const std::string vertex = "DecoderTools.VertexDecoderTool: { instanceName: \"vertex\" "
                             "outputDictElem: \"x_vertex\" tool_type: \"VertexDecoder\" }";
  CHECK(refused(tables(url + vertex)) ==
        "nugraph2 has no vertex; leave that decoder out, or use nugraph3");
  CHECK(refused(parameters(kNowhere, "eventDecoder: true", "NuGraph2Naiad")) ==
        "nugraph2 has no event class; leave that decoder out, or use nugraph3");
  const auto c = Configuration::from(tables(url + "TritonConfig.modelName: nugraph3;" + vertex));
  CHECK(outputs(c.parts).back() == "v_evt");
}

TEST_CASE("tables that this module cannot follow are refused by what they say") {
  const std::string url = "TritonConfig.serverURL: \"gpu-1:443\";";
  CHECK(refused(tables(url)).empty());
  CHECK(refused(tables(url + "LoaderTool.tool_type: \"IcarusLoader\"")) ==
        "LoaderTool is a \"IcarusLoader\"; this module has StandardLoader only");
  CHECK(refused(tables(url + "DecoderTools.FilterDecoderTool.tool_type: \"MyDecoder\"")) ==
        "DecoderTools.FilterDecoderTool is a \"MyDecoder\"; this module has FilterDecoder, "
        "SemanticDecoder, VertexDecoder and EventDecoder");
  CHECK(refused(tables(url + "DecoderTools.FilterDecoderTool.outputName: \"filter_\"")) ==
        "DecoderTools.FilterDecoderTool.outputName is \"filter_\"; the served models have "
        "\"x_filter_\"");
  CHECK(refused(tables(url + "DecoderTools.FilterDecoderTool.hitInput: \"gaushit\"")) ==
        "DecoderTools.FilterDecoderTool.hitInput is \"gaushit\"; it must be that of the loader, "
        "\"nuslhits\"");
  CHECK(refused(tables(url + "DecoderTools.SemanticDecoderTool.categories: [MIP, HIP]")) ==
        "2 semantic categories; there must be 5 (NuGraph2) or 7 (NuGraph3)");
  CHECK(refused(tables(url + "planes: [x, y, z]")) ==
        "planes must be [\"u\", \"v\", \"y\"], as in the names of the outputs");
  const std::string some = "TritonConfig.outputs: [x_filter_u, x_filter_v, x_filter_y]";
  CHECK(refused(tables(url + some)) ==
        "TritonConfig.outputs lacks x_semantic_u, which a decoder needs; add it, or leave the "
        "list empty");
  CHECK_THROWS_AS(make_module(tables("debug: true")), std::invalid_argument);  // no serverURL
}

TEST_CASE("every configuration of the documentation is accepted") {
  const auto found = blocks(NAIAD_PAGE);
  CHECK(found.size() >= 5);
  for (const std::string& block : found) {
    const std::string base =
        "physics.producers.NuGraph: @local::NuGraphTriton\n"
        "physics.producers.NuGraph.TritonConfig.serverURL: \"gpu-1:443\"\n";
    const auto all = fhicl::parse(kTables + content(NAIAD_FCL) + base + block);
    const auto c = Configuration::from(all.get<fhicl::ParameterSet>("physics.producers.NuGraph"));
    CHECK(c.model == "nugraph2");
    CHECK(c.semantic_classes == kFiveClasses);
  }
}

TEST_CASE("where no server answers the module does what its fallback says") {
  art::Event e;
  add_event(e, twelve_hits());
  CHECK_THROWS_AS(make_module(parameters(kNowhere))->produce(e), naiad::Unavailable);

  mf::Log::lines().clear();
  make_module(parameters(kNowhere, "fallback: empty"))->produce(e);
  CHECK(product<Features1>(e, "filter").at(11).at(0) == -1);
  CHECK(product<std::vector<recob::Vertex>>(e, "vertex").empty());
  REQUIRE(mf::Log::lines().size() == 1);
  CHECK(mf::Log::lines().front().find("event 7/8/9") != std::string::npos);

  art::tools<FallbackToolBase>()["Local"] = [] { return std::make_unique<Local>(); };
  make_module(parameters(kNowhere, "fallback: tool;FallbackTool: { tool_type: Local }"))->produce(e);
  CHECK(product<std::vector<recob::Vertex>>(e, "vertex").at(0).xyz()[2] == 3);
  CHECK(product<Features1>(e, "filter").at(0).at(0) == 0.1F);

  CHECK(refused(parameters(kNowhere, "fallback: guess")) ==
        "fallback is \"guess\"; it must be \"throw\", \"empty\" or \"tool\"");
}

TEST_CASE("servers are named as the client names them, and an API key needs a safe way") {
  const auto accepted = [](const std::string& url, const std::string& ssl) {
    return refused(parameters(url, "ssl: " + ssl)).empty();
  };
  CHECK(accepted("gpu-1:8001", "false"));
  setenv("NAIAD_API_KEY", "sesame", 1);
  CHECK_FALSE(accepted("gpu-1:8001", "false"));
  for (const char* url : {"gpu-1:8001", "grpcs://gpu-1:8001", "unix:/run/naiad.sock"}) {
    CHECK(accepted(url, "true"));
  }
  unsetenv("NAIAD_API_KEY");
  CHECK_FALSE(refused(parameters(kNowhere, "timeout: 1e300")).empty());
  CHECK_FALSE(refused(parameters(kNowhere, "timeout: -1")).empty());
}

namespace {

/// Run the module on an event; its scores must be the model's answer, asked for directly.
template <std::size_t N>
void compare(const naiad::Event& event, const fhicl::ParameterSet& p, art::Event& e) {
  add_event(e, event);
  make_module(p)->produce(e);
  const auto c = Configuration::from(p);
  naiad::Client client(c.options);
  const auto input = naiad::request_of<Nugraph3Input>(event);
  const auto answer = Nugraph3Output::from(client.infer(c.model, input.tensors()));
  const Decoded right = decode(input, answer, c.parts);
  const auto& semantic = product<std::vector<anab::FeatureVector<N>>>(e, "semantic");
  const auto& filter = product<Features1>(e, "filter");
  REQUIRE(semantic.size() == event.hit_id.size());
  for (std::size_t hit = 0; hit < semantic.size(); ++hit) {
    CHECK(filter[hit].at(0) == doctest::Approx(right.filter[hit]));
    for (std::size_t i = 0; i < N; ++i) {
      CHECK(semantic[hit].at(i) == doctest::Approx(right.semantic(hit, i)));
    }
  }
  if (c.parts.vertex) {
    CHECK(product<std::vector<recob::Vertex>>(e, "vertex").at(0).xyz()[0] ==
          doctest::Approx(right.vertex[0][0]));
  }
  if (c.parts.event) {
    CHECK(product<Features4>(e, "event").at(0).at(1) == doctest::Approx(right.event[1]));
  }
}

/// Parameters for TLS, on with NAIAD_TLS, from files that the environment names.
std::string tls(const std::string& prefix) {
  const auto file = [&](const char* key, const char* variable) {
    const char* path = std::getenv(variable);
    return prefix + key + ": \"" + (path == nullptr ? "" : path) + "\";";
  };
  return prefix + "ssl: " + (std::getenv("NAIAD_TLS") == nullptr ? "false;" : "true;") +
         file("sslRootCertificates", "NAIAD_CA_OF_TEST") +
         file("sslCertificateChain", "NAIAD_CERTIFICATE") + file("sslPrivateKey", "NAIAD_KEY");
}

}  // namespace

TEST_CASE("with a server, the module's products are the model's answer") {
  const char* url = std::getenv("NAIAD_URL");
  const char* path = std::getenv("NAIAD_EVENTS");
  if (url == nullptr || path == nullptr) return;
  const naiad::Event event = naiad::EventFile(path).read(0);
  const std::string quoted = "\"" + std::string(url) + "\"";
  art::Event flat;
  compare<7>(event, parameters(kNowhere, "servers: [" + quoted + "];" + tls("")), flat);

  const std::string server = "TritonConfig.serverURL: " + quoted + ";" + tls("TritonConfig.");
  const std::string seven =
      "TritonConfig.modelName: nugraph3;DecoderTools.SemanticDecoderTool.categories: "
      "[pion, muon, kaon, hadron, shower, michel, diffuse]";
  art::Event nested;
  compare<7>(event, tables(server + seven), nested);
  CHECK(nested.size() == 8);  // three of the event, five of the module: no vertex, no event class

  for (const char* model : {"nugraph2", "nugraph2_cpu"}) {
    art::Event five;
    compare<5>(event, tables(server + "TritonConfig.modelName: " + model), five);
    CHECK(five.size() == 8);
  }
  art::Event flat_five;
  const std::string others = "servers: [" + quoted + "];" + tls("");
  compare<5>(event, parameters(kNowhere, others, "NuGraph2Naiad"), flat_five);
}
