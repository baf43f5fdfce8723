// What ops do for a batch norm in passing, so that BN makes no pass of its own over memory (DESIGN 4): read an input through it, leave the
// statistics of what they write, close the gradient they write, read a gradient through BN's backward. All vectors are [c], padded
// (layout.h). u is the input of the batch norm, z = scale u + shift its output, with scale = gamma invstd, shift = beta - mean scale.
#pragma once

namespace sknet {

// Reading through a batch norm: x = z, or max(z, 0) where `relu`. A null scale: x as it is.
struct Normalize {
  const float* scale = nullptr;
  const float* shift = nullptr;
  bool relu = false;
};

// Statistics of an output u over its rows (n, h, w), and what follows from them.
struct NormStatistics {
  const float* gamma = nullptr;  // null: no statistics wanted
  const float* beta = nullptr;
  float eps = 0;
  float* mean = nullptr;
  float* invstd = nullptr;  // 1 / sqrt(biased variance + eps)
  float* scale = nullptr;
  float* shift = nullptr;
  float* batch_mean = nullptr;  // for the running statistics
  float* batch_var = nullptr;   // unbiased
};

// Closing the gradient g of the output of a batch norm (with or without ReLU, with or without a residual added before the ReLU):
//   dz = gate (g + add);  dbeta = sum dz;  dgamma = sum dz xhat;  and BN's backward as du = gain dz + slope (u - mean) - offset
// gate: 1 without ReLU; output > 0 where `output` is given (a residual was added); else z > 0. dz is what is written.
struct NormClose {
  const void* u = nullptr;  // null: nothing to close
  bool relu = false;
  const void* output = nullptr;  // the layer's output, where a residual was added
  const void* add = nullptr;     // gradient from the other readers, or null; may be the memory dz is written to
  const float* gamma = nullptr;
  const float* mean = nullptr;
  const float* invstd = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  float* dgamma = nullptr;
  float* dbeta = nullptr;
  float* gain = nullptr;    // gamma invstd
  float* slope = nullptr;   // -gain invstd dgamma / rows
  float* offset = nullptr;  // gain dbeta / rows
};

// Reading a gradient through BN's backward: du from a closed dz. A null u: the gradient as it is.
struct NormGradient {
  const void* u = nullptr;
  const float* mean = nullptr;
  const float* gain = nullptr;
  const float* slope = nullptr;
  const float* offset = nullptr;
};

}  // namespace sknet
