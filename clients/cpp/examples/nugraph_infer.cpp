// Label a file of neutrino events with a served NuGraph2 or NuGraph3, as `naiad infer` does.

#include <getopt.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <naiad/client.hpp>
#include <naiad/events.hpp>
#include <naiad/many.hpp>
#include <naiad/nugraph2.hpp>
#include <naiad/nugraph3.hpp>

#include "report.hpp"

namespace {

constexpr std::size_t kFew = 3;     // up to this number, events are printed one by one, in full
constexpr std::size_t kLines = 10;  // up to this number, each has a line before the sums

constexpr const char* kUsage =
    R"(Usage: nugraph_infer FILE [OPTIONS]

Label hits with a served NuGraph3 or NuGraph2; NuGraph3 also classifies events and finds vertices.
FILE is HDF5, in pynuml's layout or pandas' "fixed" format. Prints up to three events in full, up to
ten in a line each with a summary, and of more the summary. An event that cannot be read, or that is
refused, is reported; the others go on; the status is 1.

Options:
  --model NAME           nugraph3, nugraph2 or nugraph2_cpu [nugraph3]
  --url URL              the server, host:port, grpcs://host:port or unix:PATH [localhost:8001];
                         more than once: others to ask while it is unavailable
  --events FIRST:STOP[:STEP]
                         which events, counted from 0; or a single number
  --concurrency N        events with the servers at once [8]
  --strict               refuse events whose spacepoints name unknown hits
  --timeout SECONDS      per event [60]
  --ca-certificate FILE  PEM; with grpcs:// [NAIAD_CA of the environment]
  --certificate FILE     the client's own, with --private-key FILE
  --gzip                 compress what is sent
  --keep-alive SECONDS   ping the server so often
  --shared-memory        for a server on this machine
  -h, --help             this text

An API key is taken from the environment, NAIAD_API_KEY.

Examples:
  nugraph_infer events.h5
  nugraph_infer events.h5 --model nugraph2
  nugraph_infer events.h5 --events 0:10 --url gpu-server:8001
  nugraph_infer events.h5 --url gpu-1:8001 --url gpu-2:8001 --concurrency 16
)";

struct Arguments {
  std::string file;
  std::string model = "nugraph3";
  std::string events;
  bool strict = false;
  naiad::Options options;
};

[[noreturn]] void misused(const std::string& why) {
  std::fprintf(stderr, "%s; see nugraph_infer --help\n", why.c_str());
  std::exit(2);
}

double number(const char* option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value > 0 && value < 1e9)) {
    misused(std::string(option) + " " + text + ": give a number above 0 and below 1e9");
  }
  return value;
}

std::chrono::milliseconds seconds(const char* option, const std::string& text) {
  return std::chrono::milliseconds(static_cast<long long>(number(option, text) * 1e3));
}

Arguments parse(int argc, char** argv) {
  enum Option {
    kUrl = 256,
    kModel,
    kEvents,
    kConcurrency,
    kStrict,
    kTimeout,
    kCa,
    kCertificate,
    kKey,
    kGzip,
    kKeepAlive,
    kShared
  };
  const std::vector<option> known{{"url", required_argument, nullptr, kUrl},
                                  {"model", required_argument, nullptr, kModel},
                                  {"events", required_argument, nullptr, kEvents},
                                  {"concurrency", required_argument, nullptr, kConcurrency},
                                  {"strict", no_argument, nullptr, kStrict},
                                  {"timeout", required_argument, nullptr, kTimeout},
                                  {"ca-certificate", required_argument, nullptr, kCa},
                                  {"certificate", required_argument, nullptr, kCertificate},
                                  {"private-key", required_argument, nullptr, kKey},
                                  {"gzip", no_argument, nullptr, kGzip},
                                  {"keep-alive", required_argument, nullptr, kKeepAlive},
                                  {"shared-memory", no_argument, nullptr, kShared},
                                  {"help", no_argument, nullptr, 'h'},
                                  {nullptr, 0, nullptr, 0}};
  Arguments arguments;
  naiad::Options& options = arguments.options;
  options.max_in_flight = 8;
  std::vector<std::string> urls;
  for (int found; (found = getopt_long(argc, argv, "h", known.data(), nullptr)) != -1;) {
    const std::string value = optarg == nullptr ? "" : optarg;
    switch (found) {
      case kUrl:
        urls.push_back(value);
        break;
      case kModel:
        arguments.model = value;
        break;
      case kEvents:
        arguments.events = value;
        break;
      case kConcurrency:
        options.max_in_flight = static_cast<std::size_t>(number("--concurrency", value));
        break;
      case kStrict:
        arguments.strict = true;
        break;
      case kTimeout:
        options.timeout = seconds("--timeout", value);
        break;
      case kCa:
        options.tls.ca_certificate = value;
        break;
      case kCertificate:
        options.tls.certificate = value;
        break;
      case kKey:
        options.tls.private_key = value;
        break;
      case kGzip:
        options.gzip = true;
        break;
      case kKeepAlive:
        options.keep_alive.interval = seconds("--keep-alive", value);
        break;
      case kShared:
        options.shared_memory = true;
        break;
      case 'h':
        std::fputs(kUsage, stdout);
        std::exit(0);
      default:
        std::exit(2);
    }
  }
  if (optind + 1 != argc) misused("give one file of events");
  arguments.file = argv[optind];
  if (!urls.empty()) options.servers = urls;
  return arguments;
}

