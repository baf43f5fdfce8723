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

constexpr const char* kFormat = "sknet: times of candidates, 1";
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

void merge(ChoiceCache::Trials& to, const ChoiceCache::Trials& trials) {
  for (const plan::Trial& trial : trials) {
    std::erase_if(to, [&](const plan::Trial& known) { return known.candidate == trial.candidate; });
    to.push_back(trial);
  }
  std::stable_sort(to.begin(), to.end(), [](const plan::Trial& a, const plan::Trial& b) { return a.seconds < b.seconds; });
}

std::string number_text(double value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

// A line's parts; false where it is none.
bool parse(const std::string& line, std::string* problem, ChoiceCache::Trials* trials) {
  std::istringstream parts(line);
  if (!std::getline(parts, *problem, '\t') || problem->empty()) return false;
  trials->clear();
  for (std::string candidate, seconds; std::getline(parts, candidate, '\t');) {
    double value = 0;
    if (!std::getline(parts, seconds, '\t')) return false;
    const auto [end, error] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
    if (error != std::errc() || end != seconds.data() + seconds.size() || !(value >= 0) || candidate.empty()) return false;
    merge(*trials, {{candidate, value}});
  }
  return !trials->empty();
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
  Trials trials;
  while (std::getline(file, line)) {
    if (line == kEnd + std::to_string(problems.size())) return problems;
    if (!parse(line, &problem, &trials)) return {};
    problems[problem] = trials;
  }
  return {};  // cut off
}

const ChoiceCache::Trials* ChoiceCache::find(const std::string& problem) const {
  const auto found = problems_.find(problem);
  return found == problems_.end() ? nullptr : &found->second;
}

void ChoiceCache::add(const std::string& problem, const Trials& trials) {
  merge(problems_[problem], trials);
  merge(added_[problem], trials);
}

void ChoiceCache::save() {
  if (added_.empty() || !unkept_.empty()) return;
  Problems all = read();
  for (const auto& [problem, trials] : added_) merge(all[problem], trials);
  const std::string temporary = path_ + "." + std::to_string(getpid());
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << kFormat << '\n' << environment_ << '\n';
    for (const auto& [problem, trials] : all) {
      file << problem;
      for (const plan::Trial& trial : trials) file << '\t' << trial.candidate << '\t' << number_text(trial.seconds);
      file << '\n';
    }
    file << kEnd << all.size() << '\n';
    file.close();
    if (file && std::rename(temporary.c_str(), path_.c_str()) == 0) return;
  }
  std::remove(temporary.c_str());
}

}  // namespace sknet::cuda
