// The conversion on plain structs, and the module on declarations of its framework: art.hpp.
// With the environment variables NAIAD_URL and NAIAD_EVENTS, also on a server.
#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>

#include <cstdlib>
#include <list>
#include <string>
#include <vector>

#include <naiad/events.hpp>

#include "art.hpp"
#include "naiad/larsoft/FallbackToolBase.h"
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

Nugraph3Output answer(std::size_t u, std::size_t v, std::size_t y) {
  const auto scores = [](std::size_t rows, float first) {
    naiad::Array<float> array{{static_cast<std::int64_t>(rows), 7}, std::vector<float>(rows * 7)};
    for (std::size_t row = 0; row < rows; ++row) array.data[row * 7 + row] = first;
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
  const Decoded decoded = decode(input, answer(2, 1, 1));
  REQUIRE(decoded.semantic.size() == 4);
  // Hits 0 and 2 are the first and second of plane u.
  CHECK(decoded.semantic[0][0] > 0.9F);
  CHECK(decoded.semantic[2][1] > 0.9F);
  CHECK(decoded.filter[0][0] == 0.1F);
  CHECK(decoded.filter[2][0] == 0.2F);
  CHECK(decoded.filter[1][0] == 0.9F);
  CHECK(decoded.filter[3][0] == 0.7F);
  for (const auto& row : decoded.semantic) {
    float sum = 0;
    for (const float share : row) sum += share;
    CHECK(sum == doctest::Approx(1));
  }
  CHECK(decoded.event[2] > decoded.event[0]);
  CHECK(decoded.vertex.front() == std::array<float, 3>{1, 2, 3});
  CHECK_THROWS_AS(decode(input, answer(1, 1, 1)), naiad::PipelineError);
  CHECK_THROWS_AS(decode(input, answer(3, 1, 1)), naiad::PipelineError);
  Nugraph3Output narrow = answer(2, 1, 1);
  narrow.x_semantic_u = {{2, 3}, std::vector<float>(6)};  // a fallback's: no schema has seen it
  CHECK_THROWS_AS(decode(input, narrow), naiad::PipelineError);
  narrow.x_semantic_u = {{std::int64_t{1} << 60, 0}, {}};
  CHECK_THROWS_AS(decode(input, narrow), naiad::PipelineError);
}

namespace {

constexpr const char* kNowhere = "127.0.0.1:1";

using Hits = std::vector<recob::Hit>;
using Features1 = std::vector<anab::FeatureVector<1>>;
using Features4 = std::vector<anab::FeatureVector<4>>;
using Features7 = std::vector<anab::FeatureVector<7>>;

fhicl::ParameterSet parameters(const std::string& url, const std::string& fallback = "throw") {
  fhicl::ParameterSet p;
  p.put("hitInput", art::InputTag("nuslhits"));
  p.put("spsInput", art::InputTag("sps"));
  p.put("minHits", std::size_t{10});
  for (const char* decoder :
       {"filterDecoder", "semanticDecoder", "vertexDecoder", "eventDecoder"}) {
    p.put(decoder, true);
  }
  p.put("url", url);
  p.put("ssl", false);
  p.put("retryRounds", 1);
  p.put("fallback", fallback);
  return p;
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
  auto p = parameters(kNowhere);
  p.put("vertexDecoder", false);
  const auto module = make_module(p);
  CHECK(module->declared().size() == 5);
  const std::size_t before = e.size();
  module->produce(e);  // fewer hits than minHits: nobody is asked
  CHECK(e.size() == before + 5);
  CHECK(product<Features1>(e, "filter").size() == 3);
  CHECK(product<Features7>(e, "semantic").at(2).at(6) == -1);
  CHECK(product<Features4>(e, "event").size() == 1);
  CHECK(product<anab::MVADescription<7>>(e, "semantic").outputName(1) == "muon");
  CHECK(product<anab::MVADescription<7>>(e, "semantic").dataTag() == "nuslhits");
}

TEST_CASE("where no server answers the module does what its fallback says") {
  art::Event e;
  add_event(e, twelve_hits());
  CHECK_THROWS_AS(make_module(parameters(kNowhere))->produce(e), naiad::Unavailable);

  mf::Log::lines().clear();
  make_module(parameters(kNowhere, "empty"))->produce(e);
  CHECK(product<Features1>(e, "filter").at(11).at(0) == -1);
  CHECK(product<std::vector<recob::Vertex>>(e, "vertex").empty());
  REQUIRE(mf::Log::lines().size() == 1);
  CHECK(mf::Log::lines().front().find("event 7/8/9") != std::string::npos);

  art::tools<FallbackToolBase>()["Local"] = [] { return std::make_unique<Local>(); };
  auto p = parameters(kNowhere, "tool");
  fhicl::ParameterSet tool;
  tool.put("tool_type", std::string("Local"));
  p.put("FallbackTool", tool);
  make_module(p)->produce(e);
  CHECK(product<std::vector<recob::Vertex>>(e, "vertex").at(0).xyz()[2] == 3);
  CHECK(product<Features1>(e, "filter").at(0).at(0) == 0.1F);

  CHECK_THROWS_AS(make_module(parameters(kNowhere, "guess")), naiad::InvalidInput);
}

TEST_CASE("servers are named as the client names them, and an API key needs a safe way") {
  const auto accepted = [](const std::string& url, bool ssl) {
    auto p = parameters(url);
    p.put("ssl", ssl);
    try {
      make_module(p);
      return true;
    } catch (const naiad::InvalidInput&) {
      return false;
    }
  };
  CHECK(accepted("gpu-1:8001", false));
  setenv("NAIAD_API_KEY", "sesame", 1);
  CHECK_FALSE(accepted("gpu-1:8001", false));
  for (const char* url : {"gpu-1:8001", "grpcs://gpu-1:8001", "unix:/run/naiad.sock"}) {
    CHECK(accepted(url, true));
  }
  unsetenv("NAIAD_API_KEY");
  auto p = parameters(kNowhere);
  p.put("timeout", 1e300);
  CHECK_THROWS_AS(make_module(p), naiad::InvalidInput);
}

TEST_CASE("with a server, the module's products are the model's answer") {
  const char* url = std::getenv("NAIAD_URL");
  const char* path = std::getenv("NAIAD_EVENTS");
  if (url == nullptr || path == nullptr) return;
  const naiad::Event event = naiad::EventFile(path).read(0);
  art::Event e;
  add_event(e, event);
  auto p = parameters(kNowhere);
  p.put("servers", std::vector<std::string>{url});
  make_module(p)->produce(e);

  naiad::Client client(url);
  const auto input = naiad::request_of<Nugraph3Input>(event);
  const Decoded right = decode(input, naiad::models::Nugraph3(client).infer(input));
  const auto& semantic = product<Features7>(e, "semantic");
  const auto& filter = product<Features1>(e, "filter");
  REQUIRE(semantic.size() == event.hit_id.size());
  for (std::size_t hit = 0; hit < semantic.size(); ++hit) {
    CHECK(filter[hit].at(0) == doctest::Approx(right.filter[hit][0]));
    for (std::size_t i = 0; i < 7; ++i) {
      CHECK(semantic[hit].at(i) == doctest::Approx(right.semantic[hit][i]));
    }
  }
  CHECK(product<std::vector<recob::Vertex>>(e, "vertex").at(0).xyz()[0] ==
        doctest::Approx(right.vertex[0][0]));
  CHECK(product<Features4>(e, "event").at(0).at(1) == doctest::Approx(right.event[1]));
}
