#include "cuda/tuning/choice_cache.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sknet::cuda {

namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "sknet: times of candidates, 2";
constexpr const char* kEnd = "end ";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Empty, with the reason, where there is none.
fs::path folder(std::string* why) {
  const char* own = std::getenv("SKNET_CUDA_CACHE");
  if (own != nullptr) {
    if (*own != '\0' && std::string(own) != "0") return own;
    *why = "SKNET_CUDA_CACHE=" + std::string(own);
    return {};
  }
  if (const std::string base = variable("XDG_CACHE_HOME"); !base.empty()) return fs::path(base) / "sknet";
  if (const std::string home = variable("HOME"); !home.empty()) return fs::path(home) / ".cache" / "sknet";
  *why = "neither SKNET_CUDA_CACHE, XDG_CACHE_HOME nor HOME is set";
  return {};
}

// FNV-1a: the same everywhere and always, for a file's name.
std::string hash_of(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

std::string number_text(double value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

// A line: the problem, then pairs of a candidate and its seconds, then pairs of -candidate and why it refused; tabs between.
std::string line_of(const std::string& problem, const plan::Contest& contest) {
  std::string line = problem;
  for (const plan::Trial& trial : contest.trials) line += '\t' + trial.candidate + '\t' + number_text(trial.seconds);
  for (plan::Refusal refusal : contest.refused) {
    std::replace_if(refusal.reason.begin(), refusal.reason.end(), [](char c) { return c == '\t' || c == '\n'; }, ' ');
    line += "\t-" + refusal.candidate + '\t' + refusal.reason;
  }
  return line + '\n';
}

// False where it is none.
bool parse(const std::string& line, std::string* problem, plan::Contest* contest) {
  std::istringstream parts(line);
  if (!std::getline(parts, *problem, '\t') || problem->empty()) return false;
  *contest = {};
  for (std::string candidate, value; std::getline(parts, candidate, '\t');) {
    if (candidate.empty() || !std::getline(parts, value, '\t')) return false;
    if (candidate[0] == '-') {
      contest->refused.push_back({candidate.substr(1), value});
      continue;
    }
    double seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error != std::errc() || end != value.data() + value.size() || !(seconds >= 0)) return false;
    contest->trials.push_back({candidate, seconds});
  }
  std::stable_sort(contest->trials.begin(), contest->trials.end(),
                   [](const plan::Trial& a, const plan::Trial& b) { return a.seconds < b.seconds; });
  return !contest->trials.empty();
}

}  // namespace

ChoiceCache::ChoiceCache(const std::string& environment) : environment_(environment) {
  const fs::path in = folder(&unkept_);
  if (in.empty()) return;
  std::error_code error;
  fs::create_directories(in, error);
  if (error || access(in.c_str(), W_OK | X_OK) != 0) unkept_ = in.string() + " cannot be written to";
  path_ = (in / ("cuda-" + hash_of(environment) + ".txt")).string();
  problems_ = read();
}

ChoiceCache::Problems ChoiceCache::read() const {
  std::ifstream file(path_);
  std::string line;
  if (!std::getline(file, line) || line != kFormat || !std::getline(file, line) || line != environment_) return {};
  Problems problems;
  std::string problem;
  plan::Contest contest;
  while (std::getline(file, line)) {
    if (line == kEnd + std::to_string(problems.size())) return problems;
    if (!parse(line, &problem, &contest)) return {};
    problems[problem] = contest;
  }
  return {};  // cut off
}

const plan::Contest* ChoiceCache::find(const std::string& problem) const {
  const auto found = problems_.find(problem);
  return found == problems_.end() ? nullptr : &found->second;
}

void ChoiceCache::add(const std::string& problem, const plan::Contest& contest, bool outlive) {
  problems_[problem] = contest;
  if (outlive) added_[problem] = contest;
}

void ChoiceCache::save() {
  if (added_.empty() || !unkept_.empty()) return;
  Problems all = read();
  for (const auto& [problem, contest] : added_) all[problem] = contest;
  const std::string temporary = path_ + "." + std::to_string(getpid());
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << kFormat << '\n' << environment_ << '\n';
    for (const auto& [problem, contest] : all) file << line_of(problem, contest);
    file << kEnd << all.size() << '\n';
    file.close();
    if (file && std::rename(temporary.c_str(), path_.c_str()) == 0) return;
  }
  std::remove(temporary.c_str());
}

}  // namespace sknet::cuda
