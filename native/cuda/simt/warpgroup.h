// Tensor cores of compute capability 9.0, which four warps (a warpgroup) start together and which read their operands from shared memory.
// Compiled for other architectures, they end the kernel. Beside simt.h, whose rules hold.
//
// An operand's rows are 128 bytes long, 8 rows one behind the other (an atom, 1024-byte aligned); the 16-byte chunk c of row r lies at
// c ^ (r & 7). Along: rows are m or n, 64 elements of k a row, `stride` bytes from one atom to the next 8 rows. Across: rows are k, 64
// elements of m or n a row; `leading` bytes to the next 64 of these, `stride` bytes to the next 8 k.
//   SharedMatrix shared_matrix(start, leading, stride)   moved(matrix, bytes)
//   show_to_warpgroups()                  what this lane wrote to shared memory is meant for products; a barrier must follow
//   warpgroup_begin()                     before the first product of a group
//   warpgroup_multiply<kAcross>(d, a, b)  d[64 rows][64 or 128 columns] += a b, k = 16; bf16, fp32 sums. Lane 32 w + 4 g + t has of row
//                                         16 w + g + 8 i, columns 8 j + 2 t and the next, d[4 j + 2 i] and the next
//   warpgroup_commit()  warpgroup_wait<N>(d)   until at most the N latest groups are under way: before d is read or operands are
//   overwritten
#pragma once

#include "cuda/simt/simt.h"

#ifdef __CUDACC__
#include "cuda/simt/device_warpgroup.h"
#else
#include "cuda/simt/emulated/warpgroup.h"
#endif
