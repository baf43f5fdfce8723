// The gradients of the weights of grouped convolutions. A block keeps the sums of its jobs, (branch, tap, part of the input) by channels of
// output and input, in registers while it goes through one chunk of the tiles; the chunks' sums are added in order, in float64, by a second
// kernel that writes OIHW.
#pragma once

#include "core/exec.h"
#include "cuda/grouped_fill.h"
#include "cuda/grouped_multiply.h"
#include "cuda/launch.h"

namespace sknet::cuda {

struct GroupedReducePlan {
  int first_job[kMaxBranches + 1];  // of a branch; the last: all
  int tiles, chunks, chunk;         // tiles of one chunk
  int jobs_each, job_blocks;        // of a block
  int slabs;
};

// Jobs a warp (bfloat16) or lane (float32) keeps.
template <class Elem>
__host__ __device__ constexpr int kept_jobs(int slabs) {
  return sizeof(Elem) == 4 ? 1 : slabs == 1 ? 3 : 5;
}
// Jobs of a block: in bfloat16 the warps of a slab share them, in float32 the lanes of a quad.
template <class Elem>
constexpr int block_jobs(int slabs) {
  return sizeof(Elem) == 4 ? 256 / (4 * slabs) : kept_jobs<Elem>(slabs) * 8 / slabs;
}

// The input's tile with what the taps read, and the branches' gradients.
template <class Elem>
int grouped_reduce_shared(const GroupedPlan& g, int slabs) {
  return (g.span() + g.branches * kTileH * g.tile_w) * pixel_pitch<Elem>(slabs);
}

template <class Elem>
GroupedReducePlan grouped_reduce_plan(const GroupedPlan& g, int slabs) {
  constexpr int kBlocks = 264;  // two blocks on each of an H100's processors; the same everywhere, so that the sums are
  GroupedReducePlan r{};
  r.slabs = slabs;
  if (slabs == 0) return r;
  for (int m = 0; m < g.branches; ++m) r.first_job[m + 1] = r.first_job[m] + g.kernel[m] * g.kernel[m] * parts_of<Elem>(g.width);
  for (int m = g.branches; m < kMaxBranches; ++m) r.first_job[m + 1] = r.first_job[m];
  r.tiles = g.tiles();
  r.jobs_each = block_jobs<Elem>(r.slabs);
  r.job_blocks = ceil_div(r.first_job[kMaxBranches], r.jobs_each);
  const int others = ceil_div(g.channels, r.slabs * kSlab) * r.job_blocks, wanted = kBlocks / others > 0 ? kBlocks / others : 1;
  r.chunk = ceil_div(r.tiles, wanted);
  r.chunks = ceil_div(r.tiles, r.chunk);
  return r;
}

template <class Elem>
GroupedReducePlan grouped_reduce_plan(const GroupedPlan& g) {
  return grouped_reduce_plan<Elem>(g, choose_slabs(g, 2, [&](int slabs) { return grouped_reduce_shared<Elem>(g, slabs); }));
}

// Floats of one chunk: [part of the output][job][kPart * kPart].
template <class Elem>
__host__ __device__ int64_t chunk_floats(const GroupedPlan& g, const GroupedReducePlan& r) {
  return static_cast<int64_t>(ceil_div(g.channels, kPart<Elem>)) * r.first_job[kMaxBranches] * kPart<Elem> * kPart<Elem>;
}

// Branch of a job, and where the input that it meets lies, in bytes from the tile's first pixel, in one number for want of registers.
constexpr int kBranchShift = 24;
template <class Elem>
__device__ __forceinline__ int job_of(const GroupedPlan& g, const GroupedReducePlan& r, int job, int pitch) {
  int m = 0;
  while (m + 1 < g.branches && job >= r.first_job[m + 1]) ++m;
  const int parts = parts_of<Elem>(g.width), step = job - r.first_job[m], tap = step / parts, part = step % parts;
  const ConvAxis &h = g.h[m][0], &w = g.w[m][0];
  const int row = h.base - g.low_h[0] + tap / g.kernel[m] * h.reach, col = w.base - g.low_w[0] + tap % g.kernel[m] * w.reach;
  return m << kBranchShift | ((row * g.span_w + col) * pitch + part * kPart<Elem> * static_cast<int>(sizeof(Elem)));
}

template <class Elem, int kSlabs>
struct GroupedReduce;

template <int kSlabs>
struct GroupedReduce<bf16, kSlabs> {
  static constexpr int kJobs = kept_jobs<bf16>(kSlabs), kPitchBytes = pixel_pitch<bf16>(kSlabs);
  float sum[kJobs][2][4] = {};
  int job[kJobs];

