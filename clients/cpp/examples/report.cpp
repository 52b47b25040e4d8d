#include "report.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include <naiad/scores.hpp>

namespace report {
namespace {

using std::size_t;

constexpr std::array<const char*, 3> kPlanes{"u", "v", "y"};
constexpr float kSignalThreshold = 0.5F;
constexpr size_t kBar = 28;  // characters of a probability of 1
constexpr const char* kFiltered = "filtered out";

// Escape codes of a terminal.
constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kGreen = "32";
constexpr const char* kYellow = "33";
constexpr const char* kBoldGreen = "1;32";

bool coloured() {
  static const bool yes = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  return yes;
}

std::string styled(const std::string& text, const char* style) {
  return coloured() && *style != '\0' ? "\033[" + std::string(style) + "m" + text + "\033[0m"
                                      : text;
}

size_t width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const int number = columns == nullptr ? 0 : std::atoi(columns);
  return number > 0 ? static_cast<size_t>(number) : 80;
}

std::vector<std::string> wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines{""};
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) {
      lines.emplace_back();
    }
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    at = end + 1;
  }
  return lines;
}

void print_text(const std::string& text, const char* style) {
  for (const std::string& line : wrapped(text, width())) std::puts(styled(line, style).c_str());
}

std::string left(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, text.size()), ' ');
}

std::string right(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string formatted(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

size_t widest(const std::vector<std::string>& texts) {
  size_t result = 0;
  for (const std::string& text : texts) result = std::max(result, text.size());
  return result;
}

/// The width of each column of a table.
std::vector<size_t> widths_of(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  return widths;
}

std::string bar(double share) {
  constexpr std::array<const char*, 8> eighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto all = static_cast<size_t>(std::nearbyint(share * kBar * 8));
  std::string text;
  for (size_t i = 0; i < all / 8; ++i) text += "█";
  text += eighths[all % 8];
  const size_t used = all / 8 + (all % 8 == 0 ? 0 : 1);
  return text + std::string(kBar - std::min(kBar, used), ' ');
}

void print_shares(const std::vector<std::string>& names, const std::vector<double>& shares,
                  const std::vector<std::string>& numbers) {
  const auto best = std::max_element(shares.begin(), shares.end()) - shares.begin();
  std::puts("");
  for (size_t i = 0; i < names.size(); ++i) {
    const bool first = static_cast<size_t>(best) == i;
    const std::string name = styled(left(names[i], widest(names)), first ? kBoldGreen : "");
    const std::string number = styled(right(numbers[i], widest(numbers)), first ? kBoldGreen : "");
    const std::string drawn = styled(bar(shares[i]), first ? kGreen : kDim);
    std::printf("  %s  %s  %s\n", name.c_str(), drawn.c_str(), number.c_str());
  }
}

std::string unknown(size_t number) {
  return "hits named by spacepoints but not found on their plane: " + grouped(number) +
         " (ignored)";
}

void print_hits(const Labels& labels, const std::vector<PlaneCounts>& counts) {
  std::vector<std::vector<std::string>> rows{{"hits", "u", "v", "y", "all"}};
  std::vector<const char*> styles{kBold};
  PlaneCounts sums{};
  const auto add = [&](const std::string& name, const PlaneCounts& row, const char* style) {
    rows.push_back({name});
    for (const size_t number : row) rows.back().push_back(grouped(number));
    rows.back().push_back(grouped(std::accumulate(row.begin(), row.end(), size_t{0})));
    styles.push_back(style);
  };
  for (size_t i = 0; i < counts.size(); ++i) {
    const bool filtered = i == labels.semantic.size();
    const bool none =
        std::all_of(counts[i].begin(), counts[i].end(), [](size_t n) { return n == 0; });
    add(filtered ? kFiltered : labels.semantic[i], counts[i], filtered || none ? kDim : "");
    for (size_t plane = 0; plane < sums.size(); ++plane) sums[plane] += counts[i][plane];
  }
  add("all", sums, kBold);

  const std::vector<size_t> widths = widths_of(rows);
  std::puts("");
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line = left(rows[r][0], widths[0]);
    for (size_t i = 1; i < rows[r].size(); ++i) line += "  " + right(rows[r][i], widths[i]);
    std::printf("  %s\n", styled(line, styles[r]).c_str());
  }
}

/// The names in a JSON list of strings, or separated by commas.
std::vector<std::string> names_in(const std::string& text) {
  std::vector<std::string> names;
  const size_t start = text.find_first_not_of(" \n\t");
  if (start == std::string::npos) return names;
  if (text[start] == '[') {
    bool inside = false;
    for (size_t i = start; i < text.size(); ++i) {
      if (text[i] == '"') {
        inside = !inside;
        if (inside) names.emplace_back();
      } else if (inside) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        names.back() += text[i];
      }
    }
    return names;
  }
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    const size_t first = part.find_first_not_of(" \n\t");
    if (first != std::string::npos) {
      names.push_back(part.substr(first, part.find_last_not_of(" \n\t") - first + 1));
    }
    at = end + 1;
  }
  return names;
}

