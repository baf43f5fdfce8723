#include "data/decode_png.h"

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/error.h"
#include "data/decode.h"

namespace sknet::data {

namespace {

// Text and profile chunks can be compressed bombs too; pictures need none of them.
constexpr png_alloc_size_t kMaxChunkBytes = 8 << 20;

struct Reader {
  const uint8_t* data;
  size_t size;
  size_t position;
  char message[128];
};

void on_error(png_structp png, png_const_charp message) {
  auto* reader = static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader->message, sizeof(reader->message), "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep target, png_size_t count) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (count > reader->size - reader->position) png_error(png, "the file ends too early");
  std::memcpy(target, reader->data + reader->position, count);
  reader->position += count;
}

class Decoder {
 public:
  explicit Decoder(std::span<const uint8_t> bytes) : reader_{bytes.data(), bytes.size(), 0, {}} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void read_header() {
    guarded([&] {
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_set_chunk_malloc_max(png_, kMaxChunkBytes);
      png_set_read_fn(png_, &reader_, on_read);
      png_read_info(png_, info_);
    });
  }

  void read_pixels(int64_t max_pixels, Image& out) {
    const png_uint_32 width = png_get_image_width(png_, info_);
    const png_uint_32 height = png_get_image_height(png_, info_);
    check_pixels(width, height, max_pixels);
    out.resize(static_cast<int>(width), static_cast<int>(height));
    uint8_t* const pixels = out.rgb.data();
    guarded([&] {
      const int color = png_get_color_type(png_, info_);
      if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
      if ((color & PNG_COLOR_MASK_COLOR) == 0) {
        if (png_get_bit_depth(png_, info_) < 8) png_set_expand_gray_1_2_4_to_8(png_);
        png_set_gray_to_rgb(png_);
      }
      png_set_scale_16(png_);
      png_set_strip_alpha(png_);
      const int passes = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
      if (png_get_rowbytes(png_, info_) != static_cast<size_t>(width) * 3) png_error(png_, "unexpected row size");
      for (int pass = 0; pass < passes; ++pass) {
        for (png_uint_32 y = 0; y < height; ++y) png_read_row(png_, pixels + static_cast<size_t>(y) * width * 3, nullptr);
      }
      png_read_end(png_, nullptr);
    });
  }

 private:
  // libpng reports errors by longjmp: what `step` runs must own nothing that needs a destructor.
  template <class F>
  void guarded(const F& step) {
    if (setjmp(png_jmpbuf(png_)) == 0) {
      step();
      return;
    }
    throw Error("ERR_SKNET_DECODE", std::string("damaged PNG: ") + reader_.message)
        .with_got(reader_.message)
        .with_expected("an intact PNG");
  }

  Reader reader_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

void decode_png(std::span<const uint8_t> bytes, int64_t max_pixels, Image& out) {
  Decoder decoder(bytes);
  decoder.read_header();
  decoder.read_pixels(max_pixels, out);
}

}  // namespace sknet::data