  __device__ __forceinline__ static int slab() { return (static_cast<int>(threadIdx.x) >> 5) % kSlabs; }
  __device__ __forceinline__ static int first_job(const GroupedReducePlan& r, int block) {
    return block * r.jobs_each + (static_cast<int>(threadIdx.x) >> 5) / kSlabs * kJobs;
  }
  __device__ __forceinline__ GroupedReduce(const GroupedPlan& g, const GroupedReducePlan& r, int block) {
#pragma unroll
    for (int j = 0; j < kJobs; ++j) {
      const int number = first_job(r, block) + j, last = r.first_job[kMaxBranches] - 1;
      job[j] = job_of<bf16>(g, r, number < last ? number : last, kPitchBytes);
    }
  }
  // du: the first pixel of the first branch's gradient, `du_w` pixels a row, `du_apart` bytes between branches.
  __device__ __forceinline__ void tile(const GroupedPlan& g, const char* x, const char* du, int du_w, int du_apart) {
    const int lane = static_cast<int>(threadIdx.x) & 31, parts = parts_of<bf16>(g.width), across = g.tile_w / kPatchW,
              step = g.h[0][0].step;
    const int patches = kTileH / 2 * across;
    // A: rows of memory are pixels, columns channels of output; B: the same of input; both are transposed on the way.
    const int a_pixel = (lane & 7) + (lane >> 4) * 8, b_pixel = (lane & 7) + (lane >> 3 & 1) * 8;
    const char* a_from = du + slab() * kSlab * 2 + (lane >> 3 & 1) * 16;
    const char* b_from = x + slab() / parts * parts * kSlab * 2 + (lane >> 4) * 16;
    for (int patch = 0; patch < patches; ++patch) {
      const int y = patch / across * 2, px = patch % across * kPatchW;
      const char* a_at = a_from + ((y + (a_pixel >> 3)) * du_w + px + (a_pixel & 7)) * kPitchBytes;
      const char* b_at = b_from + ((y + (b_pixel >> 3)) * step * g.span_w + (px + (b_pixel & 7)) * step) * kPitchBytes;
      int branch = -1;
      uint32_t a[4];
#pragma unroll
      for (int j = 0; j < kJobs; ++j) {
        if (job[j] >> kBranchShift != branch) {
          branch = job[j] >> kBranchShift;
          ldmatrix_x4_trans(a, a_at + branch * du_apart);
        }
        uint32_t b[4];
        ldmatrix_x4_trans(b, b_at + (job[j] & ((1 << kBranchShift) - 1)));
        const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
        mma_16816(sum[j][0], a, left);
        mma_16816(sum[j][1], a, right);
      }
    }
  }
  __device__ __forceinline__ void write(const GroupedPlan& g, const GroupedReducePlan& r, int block, int c0, float* partial) const {
    const int lane = static_cast<int>(threadIdx.x) & 31, jobs = r.first_job[kMaxBranches];
    const int block_slab = c0 / kSlab + slab(), first = first_job(r, block);
    if (block_slab * kSlab >= g.channels) return;
#pragma unroll
    for (int j = 0; j < kJobs; ++j) {
      if (first + j >= jobs) continue;
      float* to = partial + (static_cast<int64_t>(block_slab) * jobs + first + j) * kSlab * kSlab + (lane >> 2) * kSlab + (lane & 3) * 2;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        *reinterpret_cast<float2*>(to + half * 8) = float2{sum[j][half][0], sum[j][half][1]};
        *reinterpret_cast<float2*>(to + half * 8 + 8 * kSlab) = float2{sum[j][half][2], sum[j][half][3]};
      }
    }
  }
};

