#include "cuda/tuning/timed_chooser.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/error.h"
#include "cuda/tuning/describe.h"
#include "cuda/tuning/environment.h"
#include "cuda/tuning/operands.h"
#include "plan/choose.h"

namespace sknet::cuda {

namespace {

constexpr int kSamples = 5;
constexpr double kSampleSeconds = 200e-6;  // events tell half a microsecond apart
constexpr int kMostCalls = 50;
constexpr double kHopeless = 3;  // times as long as the best so far
constexpr int kHarmless = 0x3c;  // every byte: 0.011 in float32 and in bfloat16

Event timing_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreate(&event), "making an event");
  return Event(event);
}

// The trials of `list` among those of a contest; none where one is missing.
template <class C>
std::vector<plan::Trial> trials_of(const std::vector<const C*>& list, const plan::Contest& contest) {
  std::vector<plan::Trial> trials;
  for (const plan::Trial& trial : contest.trials) {
    if (plan::by_name(list, trial.candidate) != nullptr) trials.push_back(trial);
  }
  return trials.size() == list.size() ? trials : std::vector<plan::Trial>{};
}

}  // namespace

TimedChooser::TimedChooser(Precision precision, bool packs)
    : precision_(precision),
      packs_(packs),
      cache_(tuning_environment()),
      stream_(make_stream()),
      start_(timing_event()),
      end_(timing_event()) {}

TimedChooser::~TimedChooser() {
  try {
    cache_.save();
  } catch (const std::exception&) {
    // The next plan times again.
  }
}

bool TimedChooser::reserve(int64_t bytes) {
  if (bytes <= bytes_) return true;
  memory_.reset();
  bytes_ = 0;
  void* p = nullptr;
  const cudaError_t error = cudaMalloc(&p, static_cast<size_t>(bytes));
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return false;
  }
  check_cuda(error, "allocating memory for trials");
  memory_.reset(static_cast<char*>(p));
  bytes_ = bytes;
  return true;
}

double TimedChooser::elapsed(const std::function<void()>& call, int calls) {
  check_cuda(cudaEventRecord(start_.get(), stream_.get()), "timing a candidate");
  for (int i = 0; i < calls; ++i) call();
  check_cuda(cudaGetLastError(), "trying a candidate");
  check_cuda(cudaEventRecord(end_.get(), stream_.get()), "timing a candidate");
  check_cuda(cudaEventSynchronize(end_.get()), "trying a candidate");
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, start_.get(), end_.get()), "timing a candidate");
  return 1e-3 * static_cast<double>(milliseconds) / calls;
}

double TimedChooser::measure(const std::function<void()>& call, double best) {
  (void)elapsed(call, 1);  // loads the kernel
  const double once = elapsed(call, 1);
  if (once > kHopeless * best) return once;
  const int calls = once * kMostCalls < kSampleSeconds ? kMostCalls : std::max(1, static_cast<int>(kSampleSeconds / once));
  std::array<double, kSamples> samples{};
  for (double& sample : samples) sample = elapsed(call, calls);
  std::nth_element(samples.begin(), samples.begin() + kSamples / 2, samples.end());
  return samples[kSamples / 2];
}

