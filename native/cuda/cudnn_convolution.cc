#include "cuda/cudnn_convolution.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "cuda/cudnn_descriptor.h"
#include "cuda/library_device.h"

namespace sknet::cuda {

namespace {

using namespace vendor::cudnn;  // NOLINT(google-build-using-namespace): this file is its one user

constexpr int64_t kMostWorkspace = int64_t{256} << 20;
constexpr int64_t kAlignment = 64;  // of every piece of a plan's memory
enum Uid : int64_t { kUidX = 1, kUidWeight = 2, kUidY = 3 };

CudnnDescriptor tensor(const Api& api, int64_t uid, int type, std::initializer_list<int64_t> dims, std::initializer_list<int64_t> strides) {
  CudnnDescriptor t(api, kTensor);
  t.set<int>(kTensorType, kTypeDataType, {type})
      .set<int64_t>(kTensorDims, kTypeInt64, dims)
      .set<int64_t>(kTensorStrides, kTypeInt64, strides)
      .set<int64_t>(kTensorUid, kTypeInt64, {uid})
      .set<int64_t>(kTensorAlignment, kTypeInt64, {kAlignment});
  t.finalize("describing a tensor");
  return t;
}

// Dims [n, c, h, w], channels last.
CudnnDescriptor channels_last(const Api& api, int64_t uid, int type, int64_t n, int64_t c, int64_t h, int64_t w) {
  return tensor(api, uid, type, {n, c, h, w}, {h * w * c, 1, w * c, c});
}

CudnnDescriptor convolution(const Api& api, const Convolution& p) {
  const int64_t stride = p.stride, padding = p.padding, dilation = p.dilation;
  CudnnDescriptor c(api, kConvolution);
  c.set<int>(kConvCompType, kTypeDataType, {kFloat})
      .set<int>(kConvMode, kTypeConvolutionMode, {kCrossCorrelation})
      .set<int64_t>(kConvSpatialDims, kTypeInt64, {2})
      .set<int64_t>(kConvDilations, kTypeInt64, {dilation, dilation})
      .set<int64_t>(kConvStrides, kTypeInt64, {stride, stride})
      .set<int64_t>(kConvPrePaddings, kTypeInt64, {padding, padding})
      .set<int64_t>(kConvPostPaddings, kTypeInt64, {padding, padding});
  c.finalize("describing a convolution");
  return c;
}

// The attributes of an operation, by direction.
struct OperationNames {
  int type, alpha, beta, convolution, x, weight, y;
};
OperationNames names_of(Direction direction) {
  switch (direction) {
    case Direction::kForward:
      return {kConvolutionForward, kForwardAlpha, kForwardBeta, kForwardDesc, kForwardX, kForwardW, kForwardY};
    case Direction::kBackwardData:
      return {kConvolutionBackwardData, kBackwardDataAlpha, kBackwardDataBeta, kBackwardDataDesc,
              kBackwardDataDx,          kBackwardDataW,     kBackwardDataDy};
    case Direction::kBackwardWeight:
      break;
  }
  return {kConvolutionBackwardFilter, kBackwardFilterAlpha, kBackwardFilterBeta, kBackwardFilterDesc,
          kBackwardFilterX,           kBackwardFilterDw,    kBackwardFilterDy};
}

// Descriptors that others were made of are kept as long as those.
struct Graph {
  CudnnDescriptor x, weight, y, convolution, operation, graph;
};

Graph operation_graph(const Api& api, Handle handle, const Convolution& p) {
  const int type = p.bf16 ? kBfloat16 : kFloat, weight_type = p.direction == Direction::kBackwardWeight ? kFloat : type;
  const OperationNames names = names_of(p.direction);
  Graph g{channels_last(api, kUidX, type, p.n, p.c, p.h, p.w),
          channels_last(api, kUidWeight, weight_type, p.out, p.c / p.groups, p.kernel, p.kernel),
          channels_last(api, kUidY, type, p.n, p.out, p.oh, p.ow),
          convolution(api, p),
          CudnnDescriptor(api, names.type),
          CudnnDescriptor(api, kOperationGraph)};
  g.operation.set<float>(names.alpha, kTypeFloat, {1.0f})
      .set<float>(names.beta, kTypeFloat, {0.0f})
      .set(names.convolution, g.convolution)
      .set(names.x, g.x)
      .set(names.weight, g.weight)
      .set(names.y, g.y)
      .finalize("describing an operation");
  g.graph.set(kGraphOps, g.operation).set<Handle>(kGraphHandle, kTypeHandle, {handle}).finalize("describing an operation");
  return g;
}

std::vector<CudnnDescriptor> configurations(const Api& api, const CudnnDescriptor& graph, int mode) {
  CudnnDescriptor heuristics(api, kEngineHeuristics);
  heuristics.set(kHeuristicsGraph, graph).set<int>(kHeuristicsMode, kTypeHeuristicsMode, {mode}).finalize("asking the heuristics");
  int64_t count = 0, found = 0;
  check_cudnn(api, api.get_attribute(heuristics.get(), kHeuristicsResults, kTypeDescriptor, 0, &count, nullptr), "asking the heuristics");
  std::vector<CudnnDescriptor> all;
  std::vector<Descriptor> to;
  for (int64_t i = 0; i < count; ++i) to.push_back(all.emplace_back(api, kEngineConfig).get());
  check_cudnn(api, api.get_attribute(heuristics.get(), kHeuristicsResults, kTypeDescriptor, count, &found, to.data()),
              "asking the heuristics");
  while (static_cast<int64_t>(all.size()) > found) all.pop_back();
  return all;
}

// Why an engine's numbers would not do; empty where they would.
std::string inexact(const Api& api, const CudnnDescriptor& configuration, bool bf16) {
  const CudnnDescriptor engine(api, kEngine);
  Descriptor to = engine.get();
  int64_t count = 0;
  check_cudnn(api, api.get_attribute(configuration.get(), kEngineConfigEngine, kTypeDescriptor, 1, &count, &to), "asking for an engine");
  const std::vector<int> notes = engine.get<int>(kEngineNumericalNote, kTypeNumericalNote, kMostNotes);
  const auto has = [&](int note) { return std::find(notes.begin(), notes.end(), note) != notes.end(); };
  if (has(kNoteNondeterministic)) return "other bits each time";
  if (has(kNoteReducedPrecisionReduction)) return "sums below float32";
  if (!bf16 && (has(kNoteDownConvertInputs) || has(kNoteTensorCore))) return "float32 cut to TF32";
  return "";
}

struct Plan {
  CudnnDescriptor configuration, descriptor;
  int64_t workspace;
};

// What is known of a problem: the plans that were asked for so far, and the configurations that more can be made of.
struct Known {
  std::optional<Graph> graph;
  std::vector<CudnnDescriptor> configurations;
  size_t next = 0;  // of them
  std::vector<Plan> plans;
  std::string last = "the heuristics name none";  // why the last one would not do
  std::string refused;
};

void ask_heuristics(const Api& api, Handle handle, const Convolution& p, Known& known) {
  const CudnnDescriptor& graph = known.graph.emplace(operation_graph(api, handle, p)).graph;
  for (const int mode : {kModeA, kModeFallback}) {
    for (CudnnDescriptor& configuration : configurations(api, graph, mode)) known.configurations.push_back(std::move(configuration));
  }
}

// Makes a plan of the next configuration, if it will do.
void try_next(const Api& api, Handle handle, const Convolution& p, Known& known) {
  CudnnDescriptor& configuration = known.configurations[known.next++];
  known.last = inexact(api, configuration, p.bf16);
  if (!known.last.empty()) return;
  CudnnDescriptor plan(api, kExecutionPlan);
  plan.set<Handle>(kPlanHandle, kTypeHandle, {handle}).set(kPlanConfig, configuration);
  // Not supported is an answer.
  if (const Status status = api.finalize(plan.get()); status != kSuccess) {
    known.last = cudnn_words(api, status);
    return;
  }
  const int64_t workspace = plan.get<int64_t>(kPlanWorkspace, kTypeInt64, 1).at(0);
  if (workspace > kMostWorkspace) {
    known.last = "a workspace of " + std::to_string(workspace >> 20) + " MiB";
    return;
  }
  known.plans.push_back({std::move(configuration), std::move(plan), workspace});
}

using Device = LibraryDevice<Handle, Convolution, Known>;

// cuDNN's handle is one thread's at a time.
template <class F>
auto with_device(const F& use) {
  const auto start = [](Handle* handle) {
    const Status status = api()->create(handle);
    return status == kSuccess ? "" : "cuDNN, starting: " + cudnn_words(*api(), status);
  };
  return with_library_device<Device>(vendor::cudnn::report(), "SKNET_CUDNN_PATH", start, use);
}

// With plan number `plan`, where there is one: making plans takes long.
const Known& known_of(Device& device, const Convolution& p, int plan) {
  const auto [entry, is_new] = device.problems.try_emplace(p);
  Known& known = entry->second;
  try {
    if (is_new) ask_heuristics(*api(), device.handle, p, known);
    while (static_cast<int>(known.plans.size()) <= plan && known.next < known.configurations.size()) {
      try_next(*api(), device.handle, p, known);
    }
  } catch (const Error& e) {
    known.last = e.what();
  }
  if (known.plans.empty() && known.refused.empty()) known.refused = "cuDNN has no plan for it: " + known.last;
  return known;
}

const Plan& plan_of(Device& device, const Convolution& p, int plan) {
  return known_of(device, p, plan).plans.at(static_cast<size_t>(plan));
}

}  // namespace

const char* cudnn_refused(const Convolution& p, int plan) {
  return with_device([&](Device& device) -> const char* {
    if (!device.refused.empty()) return plan == 0 ? device.refused.c_str() : "";
    const Known& known = known_of(device, p, plan);
    if (plan < static_cast<int>(known.plans.size())) return nullptr;
    return plan == 0 ? known.refused.c_str() : "";
  });
}

size_t cudnn_workspace(const Convolution& p, int plan) {
  return with_device([&](Device& device) { return static_cast<size_t>(plan_of(device, p, plan).workspace); });
}

void cudnn_convolve(const Convolution& p, int plan, const void* x, const void* weight, const void* y, char* workspace, void* stream) {
  with_device([&](Device& device) {
    const Api& cudnn = *api();
    CudnnDescriptor pack(cudnn, kVariantPack);
    pack.set<int64_t>(kPackUids, kTypeInt64, {kUidX, kUidWeight, kUidY})
        .set<const void*>(kPackPointers, kTypeVoidPointer, {x, weight, y})
        .set<void*>(kPackWorkspace, kTypeVoidPointer, {workspace})
        .finalize("convolving");
    check_cudnn(cudnn, cudnn.set_stream(device.handle, stream), "choosing a stream");
    check_cudnn(cudnn, cudnn.execute(device.handle, plan_of(device, p, plan).descriptor.get(), pack.get()), "convolving");
  });
}

}  // namespace sknet::cuda
