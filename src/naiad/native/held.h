// The requests held by a worker that prepares beside `forward`: it answers some at a time, in order,
// and gets more before that.
#pragma once

#include <deque>
#include <string>

#include "task.h"

namespace naiad {

class Held {
 public:
  bool empty() const { return batch_.empty(); }

  // Oldest first. Refused ones no longer have a `request`.
  Batch& batch() { return batch_; }

  // Return the offset of `bytes` free bytes in the inbox.
  size_t room(size_t bytes) const {
    size_t at = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& piece : pieces_) {
        if (at < piece.end && piece.start < at + bytes) at = piece.end, moved = true;
      }
    }
    return at;
  }

  // Add a batch that occupies these bytes of the inbox.
  void add(Batch batch, size_t start, size_t end) {
    pieces_.push_back({start, end, batch.size()});
    for (auto& pending : batch) batch_.push_back(std::move(pending));
  }

  // Remove the first `count` requests, which are answered.
  Batch pop(int64_t count) {
    if (count < 1 || count > static_cast<int64_t>(batch_.size())) Reading::fail();
    auto end = batch_.begin() + count;
    Batch first(std::make_move_iterator(batch_.begin()), std::make_move_iterator(end));
    batch_.erase(batch_.begin(), end);
    for (size_t left = count; left;) {
      size_t some = std::min(left, pieces_.front().left);
      left -= some;
      if (!(pieces_.front().left -= some)) pieces_.pop_front();
    }
    return first;
  }

  // Return the end of the occupied bytes.
  size_t end() const {
    size_t end = 0;
    for (auto& piece : pieces_) end = std::max(end, piece.end);
    return end;
  }

 private:
  struct Piece {
    size_t start, end, left;  // `left` requests in it are unanswered
  };

  Batch batch_;
  std::deque<Piece> pieces_;
};

}  // namespace naiad