template <class Problem, class Args>
plan::Contest TimedChooser::hold(const List<Candidate<Problem, Args>>& list, const Problem& p) {
  const int elem_bytes = precision_ == Precision::kBf16 ? 2 : 4;
  size_t workspace = 0, packed = 0;
  for (const auto* c : list) {
    if (c->workspace != nullptr) workspace = std::max(workspace, c->workspace(p));
    if (c->packed != nullptr) packed = std::max(packed, c->packed(p));
  }
  const auto lay_out = [&](char* memory, Args* args, Exec* exec) {
    Scratch scratch(memory, elem_bytes);
    make_operands(scratch, p, args);
    exec->workspace = scratch.take(static_cast<int64_t>(workspace));
    exec->packed = scratch.take(static_cast<int64_t>(packed));
    return scratch.used();
  };
  Args args{};
  Exec exec{};
  const int64_t bytes = lay_out(nullptr, &args, &exec);
  plan::Contest contest;
  if (!reserve(bytes)) {
    contest.note = "not timed: the device's memory is too small for " + std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB of operands";
    return contest;
  }
  lay_out(memory_.get(), &args, &exec);
  exec.stream = stream_.get();
  check_cuda(cudaMemsetAsync(memory_.get(), kHarmless, static_cast<size_t>(bytes), stream_.get()), "clearing memory");
  double best = std::numeric_limits<double>::infinity();
  for (const auto* c : list) {
    try {
      if (c->pack != nullptr) c->pack(p, args, exec);
      const auto call = [&] {
        if (packs_ && c->pack != nullptr) c->pack(p, args, exec);
        c->run(p, args, exec);
      };
      contest.trials.push_back({c->name, measure(call, best)});
      best = std::min(best, contest.trials.back().seconds);
    } catch (const Error& e) {
      // A device that cannot go on says so again.
      check_cuda(cudaStreamSynchronize(stream_.get()), "trying candidates");
      contest.refused.push_back({c->name, std::string("failed when tried: ") + e.what()});
    }
  }
  std::stable_sort(contest.trials.begin(), contest.trials.end(),
                   [](const plan::Trial& a, const plan::Trial& b) { return a.seconds < b.seconds; });
  if (!cache_.unkept().empty()) contest.note = "times are not kept: " + cache_.unkept();
  return contest;
}

std::string TimedChooser::key(const std::string& op, const std::string& problem) const {
  return op + (precision_ == Precision::kBf16 ? " bf16 " : " fp32 ") + (packs_ ? "packing " : "") + problem;
}

plan::Contest TimedChooser::kept(const std::string& key) const {
  const plan::Contest* found = cache_.find(key);
  return found == nullptr ? plan::Contest{} : *found;
}

template <class Problem, class Args>
plan::Contest TimedChooser::contest(const std::string& op, const List<Candidate<Problem, Args>>& list, const Problem& p,
                                    const Refusals& refused, bool all) {
  const std::string problem = key(op, describe(p));
  if (std::vector<plan::Trial> trials = trials_of(list, kept(problem)); !all && !trials.empty()) return {std::move(trials), refused, {}};
  plan::Contest contest = hold(list, p);
  // A failure may have been the moment's: the next plan tries again.
  const bool outlives = contest.refused.empty();
  contest.refused.insert(contest.refused.begin(), refused.begin(), refused.end());
  if (all && !contest.trials.empty()) cache_.add(problem, contest, outlives);
  return contest;
}

plan::Contest TimedChooser::known(const std::string& op, const Conv2dProblem& p) { return kept(key(op, describe(p))); }
plan::Contest TimedChooser::known(const std::string& op, const SkSplitProblem& p) { return kept(key(op, describe(p))); }
plan::Contest TimedChooser::known(const std::string& op, const SkSelectProblem& p) { return kept(key(op, describe(p))); }
plan::Contest TimedChooser::known(const std::string& op, const BatchNormProblem& p) { return kept(key(op, describe(p))); }

plan::Contest TimedChooser::time(const std::string& op, const List<Conv2dForward>& list, const Conv2dProblem& p, const Refusals& refused,
                                 bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<Conv2dBackwardData>& list, const Conv2dProblem& p,
                                 const Refusals& refused, bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<Conv2dBackwardWeight>& list, const Conv2dProblem& p,
                                 const Refusals& refused, bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<SkSplitForward>& list, const SkSplitProblem& p, const Refusals& refused,
                                 bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<SkSplitBackward>& list, const SkSplitProblem& p, const Refusals& refused,
                                 bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<SkSelectForward>& list, const SkSelectProblem& p,
                                 const Refusals& refused, bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<BatchNormStatistics>& list, const BatchNormProblem& p,
                                 const Refusals& refused, bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<BatchNormApply>& list, const BatchNormProblem& p,
                                 const Refusals& refused, bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<BatchNormClose>& list, const BatchNormProblem& p,
                                 const Refusals& refused, bool all) {
  return contest(op, list, p, refused, all);
}
plan::Contest TimedChooser::time(const std::string& op, const List<BatchNormGradient>& list, const BatchNormProblem& p,
                                 const Refusals& refused, bool all) {
  return contest(op, list, p, refused, all);
}

}  // namespace sknet::cuda
