// Do two declarations of a C function agree in what crosses the call? For comparing own declarations of a vendor's interface with the real
// header: handles are pointers of other names there, enums are ints here.
#pragma once

#include <type_traits>

namespace sknet {

template <class A, class B>
constexpr bool passes_alike() {
  if constexpr (std::is_void_v<A> || std::is_void_v<B>) {
    return std::is_void_v<A> && std::is_void_v<B>;
  } else if constexpr (std::is_pointer_v<A> || std::is_pointer_v<B>) {
    return std::is_pointer_v<A> && std::is_pointer_v<B>;
  } else if constexpr (std::is_floating_point_v<A> || std::is_floating_point_v<B>) {
    return std::is_same_v<A, B>;
  } else if constexpr (std::is_class_v<A> || std::is_class_v<B>) {
    return std::is_class_v<A> && std::is_class_v<B> && sizeof(A) == sizeof(B) && alignof(A) == alignof(B);
  } else {
    return sizeof(A) == sizeof(B);
  }
}

template <class A, class B>
struct SameAbi : std::false_type {};

template <class RA, class... A, class RB, class... B>
  requires(sizeof...(A) == sizeof...(B))
struct SameAbi<RA (*)(A...), RB (*)(B...)> : std::bool_constant<passes_alike<RA, RB>() && (passes_alike<A, B>() && ...)> {};

}  // namespace sknet