std::vector<std::string> sized_names(std::vector<std::string> names, size_t size,
                                     const std::string& kind) {
  if (names.empty()) {
    for (size_t i = 0; i < size; ++i) names.push_back("class " + std::to_string(i));
  }
  if (names.size() != size) {
    throw naiad::PipelineError("the model names " + std::to_string(names.size()) + " " + kind +
                               " classes, but has scores for " + std::to_string(size));
  }
  return names;
}

}  // namespace

Labels Labels::from(const std::map<std::string, std::string>& parameters) {
  const auto value = [&](const char* key) {
    const auto found = parameters.find(key);
    return found == parameters.end() ? std::string() : found->second;
  };
  return {names_in(value("semantic_classes")), names_in(value("event_classes")), value("notice")};
}

Labels Labels::sized(size_t semantic_size, size_t event_size) const {
  return {sized_names(semantic, semantic_size, "semantic"), sized_names(event, event_size, "event"),
          notice};
}

Result Result::from(const naiad::EventId& id, const std::vector<std::int32_t>& planes,
                    const Answer& answer, const Labels& labels) {
  const auto classes = static_cast<size_t>(answer.semantic[0].shape[1]);
  Result result;
  result.id = id;
  result.labels = labels.sized(classes, answer.event.size());
  result.event_probabilities = answer.event;
  naiad::softmax(result.event_probabilities.begin(), result.event_probabilities.end());
  result.vertex = answer.vertex;
  result.unknown_hits = answer.unknown_hits;
  result.counts.resize(classes + 1);
  for (size_t plane = 0; plane < kPlanes.size(); ++plane) {
    const naiad::Array<float>& scores = answer.semantic[plane];
    const std::vector<float>& filter = answer.filter[plane];
    const size_t hits = scores.rows();
    const auto sent = std::count(planes.begin(), planes.end(), static_cast<std::int32_t>(plane));
    if (hits != static_cast<size_t>(sent) || hits != filter.size()) {
      throw naiad::PipelineError(std::string("x_semantic_") + kPlanes[plane] + " has " +
                                 std::to_string(hits) + " rows for an event with " +
                                 std::to_string(sent) + " hits on plane " + kPlanes[plane]);
    }
    for (size_t hit = 0; hit < hits; ++hit) {
      size_t row = classes;
      if (filter[hit] > kSignalThreshold) {
        const auto first = scores.data.begin() + static_cast<std::ptrdiff_t>(hit * classes);
        const auto last = first + static_cast<std::ptrdiff_t>(classes);
        row = static_cast<size_t>(std::max_element(first, last) - first);
      }
      ++result.counts[row][plane];
    }
  }
  return result;
}

size_t Result::event_class() const {
  const auto& shares = event_probabilities;
  return static_cast<size_t>(std::max_element(shares.begin(), shares.end()) - shares.begin());
}

void Tally::add(const Result& result) {
  labels = result.labels;
  events.resize(labels.event.size());
  counts.resize(result.counts.size());
  ++total;
  if (!events.empty()) ++events[result.event_class()];
  for (size_t row = 0; row < counts.size(); ++row) {
    for (size_t plane = 0; plane < kPlanes.size(); ++plane) {
      counts[row][plane] += result.counts[row][plane];
    }
  }
  unknown_hits += result.unknown_hits;
}

size_t Result::hits() const {
  size_t all = 0;
  for (const PlaneCounts& row : counts) all += row[0] + row[1] + row[2];
  return all;
}

size_t Result::signal() const {
  const PlaneCounts& rest = counts.back();
  return hits() - rest[0] - rest[1] - rest[2];
}

