// conv2d on CUDA, candidate "cublas": a dense 1x1 convolution of stride 1 is one matrix product over all pixels, which cuBLASLt calculates.
// Nothing is done in passing: batch norms make passes of their own around it. Weights are packed with zeros in the padding, so that the
// padding of what is written is zero.
#include "cuda/column_sums.h"
#include "cuda/conv2d_cublas.h"
#include "cuda/cublas_product.h"
#include "cuda/gemm_conv2d.h"

namespace sknet::cuda {
namespace {

int64_t rows_of(const Conv2dProblem& p) { return static_cast<int64_t>(p.n) * p.oh * p.ow; }

template <class Elem>
constexpr bool kIsBf16 = sizeof(Elem) == 2;

// By columns, a row-major matrix is its transpose: packed weights [padded out][padded c] are [padded c, padded out], rows of pixels
// [padded channels, rows].
template <class Elem>
Product forward_product(const Conv2dProblem& p) {
  return {.transpose_a = true,
          .transpose_b = false,
          .m = padded(p.out),
          .n = rows_of(p),
          .k = padded(p.c),
          .lda = padded(p.c),
          .ldb = padded(p.c),
          .ldd = padded(p.out),
          .bf16 = kIsBf16<Elem>,
          .float_result = false};
}
template <class Elem>
Product data_product(const Conv2dProblem& p) {
  return {.transpose_a = false,
          .transpose_b = false,
          .m = padded(p.c),
          .n = rows_of(p),
          .k = padded(p.out),
          .lda = padded(p.c),
          .ldb = padded(p.out),
          .ldd = padded(p.c),
          .bf16 = kIsBf16<Elem>,
          .float_result = false};
}
// dweight has no padding.
template <class Elem>
Product weight_product(const Conv2dProblem& p) {
  return {.transpose_a = false,
          .transpose_b = true,
          .m = p.c,
          .n = p.out,
          .k = rows_of(p),
          .lda = padded(p.c),
          .ldb = padded(p.out),
          .ldd = p.c,
          .bf16 = kIsBf16<Elem>,
          .float_result = true};
}

const char* refuse_shape(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.kernel != 1 || p.stride != 1 || p.padding != 0) return "not 1x1 with stride 1";
  const Conv2dFusion& f = p.fusion;
  if (f.x_rows) return "the network's input is not read by rows";
  if (f.x_norm || f.x_branches > 0 || f.dy_norm) return "reads activations and gradients as they are";
  if (f.statistics || f.y_norm || f.close) return "does nothing in passing";
  return nullptr;
}

template <Product (*kProduct)(const Conv2dProblem&)>
const char* refuse(const Conv2dProblem& p) {
  const char* reason = refuse_shape(p);
  return reason != nullptr ? reason : cublas_refused(kProduct(p));
}
template <Product (*kProduct)(const Conv2dProblem&)>
size_t workspace(const Conv2dProblem& p) {
  return cublas_workspace(kProduct(p));
}

template <class Elem>
size_t packed(const Conv2dProblem& p) {
  return sizeof(Elem) * static_cast<size_t>(padded(p.out)) * static_cast<size_t>(padded(p.c));
}
template <class Elem, class Args>
void pack(const Conv2dProblem& p, const Args& a, const Exec& exec) {
  const int64_t size = static_cast<int64_t>(padded(p.out)) * padded(p.c);
  SIMT_LAUNCH((gemm::pack_weights<Elem>), static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, a.weight,
              reinterpret_cast<Elem*>(exec.packed), size, p.out, p.c, 1, padded(p.c), false, false);
}

// Each row the bias, whose padding is zero.
template <class Elem>
__global__ void __launch_bounds__(256) fill_rows(Elem* y, const float* bias, int64_t size, int channels) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i < size) put(y + i, bias[i % channels]);
}

template <class Elem>
void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  if (a.bias != nullptr) {
    const int64_t size = rows_of(p) * padded(p.out);
    SIMT_LAUNCH((fill_rows<Elem>), static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, static_cast<Elem*>(a.y), a.bias, size,
                padded(p.out));
  }
  cublas_multiply(forward_product<Elem>(p), exec.packed, a.x, a.bias == nullptr ? nullptr : a.y, a.y, exec);
}

template <class Elem>
void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  cublas_multiply(data_product<Elem>(p), exec.packed, a.dy, a.add, a.dx, exec);
}

// The bias's sums reuse the memory.
template <class Elem>
size_t weight_workspace(const Conv2dProblem& p) {
  const size_t product = cublas_workspace(weight_product<Elem>(p)), bias = column_sums_workspace(rows_of(p), p.out);
  return product > bias ? product : bias;
}
template <class Elem>
void backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  cublas_multiply(weight_product<Elem>(p), a.x, a.dy, nullptr, a.dweight, exec);
  if (a.dbias != nullptr) bias_gradient<Elem>(a.dy, {}, rows_of(p), p.out, a.dbias, exec);
}

template <class Elem>
constexpr Conv2dForward kForward{"cublas",     refuse<forward_product<Elem>>, workspace<forward_product<Elem>>, nullptr, forward<Elem>,
                                 packed<Elem>, pack<Elem, Conv2dForwardArgs>};
template <class Elem>
constexpr Conv2dBackwardData kBackwardData{
    "cublas",     refuse<data_product<Elem>>,        workspace<data_product<Elem>>, nullptr, backward_data<Elem>,
    packed<Elem>, pack<Elem, Conv2dBackwardDataArgs>};
template <class Elem>
constexpr Conv2dBackwardWeight kBackwardWeight{"cublas", refuse<weight_product<Elem>>, weight_workspace<Elem>, nullptr,
                                               backward_weight<Elem>};

}  // namespace

const Conv2dForward conv2d_forward_cublas_fp32 = kForward<float>, conv2d_forward_cublas_bf16 = kForward<bf16>;
const Conv2dBackwardData conv2d_backward_data_cublas_fp32 = kBackwardData<float>, conv2d_backward_data_cublas_bf16 = kBackwardData<bf16>;
const Conv2dBackwardWeight conv2d_backward_weight_cublas_fp32 = kBackwardWeight<float>,
                           conv2d_backward_weight_cublas_bf16 = kBackwardWeight<bf16>;

}  // namespace sknet::cuda