/// The numbers of the events in `--events`, chosen as by Python's slices.
std::vector<std::size_t> chosen(const std::string& text, std::size_t size) {
  const auto all = static_cast<long long>(size);
  std::vector<std::optional<long long>> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t colon = std::min(text.find(':', at), text.size());
    const std::string part = text.substr(at, colon - at);
    char* end = nullptr;
    const long long value = std::strtoll(part.c_str(), &end, 10);
    if (*end != '\0') parts.resize(4);  // more than allowed
    parts.push_back(part.empty() ? std::nullopt : std::optional(value));
    at = colon + 1;
  }
  // In a slice, a number beyond the file is the same as one past its end.
  for (auto& part : parts) {
    if (part) part = std::clamp(*part, -all - 1, all + 1);
  }
  const long long step = parts.size() == 3 ? parts[2].value_or(1) : 1;
  if (parts.size() > 3 || step < 1) {
    misused("--events " + text + ": give FIRST:STOP as 0:10, FIRST:STOP:STEP, or one number");
  }
  const auto bound = [&](long long value) {
    return std::clamp(value < 0 ? value + all : value, 0LL, all);
  };
  const long long first = bound(parts[0].value_or(0));
  long long stop = all;
  if (parts.size() == 1 && parts[0]) {
    stop = *parts[0] == -1 ? all : bound(*parts[0] + 1);
  } else if (parts.size() > 1) {
    stop = bound(parts[1].value_or(all));
  }
  std::vector<std::size_t> numbers;
  for (long long i = first; i < stop; i += step) numbers.push_back(static_cast<std::size_t>(i));
  return numbers;
}

/// An event in flight.
struct Sent {
  std::size_t number;
  std::vector<std::int32_t> planes;
};

/// The inference of a file of events by a model with these types.
template <class Input, class Output>
class Run {
 public:
  Run(const Arguments& arguments, const naiad::EventFile& file, naiad::Client& client)
      : arguments_(arguments), file_(file), client_(client), model_(client, arguments.model) {}

  /// Run it; return the number of events that failed.
  std::size_t operator()() {
    const std::vector<std::size_t> numbers = chosen(arguments_.events, file_.size());
    if (numbers.empty()) {
      throw naiad::InvalidInput(arguments_.file + " has " + std::to_string(file_.size()) +
                                " events, and none of the selected ones");
    }
    const auto labels = report::Labels::from(client_.parameters(model_.name()));
    std::vector<report::Result> kept;
    std::size_t next = 0;
    const auto began = std::chrono::steady_clock::now();
    naiad::ask_many(
        [&] { return read(numbers, next); },
        [&](Input input) { return model_.infer_async(std::move(input), call()); },
        [&](std::future<Output> answer) {
          const Sent sent = std::move(sent_.front());
          sent_.pop_front();
          try {
            const auto result = report::Result::from(file_.id(sent.number), sent.planes,
                                                     report::answer_of(answer.get()), labels);
            tally_.add(result);
            if (numbers.size() <= kLines) kept.push_back(result);
          } catch (const naiad::Error& error) {
            fail(sent.number, error);
          }
        },
        client_.options().max_in_flight);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    if (numbers.size() <= kFew) {
      for (const report::Result& result : kept) report::print(result);
    } else {
      if (!kept.empty()) report::print_lines(kept);
      report::print(tally_, took.count());
    }
    report::print_notice(labels.notice);
    if (failed_ > 0) {
      std::fprintf(stderr, "%s of %s failed\n", report::grouped(failed_).c_str(),
                   report::count_of(failed_ + tally_.total, "event").c_str());
    }
    return failed_;
  }

 private:
  /// The next event that can be read; the others are reported.
  std::optional<Input> read(const std::vector<std::size_t>& numbers, std::size_t& next) {
    while (next < numbers.size()) {
      const std::size_t number = numbers[next++];
      try {
        naiad::Event event = file_.read(number);
        sent_.push_back({number, event.local_plane});
        return naiad::request_of<Input>(std::move(event));
      } catch (const naiad::InvalidInput& error) {
        fail(number, error);
      }
    }
    return std::nullopt;
  }

  naiad::Call call() const {
    const naiad::EventId id = file_.id(sent_.back().number);
    naiad::Call call;
    call.id = std::to_string(id[0]) + "/" + std::to_string(id[1]) + "/" + std::to_string(id[2]);
    call.parameters["strict"] = arguments_.strict;
    return call;
  }

  void fail(std::size_t number, const naiad::Error& error) {
    ++failed_;
    const naiad::EventId id = file_.id(number);
    std::fprintf(stderr, "event %zu (run %lld, subrun %lld, event %lld): %s\n", number,
                 static_cast<long long>(id[0]), static_cast<long long>(id[1]),
                 static_cast<long long>(id[2]), error.what());
    const bool no_answer =
        error.code() == naiad::Code::unavailable || error.code() == naiad::Code::deadline_exceeded;
    if (no_answer && !client_.ready()) {
      throw naiad::Unavailable("the servers are gone; " +
                               report::count_of(tally_.total, "event") + " got an answer before");
    }
  }

  const Arguments& arguments_;
  const naiad::EventFile& file_;
  naiad::Client& client_;
  naiad::Model<Input, Output> model_;
  std::deque<Sent> sent_;
  report::Tally tally_;
  std::size_t failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  try {
    const naiad::EventFile file(arguments.file);
    naiad::Client client(arguments.options);
    if (!client.ready()) {
      std::string urls;
      for (const std::string& url : arguments.options.servers)
        urls += (urls.empty() ? "" : ", ") + url;
      throw naiad::Unavailable("no server is ready at " + urls +
                               "; start one in another terminal with `naiad serve " +
                               arguments.model + "`");
    }
    using namespace naiad::models;
    const bool two = arguments.model.rfind("nugraph2", 0) == 0;
    const std::size_t failed = two ? Run<Nugraph2Input, Nugraph2Output>(arguments, file, client)()
                                   : Run<Nugraph3Input, Nugraph3Output>(arguments, file, client)();
    return failed > 0 ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