// A lane has one quad and one job.
template <int kSlabs>
struct GroupedReduce<float, kSlabs> {
  static constexpr int kQuads = kSlabs * 4, kPitchBytes = pixel_pitch<float>(kSlabs);
  float sum[4][4] = {};
  int job;

  __device__ __forceinline__ static int quad() { return static_cast<int>(threadIdx.x) % kQuads; }
  __device__ __forceinline__ static int job_number(const GroupedReducePlan& r, int block) {
    return block * r.jobs_each + static_cast<int>(threadIdx.x) / kQuads;
  }
  __device__ __forceinline__ GroupedReduce(const GroupedPlan& g, const GroupedReducePlan& r, int block) {
    const int number = job_number(r, block), last = r.first_job[kMaxBranches] - 1;
    job = job_of<float>(g, r, number < last ? number : last, kPitchBytes);
  }
  __device__ __forceinline__ void tile(const GroupedPlan& g, const char* x, const char* du, int du_w, int du_apart) {
    const int parts = parts_of<float>(g.width), step = g.h[0][0].step;
    const char* a_from = du + (job >> kBranchShift) * du_apart + quad() * 16;
    const char* b_from = x + (job & ((1 << kBranchShift) - 1)) + quad() / parts * parts * 16;
    for (int y = 0; y < kTileH; ++y) {
      const char *a_at = a_from + y * du_w * kPitchBytes, *b_at = b_from + y * step * g.span_w * kPitchBytes;
      for (int col = 0; col < g.tile_w; ++col, a_at += kPitchBytes, b_at += step * kPitchBytes) {
        float a[4], b[4];
        load_chunk(reinterpret_cast<const float*>(a_at), a);
        load_chunk(reinterpret_cast<const float*>(b_at), b);
#pragma unroll
        for (int o = 0; o < 4; ++o) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sum[o][i] += a[o] * b[i];
        }
      }
    }
  }
  __device__ __forceinline__ void write(const GroupedPlan& g, const GroupedReducePlan& r, int block, int c0, float* partial) const {
    const int jobs = r.first_job[kMaxBranches], block_quad = c0 / 4 + quad(), number = job_number(r, block);
    if (block_quad * 4 >= g.channels || number >= jobs) return;
    float* to = partial + (static_cast<int64_t>(block_quad) * jobs + number) * 16;
#pragma unroll
    for (int o = 0; o < 4; ++o) store_chunk(to + o * 4, sum[o]);
  }
};

template <class Elem, int kSlabs, class X, class Gradient>
__global__ void __launch_bounds__(256, 2)
    grouped_reduce(const __grid_constant__ GroupedPlan g, const __grid_constant__ GroupedReducePlan r, const __grid_constant__ X x,
                   const __grid_constant__ Gradient gradient, float* partial) {
  constexpr int kWidth = kSlabs * kSlab, kPitchBytes = pixel_pitch<Elem>(kSlabs);
  SIMT_DYN_SHARED(char, shared);
  const int c0 = static_cast<int>(blockIdx.x) * kWidth, chunk = static_cast<int>(blockIdx.y), out_pixels = kTileH * g.tile_w;
  const ConvAxis &h = g.h[0][0], &w = g.w[0][0];
  char* du = shared + g.span_h * g.span_w * kPitchBytes;
  GroupedReduce<Elem, kSlabs> product(g, r, static_cast<int>(blockIdx.z));
  for (int tile = chunk * r.chunk; tile < (chunk + 1) * r.chunk && tile < r.tiles; ++tile) {
    const TilePlace place = tile_place(g, tile);
    __syncthreads();
    fill_tile<Elem, kSlabs, 4, 3>(x, 0, place.image, c0, g.channels, g.source_h, g.source_w, place.row * h.step + g.low_h[0],
                                  place.col * w.step + g.low_w[0], g.span_h * g.span_w, g.span_w, g.by_span_w, shared);
    for (int m = 0; m < g.branches; ++m) {
      fill_tile<Elem, kSlabs, 4, 3>(gradient, m, place.image, c0, g.channels, g.out_h, g.out_w, place.row, place.col, out_pixels, g.tile_w,
                                    g.by_tile_w, du + m * out_pixels * kPitchBytes);
    }
    cp_async_wait<0>();
    __syncthreads();
    product.tile(g, shared, du, g.tile_w, out_pixels * kPitchBytes);
  }
  product.write(g, r, static_cast<int>(blockIdx.z), c0, partial + chunk * chunk_floats<Elem>(g, r));
}

