// The part of cuDNN's backend interface that convolutions need, declared here so that nothing of cuDNN is needed to build. Names without
// their prefix; values as in cudnn_graph.h 9.0 and later, which only ever appends (test/vendor compares them where the real header is
// found). Descriptors are made, filled attribute by attribute, finalized and destroyed; a pattern that the library cannot run is refused by
// finalize with a status of kNotSupported or above, which is an answer and no failure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/library.h"

namespace sknet::vendor::cudnn {

using Handle = struct HandleOpaque*;
using Descriptor = void*;
using Status = int;
using Stream = void*;  // cudaStream_t

constexpr Status kSuccess = 0, kNotSupported = 3000;

enum DescriptorType {
  kConvolution = 1,
  kEngine = 2,
  kEngineConfig = 3,
  kEngineHeuristics = 4,
  kExecutionPlan = 5,
  kConvolutionForward = 10,
  kConvolutionBackwardFilter = 11,
  kConvolutionBackwardData = 12,
  kOperationGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
};

enum AttributeType {
  kTypeHandle = 0,
  kTypeDataType = 1,
  kTypeBoolean = 2,
  kTypeInt64 = 3,
  kTypeFloat = 4,
  kTypeDouble = 5,
  kTypeVoidPointer = 6,
  kTypeConvolutionMode = 7,
  kTypeHeuristicsMode = 8,
  kTypeNumericalNote = 11,
  kTypeDescriptor = 15,
};

constexpr int kFloat = 0, kBfloat16 = 9;                        // cudnnDataType_t
constexpr int kCrossCorrelation = 1;                            // cudnnConvolutionMode_t
constexpr int kModeInstant = 0, kModeFallback = 2, kModeA = 3;  // cudnnBackendHeurMode_t; B knows no grouped convolutions

// cudnnBackendNumericalNote_t: what an engine is not exact about, or what it uses.
constexpr int kNoteTensorCore = 0, kNoteDownConvertInputs = 1, kNoteReducedPrecisionReduction = 2, kNoteNondeterministic = 4;
constexpr int kMostNotes = 32;  // of an engine; more than any version knows

enum Attribute {
  kConvCompType = 100,
  kConvMode = 101,
  kConvDilations = 102,
  kConvStrides = 103,
  kConvPostPaddings = 104,
  kConvPrePaddings = 105,
  kConvSpatialDims = 106,
  kHeuristicsMode = 200,
  kHeuristicsGraph = 201,
  kHeuristicsResults = 202,
  kEngineConfigEngine = 300,
  kPlanHandle = 400,
  kPlanConfig = 401,
  kPlanWorkspace = 402,
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardDesc = 702,
  kForwardW = 703,
  kForwardX = 704,
  kForwardY = 705,
  kBackwardDataAlpha = 706,
  kBackwardDataBeta = 707,
  kBackwardDataDesc = 708,
  kBackwardDataW = 709,
  kBackwardDataDx = 710,
  kBackwardDataDy = 711,
  kBackwardFilterAlpha = 712,
  kBackwardFilterBeta = 713,
  kBackwardFilterDesc = 714,
  kBackwardFilterDw = 715,
  kBackwardFilterX = 716,
  kBackwardFilterDy = 717,
  kGraphHandle = 800,
  kGraphOps = 801,
  kTensorAlignment = 900,
  kTensorType = 901,
  kTensorDims = 902,
  kTensorStrides = 903,
  kTensorUid = 906,
  kPackUids = 1000,
  kPackPointers = 1001,
  kPackWorkspace = 1003,
  kEngineNumericalNote = 1303,
};

struct Api {
  size_t (*get_version)();
  const char* (*get_error_string)(Status status);
  void (*get_last_error_string)(char* message, size_t size);
  Status (*create)(Handle* handle);
  Status (*destroy)(Handle handle);
  Status (*set_stream)(Handle handle, Stream stream);
  Status (*descriptor_create)(int type, Descriptor* descriptor);
  Status (*descriptor_destroy)(Descriptor descriptor);
  Status (*set_attribute)(Descriptor descriptor, int attribute, int type, int64_t count, const void* elements);
  Status (*get_attribute)(Descriptor descriptor, int attribute, int type, int64_t wanted, int64_t* count, void* elements);
  Status (*finalize)(Descriptor descriptor);
  Status (*execute)(Handle handle, Descriptor plan, Descriptor pack);
};

// Opened at the first call; null where cuDNN cannot be used, and report() says why.
const Api* api();
LibraryReport report();

}  // namespace sknet::vendor::cudnn