void print(const Result& result) {
  print_text("run " + std::to_string(result.id[0]) + ", subrun " + std::to_string(result.id[1]) +
                 ", event " + std::to_string(result.id[2]),
             kBold);
  std::vector<double> shares;
  std::vector<std::string> numbers;
  for (const float share : result.event_probabilities) {
    shares.push_back(share);
    numbers.push_back(formatted("%.3f", share));
  }
  if (!shares.empty()) print_shares(result.labels.event, shares, numbers);
  const size_t names = result.unknown_hits > 0 ? 7 : 6;
  std::printf("\n  %s  %s of %s hits\n", left("signal", names).c_str(), grouped(result.signal()).c_str(),
              grouped(result.hits()).c_str());
  if (result.vertex.size() == 3) {
    std::printf("  %s  x %s  y %s  z %s cm\n", left("vertex", names).c_str(),
                formatted("%.1f", result.vertex[0]).c_str(),
                formatted("%.1f", result.vertex[1]).c_str(),
                formatted("%.1f", result.vertex[2]).c_str());
  }
  if (result.unknown_hits > 0) {
    std::string label = styled("warning", kYellow);
    for (const std::string& line : wrapped(unknown(result.unknown_hits), width() - names - 4)) {
      std::printf("  %s  %s\n", label.c_str(), line.c_str());
      label = std::string(names, ' ');
    }
  }
  print_hits(result.labels, result.counts);
  std::puts("");
}

void print_lines(const std::vector<Result>& results) {
  std::vector<std::vector<std::string>> rows{{"run/subrun/event"}};
  std::vector<const char*> styles{kBold};
  const bool has_class = !results.front().event_probabilities.empty();
  const bool has_vertex = results.front().vertex.size() == 3;
  if (has_class) {
    rows[0].emplace_back("class");
    styles.push_back(kGreen);
  }
  if (has_vertex) rows[0].emplace_back("vertex [cm]");
  rows[0].insert(rows[0].end(), {"signal", "hits"});
  styles.resize(rows[0].size(), "");
  for (const Result& result : results) {
    std::vector<std::string> row{std::to_string(result.id[0]) + "/" + std::to_string(result.id[1]) +
                                 "/" + std::to_string(result.id[2])};
    if (has_class) {
      const size_t best = result.event_class();
      row.push_back(result.labels.event[best] + " " +
                    formatted("%.2f", result.event_probabilities[best]));
    }
    if (has_vertex) {
      row.push_back(formatted("%.1f", result.vertex[0]) + ", " +
                    formatted("%.1f", result.vertex[1]) + ", " +
                    formatted("%.1f", result.vertex[2]));
    }
    row.insert(row.end(), {grouped(result.signal()), grouped(result.hits())});
    rows.push_back(row);
  }
  const std::vector<size_t> widths = widths_of(rows);
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      const bool last = i + 1 == widths.size();
      const std::string text = last ? right(rows[r][i], widths[i]) : left(rows[r][i], widths[i]);
      line += styled(text, r == 0 ? kBold : styles[i]) + (last ? "" : "  ");
    }
    std::puts(line.c_str());
  }
  std::puts("");
}

void print(const Tally& tally, double seconds) {
  const size_t total = tally.total;
  print_text(count_of(total, "event") + " in " + formatted("%.1f", seconds) + " s, " +
                 formatted("%.1f", static_cast<double>(total) / seconds) + " per second",
             kBold);
  if (total > 0) {
    std::vector<double> shares;
    std::vector<std::string> numbers;
    for (const size_t count : tally.events) {
      shares.push_back(static_cast<double>(count) / static_cast<double>(total));
      numbers.push_back(grouped(count));
    }
    if (!shares.empty()) print_shares(tally.labels.event, shares, numbers);
    print_hits(tally.labels, tally.counts);
  }
  if (tally.unknown_hits > 0) print_text(unknown(tally.unknown_hits), kYellow);
}

void print_notice(const std::string& notice) {
  if (!notice.empty()) std::puts(styled(notice, kYellow).c_str());
}

std::string count_of(size_t number, const std::string& noun) {
  return grouped(number) + " " + noun + (number == 1 ? "" : "s");
}

std::string grouped(size_t number) {
  std::string text = std::to_string(number);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

}  // namespace report