// dweight of branch m, OIHW, one lane an element.
template <class Elem>
__global__ void __launch_bounds__(256)
    add_grouped_chunks(const float* partial, const __grid_constant__ GroupedPlan g, const __grid_constant__ GroupedReducePlan r, int m,
                       int64_t size, float* dweight) {
  constexpr int kSide = kPart<Elem>;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= size) return;
  const int taps = g.kernel[m] * g.kernel[m], tap = static_cast<int>(i % taps), within = static_cast<int>(i / taps % g.width);
  const int o = static_cast<int>(i / taps / g.width), in = o / g.width * g.width + within, parts = parts_of<Elem>(g.width);
  const int part = in / kSide - o / kSide / parts * parts, job = r.first_job[m] + tap * parts + part;
  const float* from =
      partial + (static_cast<int64_t>(o / kSide) * r.first_job[kMaxBranches] + job) * kSide * kSide + o % kSide * kSide + in % kSide;
  const int64_t apart = chunk_floats<Elem>(g, r);
  double sum = 0;
  for (int chunk = 0; chunk < r.chunks; ++chunk) sum += from[chunk * apart];
  dweight[i] = static_cast<float>(sum);
}

template <class Elem>
size_t grouped_reduce_bytes(const GroupedPlan& g, const GroupedReducePlan& r) {
  return sizeof(float) * static_cast<size_t>(r.chunks * chunk_floats<Elem>(g, r));
}

// out: unpadded channels.
template <class Elem>
void launch_add_chunks(const GroupedPlan& g, const GroupedReducePlan& r, int out, float* const* dweight, const float* partial,
                       const Exec& exec) {
  for (int m = 0; m < g.branches; ++m) {
    const int64_t size = static_cast<int64_t>(out) * g.width * g.kernel[m] * g.kernel[m];
    SIMT_LAUNCH((add_grouped_chunks<Elem>), static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, partial, g, r, m, size,
                dweight[m]);
  }
}

template <class Elem, int kSlabs, class X, class Gradient>
void launch_reduce_slabs(const GroupedPlan& g, const GroupedReducePlan& r, const X& x, const Gradient& gradient, float* partial,
                         const Exec& exec) {
  allow_shared(grouped_reduce<Elem, kSlabs, X, Gradient>, kMostShared);
  SIMT_LAUNCH((grouped_reduce<Elem, kSlabs, X, Gradient>), dim3(ceil_div(g.channels, kSlabs * kSlab), r.chunks, r.job_blocks), 256,
              grouped_reduce_shared<Elem>(g, kSlabs), exec.stream, g, r, x, gradient, partial);
}

// partial: grouped_reduce_bytes().
template <class Elem, class X, class Gradient>
void launch_grouped_reduce(const GroupedPlan& g, int out, const X& x, const Gradient& gradient, float* const* dweight, float* partial,
                           const Exec& exec) {
  const GroupedReducePlan r = grouped_reduce_plan<Elem>(g);
  switch (r.slabs) {
    case 4:
      launch_reduce_slabs<Elem, 4>(g, r, x, gradient, partial, exec);
      break;
    case 2:
      launch_reduce_slabs<Elem, 2>(g, r, x, gradient, partial, exec);
      break;
    default:
      launch_reduce_slabs<Elem, 1>(g, r, x, gradient, partial, exec);
  }
  launch_add_chunks<Elem>(g, r, out, dweight, partial, exec);
}

}  // namespace sknet::cuda
