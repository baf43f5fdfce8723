// A libcudnn.so.9 for the emulated device: the backend calls that sknet makes for convolutions, held to what the library documents (types,
// required attributes, finalize before use) and calculated in float64. It names engines of all kinds: some that give other bits each time,
// some that take nothing, some that cut float32, two or three that will do. With SKNET_FAKE_LIBRARY=refuse no engine takes anything, with "fail" plans do not execute.
#include "vendor/cudnn/cudnn.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "emulator.h"

namespace {

using namespace sknet::vendor::cudnn;

constexpr int kBadParameter = 2000, kExecutionFailed = 5000;

struct Attribute_ {
  int type;
  int64_t count;
  std::vector<char> bytes;
  template <class T>
  T at(int64_t i = 0) const {
    T value;
    std::memcpy(&value, bytes.data() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return value;
  }
};

struct Object {
  int type;
  bool final = false;
  std::map<int, Attribute_> attributes;
  int engine = -1;  // of an engine or its configuration
  const Object* graph = nullptr;
  template <class T>
  T get(int attribute, int64_t i = 0) const {
    return attributes.at(attribute).at<T>(i);
  }
  const Object& object(int attribute) const { return *static_cast<const Object*>(get<Descriptor>(attribute)); }
};

struct Engine {
  std::vector<int> notes;
  bool supported;
  int64_t workspace;
};
const Engine kEngines[] = {
    {{kNoteTensorCore, kNoteNondeterministic}, true, 0}, {{}, false, 0},                  {{}, true, 0}, {{kNoteTensorCore}, true, 96},
    {{kNoteReducedPrecisionReduction}, true, 0},         {{}, true, int64_t{512} << 20}, {{}, true, 320}};
const std::vector<int> kOfModeA = {0, 1, 2, 3, 4}, kOfFallback = {5, 6};

// What a descriptor of a type must be given, and as what.
struct Rule {
  int descriptor, attribute, type;
  int64_t count;
};
const Rule kRules[] = {
    {kTensor, kTensorType, kTypeDataType, 1},
    {kTensor, kTensorDims, kTypeInt64, 4},
    {kTensor, kTensorStrides, kTypeInt64, 4},
    {kTensor, kTensorUid, kTypeInt64, 1},
    {kTensor, kTensorAlignment, kTypeInt64, 1},
    {kConvolution, kConvCompType, kTypeDataType, 1},
    {kConvolution, kConvMode, kTypeConvolutionMode, 1},
    {kConvolution, kConvSpatialDims, kTypeInt64, 1},
    {kConvolution, kConvDilations, kTypeInt64, 2},
    {kConvolution, kConvStrides, kTypeInt64, 2},
    {kConvolution, kConvPrePaddings, kTypeInt64, 2},
    {kConvolution, kConvPostPaddings, kTypeInt64, 2},
    {kConvolutionForward, kForwardAlpha, kTypeFloat, 1},
    {kConvolutionForward, kForwardBeta, kTypeFloat, 1},
    {kConvolutionForward, kForwardDesc, kTypeDescriptor, 1},
    {kConvolutionForward, kForwardX, kTypeDescriptor, 1},
    {kConvolutionForward, kForwardW, kTypeDescriptor, 1},
    {kConvolutionForward, kForwardY, kTypeDescriptor, 1},
    {kConvolutionBackwardData, kBackwardDataAlpha, kTypeFloat, 1},
    {kConvolutionBackwardData, kBackwardDataBeta, kTypeFloat, 1},
    {kConvolutionBackwardData, kBackwardDataDesc, kTypeDescriptor, 1},
    {kConvolutionBackwardData, kBackwardDataDx, kTypeDescriptor, 1},
    {kConvolutionBackwardData, kBackwardDataW, kTypeDescriptor, 1},
    {kConvolutionBackwardData, kBackwardDataDy, kTypeDescriptor, 1},
    {kConvolutionBackwardFilter, kBackwardFilterAlpha, kTypeFloat, 1},
    {kConvolutionBackwardFilter, kBackwardFilterBeta, kTypeFloat, 1},
    {kConvolutionBackwardFilter, kBackwardFilterDesc, kTypeDescriptor, 1},
    {kConvolutionBackwardFilter, kBackwardFilterX, kTypeDescriptor, 1},
    {kConvolutionBackwardFilter, kBackwardFilterDw, kTypeDescriptor, 1},
    {kConvolutionBackwardFilter, kBackwardFilterDy, kTypeDescriptor, 1},
    {kOperationGraph, kGraphHandle, kTypeHandle, 1},
    {kOperationGraph, kGraphOps, kTypeDescriptor, 1},
    {kEngineHeuristics, kHeuristicsGraph, kTypeDescriptor, 1},
    {kEngineHeuristics, kHeuristicsMode, kTypeHeuristicsMode, 1},
    {kExecutionPlan, kPlanHandle, kTypeHandle, 1},
    {kExecutionPlan, kPlanConfig, kTypeDescriptor, 1},
    {kVariantPack, kPackUids, kTypeInt64, 3},
    {kVariantPack, kPackPointers, kTypeVoidPointer, 3},
    {kVariantPack, kPackWorkspace, kTypeVoidPointer, 1},
};

size_t size_of(int type) {
  return type == kTypeInt64 || type == kTypeDescriptor || type == kTypeHandle || type == kTypeVoidPointer ? 8 : 4;
}

std::string message;
Status refuse(Status status, const std::string& why) {
  message = why;
  return status;
}

struct HandleState {
  void* stream = nullptr;
} handle;

// A tensor as the arithmetic below reads it.
struct View {
  void* p;
  bool bf16;
  int64_t dims[4], strides[4];
  int64_t at(int64_t n, int64_t c, int64_t h, int64_t w) const { return n * strides[0] + c * strides[1] + h * strides[2] + w * strides[3]; }
  double load(int64_t i) const { return sknet::fake::load(p, i, bf16); }
};

View view(const Object& tensor, const Object& pack) {
  View v{};
  for (int64_t i = 0; i < 3; ++i) {
    if (pack.get<int64_t>(kPackUids, i) == tensor.get<int64_t>(kTensorUid)) v.p = pack.get<void*>(kPackPointers, i);
  }
  v.bf16 = tensor.get<int>(kTensorType) == kBfloat16;
  for (int i = 0; i < 4; ++i) {
    v.dims[i] = tensor.get<int64_t>(kTensorDims, i);
    v.strides[i] = tensor.get<int64_t>(kTensorStrides, i);
  }
  return v;
}

// f(index in x, in the weights, in y) for every product of the convolution.
template <class F>
void for_products(const View& x, const View& weight, const View& y, const Object& convolution, const F& f) {
  const auto of = [&](int attribute, int i) { return convolution.get<int64_t>(attribute, i); };
  const int64_t groups = x.dims[1] / weight.dims[1], per_group = weight.dims[0] / groups;
  for (int64_t n = 0; n < y.dims[0]; ++n) {
    for (int64_t k = 0; k < y.dims[1]; ++k) {
      for (int64_t i = 0; i < y.dims[2] * y.dims[3]; ++i) {
        const int64_t oh = i / y.dims[3], ow = i % y.dims[3];
        for (int64_t tap = 0; tap < weight.dims[2] * weight.dims[3]; ++tap) {
          const int64_t r = tap / weight.dims[3], s = tap % weight.dims[3];
          const int64_t h = oh * of(kConvStrides, 0) - of(kConvPrePaddings, 0) + r * of(kConvDilations, 0);
          const int64_t w = ow * of(kConvStrides, 1) - of(kConvPrePaddings, 1) + s * of(kConvDilations, 1);
          if (h < 0 || w < 0 || h >= x.dims[2] || w >= x.dims[3]) continue;
          for (int64_t c = 0; c < weight.dims[1]; ++c) {
            f(x.at(n, k / per_group * weight.dims[1] + c, h, w), weight.at(k, c, r, s), y.at(n, k, oh, ow));
          }
        }
      }
    }
  }
}

int64_t elements(const View& v) { return v.dims[0] * v.dims[1] * v.dims[2] * v.dims[3]; }

struct Roles {
  int convolution, x, weight, y;
};
Roles roles_of(int operation) {
  if (operation == kConvolutionForward) return {kForwardDesc, kForwardX, kForwardW, kForwardY};
  if (operation == kConvolutionBackwardData) return {kBackwardDataDesc, kBackwardDataDx, kBackwardDataW, kBackwardDataDy};
  return {kBackwardFilterDesc, kBackwardFilterX, kBackwardFilterDw, kBackwardFilterDy};
}

// Tensors are dense here, so a sum an element is a sum an index.
void calculate(const Object& operation, const View& x, const View& weight, const View& y) {
  const Object& convolution = operation.object(roles_of(operation.type).convolution);
  const bool to_y = operation.type == kConvolutionForward, to_x = operation.type == kConvolutionBackwardData;
  const View& to = to_y ? y : to_x ? x : weight;
  std::vector<double> sums(static_cast<size_t>(elements(to)), 0.0);
  for_products(x, weight, y, convolution, [&](int64_t i, int64_t j, int64_t k) {
    const double product = (to_x ? 1 : x.load(i)) * (to_x || to_y ? weight.load(j) : 1) * (to_y ? 1 : y.load(k));
    sums[static_cast<size_t>(to_y ? k : to_x ? i : j)] += product;
  });
  for (size_t i = 0; i < sums.size(); ++i) sknet::fake::store(to.p, static_cast<int64_t>(i), to.bf16, sums[i]);
}

Object& object(Descriptor d) { return *static_cast<Object*>(d); }

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return 91203; }
const char* cudnnGetErrorString(Status status) {
  return status == kBadParameter      ? "CUDNN_STATUS_BAD_PARAM"
         : status == kExecutionFailed ? "CUDNN_STATUS_EXECUTION_FAILED"
         : status >= kNotSupported    ? "CUDNN_STATUS_NOT_SUPPORTED"
                                      : "CUDNN_STATUS_SUCCESS";
}
void cudnnGetLastErrorString(char* to, size_t size) {
  std::strncpy(to, message.c_str(), size);
  to[size - 1] = '\0';
}
Status cudnnCreate(void** to) { return *to = &handle, kSuccess; }
Status cudnnDestroy(void*) { return kSuccess; }
Status cudnnSetStream(void* to, void* stream) {
  static_cast<HandleState*>(to)->stream = stream;
  return kSuccess;
}

Status cudnnBackendCreateDescriptor(int type, Descriptor* to) { return *to = new Object{.type = type}, kSuccess; }
// Descriptors made of others must not outlive them: what is destroyed is overwritten.
Status cudnnBackendDestroyDescriptor(Descriptor d) {
  object(d).attributes.clear();
  object(d).final = false;
  object(d).graph = nullptr;
  return kSuccess;
}

Status cudnnBackendSetAttribute(Descriptor d, int attribute, int type, int64_t count, const void* elements) {
  Object& o = object(d);
  if (o.final) return refuse(kBadParameter, "the descriptor is final");
  const auto rule = std::find_if(std::begin(kRules), std::end(kRules),
                                 [&](const Rule& r) { return r.descriptor == o.type && r.attribute == attribute; });
  if (rule == std::end(kRules) || rule->type != type || rule->count != count) {
    return refuse(kBadParameter, "attribute " + std::to_string(attribute) + " of a descriptor of type " + std::to_string(o.type));
  }
  const char* bytes = static_cast<const char*>(elements);
  if (type == kTypeDescriptor) {
    Descriptor other;
    std::memcpy(&other, elements, sizeof(other));
    if (!object(other).final) return refuse(kBadParameter, "a descriptor that is not final");
  }
  o.attributes[attribute] = {type, count, {bytes, bytes + static_cast<size_t>(count) * size_of(type)}};
  return kSuccess;
}

Status cudnnBackendFinalize(Descriptor d) {
  Object& o = object(d);
  for (const Rule& rule : kRules) {
    if (rule.descriptor == o.type && !o.attributes.contains(rule.attribute)) {
      return refuse(kBadParameter, "attribute " + std::to_string(rule.attribute) + " is missing");
    }
  }
  if (o.type == kExecutionPlan) {
    const Object& configuration = o.object(kPlanConfig);
    if (sknet::fake::told_to("refuse") || !kEngines[configuration.engine].supported) {
      return refuse(kNotSupported + 1, "engine " + std::to_string(configuration.engine) + " does not take it");
    }
    o.engine = configuration.engine;
    o.graph = configuration.graph;
  }
  o.final = true;
  return kSuccess;
}

Status cudnnBackendGetAttribute(Descriptor d, int attribute, int type, int64_t wanted, int64_t* count, void* to) {
  const Object& o = object(d);
  if (!o.final) return refuse(kBadParameter, "the descriptor is not final");
  if (o.type == kEngineHeuristics && attribute == kHeuristicsResults && type == kTypeDescriptor) {
    const int mode = o.get<int>(kHeuristicsMode);
    const std::vector<int>& engines = mode == kModeA ? kOfModeA : kOfFallback;
    *count = static_cast<int64_t>(engines.size());
    for (int64_t i = 0; i < std::min(wanted, *count); ++i) {
      Object& configuration = object(static_cast<Descriptor*>(to)[i]);
      if (configuration.type != kEngineConfig) return refuse(kBadParameter, "no configuration");
      configuration.engine = engines[static_cast<size_t>(i)];
      configuration.graph = &o.object(kHeuristicsGraph);
      configuration.final = true;
    }
    return kSuccess;
  }
  if (o.type == kEngineConfig && attribute == kEngineConfigEngine && type == kTypeDescriptor && wanted == 1) {
    Object& engine = object(*static_cast<Descriptor*>(to));
    if (engine.type != kEngine) return refuse(kBadParameter, "no engine");
    engine.engine = o.engine;
    engine.final = true;
    *count = 1;
    return kSuccess;
  }
  if (o.type == kEngine && attribute == kEngineNumericalNote && type == kTypeNumericalNote) {
    const std::vector<int>& notes = kEngines[o.engine].notes;
    *count = static_cast<int64_t>(notes.size());
    std::copy_n(notes.begin(), std::min(wanted, *count), static_cast<int*>(to));
    return kSuccess;
  }
  if (o.type == kExecutionPlan && attribute == kPlanWorkspace && type == kTypeInt64 && wanted == 1) {
    *static_cast<int64_t*>(to) = kEngines[o.engine].workspace;
    *count = 1;
    return kSuccess;
  }
  return refuse(kBadParameter, "attribute " + std::to_string(attribute));
}

Status cudnnBackendExecute(void* of, Descriptor plan_descriptor, Descriptor pack_descriptor) {
  const Object &plan = object(plan_descriptor), &pack = object(pack_descriptor);
  if (!plan.final || !pack.final || !plan.graph->final) return refuse(kBadParameter, "a descriptor that is not final");
  if (sknet::fake::told_to("fail")) return refuse(kExecutionFailed, "told to fail");
  const Object& operation = plan.graph->object(kGraphOps);
  const Roles roles = roles_of(operation.type);
  const View x = view(operation.object(roles.x), pack), weight = view(operation.object(roles.weight), pack),
             y = view(operation.object(roles.y), pack);
  for (const auto& [v, role] : {std::pair{&x, roles.x}, {&weight, roles.weight}, {&y, roles.y}}) {
    if (reinterpret_cast<uintptr_t>(v->p) % static_cast<uintptr_t>(operation.object(role).get<int64_t>(kTensorAlignment)) != 0) {
      return refuse(kBadParameter, "memory that is not aligned");
    }
  }
  void* workspace = pack.get<void*>(kPackWorkspace);
  const size_t bytes = static_cast<size_t>(kEngines[plan.engine].workspace);
  const bool queued = sknet::fake::submit(static_cast<HandleState*>(of)->stream, [&operation, x, weight, y, workspace, bytes] {
    if (bytes > 0) std::memset(workspace, 0xff, bytes);
    calculate(operation, x, weight, y);
  });
  return queued ? kSuccess : refuse(kExecutionFailed, "the stream takes nothing");
}

}  // extern "C"
