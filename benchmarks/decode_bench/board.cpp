// What a hand-written post-processor on a board does with a YOLO model's float NHWC heads: the best
// class of each cell, the threshold as a logit, then sigmoid, DFL and NMS of what passes. The
// yardstick of the decode benchmark, so it is plain and without waste: heads are read once and in
// order, areas and covariances are worked out once a box, key points only for what survives.

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

enum Task { kDetect, kPose, kObb };

// The corners of an upright box; centre, sides and covariance of a turned one.
struct Candidate {
  float score;
  int class_id;
  int order;  // position among the anchor points: the earlier one first where scores are equal
  float box[4];
  float angle;
  float area;        // upright boxes only
  float a, b, c;     // turned boxes only: covariance (a c; c b)
  float determinant;
  const float * extra;
  float column, row, stride;
};

float sigmoid(float x) {return 1.0f / (1.0f + std::exp(-x));}

// The expectation of one side's distribution (DFL, arXiv 2006.04388).
float expected_bin(const float * bins, int reg_max)
{
  float sum = 0, moment = 0;
  for (int i = 0; i < reg_max; ++i) {
    const float weight = std::exp(bins[i]);
    sum += weight;
    moment += weight * i;
  }
  return moment / sum;
}

float iou(const Candidate & one, const Candidate & other)
{
  const float width = std::min(one.box[2], other.box[2]) - std::max(one.box[0], other.box[0]);
  const float height = std::min(one.box[3], other.box[3]) - std::max(one.box[1], other.box[1]);
  if (width <= 0 || height <= 0) {
    return 0;
  }
  const float both = width * height;
  return both / (one.area + other.area - both);
}

// 1 - the Hellinger distance of the boxes' Gaussians (arXiv 2106.06072), upstream's epsilons.
float probiou(const Candidate & one, const Candidate & other)
{
  const float eps = 1e-7f;
  const float a = one.a + other.a, b = one.b + other.b, c = one.c + other.c;
  const float dx = one.box[0] - other.box[0], dy = one.box[1] - other.box[1];
  const float determinant = a * b - c * c;
  const float near = (a * dy * dy + b * dx * dx - 2 * c * dx * dy) * 0.25f / (determinant + eps);
  if (near > 5) {  // the overlap is below 0.004, whatever the shapes
    return 0;
  }
  const float shape = 0.5f * std::log(
    determinant / (4 * std::sqrt(one.determinant * other.determinant) + eps) + eps);
  const float distance = std::min(std::max(near + shape, eps), 100.0f);
  return 1 - std::sqrt(1 - std::exp(-distance) + eps);
}

void place_upright(Candidate & one, const float * sides)
{
  one.box[0] = (one.column + 0.5f - sides[0]) * one.stride;
  one.box[1] = (one.row + 0.5f - sides[1]) * one.stride;
  one.box[2] = (one.column + 0.5f + sides[2]) * one.stride;
  one.box[3] = (one.row + 0.5f + sides[3]) * one.stride;
  one.area = (one.box[2] - one.box[0]) * (one.box[3] - one.box[1]);
}

void place_turned(Candidate & one, const float * sides)
{
  one.angle = (sigmoid(one.extra[0]) - 0.25f) * 3.14159265f;
  const float cosine = std::cos(one.angle), sine = std::sin(one.angle);
  const float right = (sides[2] - sides[0]) / 2, down = (sides[3] - sides[1]) / 2;
  one.box[0] = (one.column + 0.5f + right * cosine - down * sine) * one.stride;
  one.box[1] = (one.row + 0.5f + right * sine + down * cosine) * one.stride;
  one.box[2] = (sides[0] + sides[2]) * one.stride;
  one.box[3] = (sides[1] + sides[3]) * one.stride;
  const float along = one.box[2] * one.box[2] / 12, across = one.box[3] * one.box[3] / 12;
  one.a = along * cosine * cosine + across * sine * sine;
  one.b = along * sine * sine + across * cosine * cosine;
  one.c = (along - across) * cosine * sine;
  one.determinant = std::max(one.a * one.b - one.c * one.c, 0.0f);
}

bool better(const Candidate & one, const Candidate & other)
{
  return one.score != other.score ? one.score > other.score : one.order < other.order;
}

}  // namespace

extern "C" {

// The ctypes structures of board.py have the same fields.
struct Level
{
  const float * classes;  // (height, width, class_num) logits
  const float * boxes;    // (height, width, 4 * reg_max)
  const float * extra;    // (height, width, 3 * key points), (height, width, 1) angles, or null
  int height, width, stride;
};

struct Frame
{
  const Level * levels;
  int level_num, task, class_num, reg_max, num_keypoints;
  float score_threshold, iou_threshold;
  float left, top, scale_x, scale_y, source_width, source_height;  // the letterbox
  int limit;                                                       // instances in the result
  float * boxes;      // (limit, 4) x1 y1 x2 y2; turned: x y w h
  float * scores;     // (limit,)
  int * class_ids;    // (limit,)
  float * angles;     // (limit,), turned boxes only
  float * keypoints;  // (limit, key points, 3), pose only
};

int decode(const Frame * frame)
{
  const float limit = std::log(frame->score_threshold / (1 - frame->score_threshold));
  const int class_num = frame->class_num, reg_max = frame->reg_max;
  const int extra_num = frame->task == kPose ? 3 * frame->num_keypoints : 1;
  static thread_local std::vector<Candidate> found;  // keeps its memory from frame to frame
  found.clear();
  int order = 0;
  for (int i = 0; i < frame->level_num; ++i) {
    const Level & level = frame->levels[i];
    const float * classes = level.classes;
    for (int row = 0; row < level.height; ++row) {
      for (int column = 0; column < level.width; ++column, ++order, classes += class_num) {
        int class_id = 0;
        float best = classes[0];
        for (int c = 1; c < class_num; ++c) {
          if (classes[c] > best) {
            best = classes[c];
            class_id = c;
          }
        }
        if (best <= limit) {
          continue;
        }
        const int cell = row * level.width + column;
        Candidate one;
        one.score = sigmoid(best);
        one.class_id = class_id;
        one.order = order;
        one.column = column;
        one.row = row;
        one.stride = level.stride;
        one.extra = level.extra ? level.extra + cell * extra_num : nullptr;
        float sides[4];
        for (int side = 0; side < 4; ++side) {
          sides[side] = expected_bin(level.boxes + (cell * 4 + side) * reg_max, reg_max);
        }
        if (frame->task == kObb) {
          place_turned(one, sides);
        } else {
          place_upright(one, sides);
        }
        found.push_back(one);
      }
    }
  }

  // Class by class, best first. Upright boxes: a box goes if one that was kept overlaps it too
  // much. Turned boxes, upstream's rule: if any better one does, kept or not.
  static thread_local std::vector<const Candidate *> sorted, kept;
  sorted.clear();
  kept.clear();
  for (const Candidate & one : found) {
    sorted.push_back(&one);
  }
  std::sort(
    sorted.begin(), sorted.end(), [](const Candidate * one, const Candidate * other) {
      return one->class_id != other->class_id ? one->class_id < other->class_id :
             better(*one, *other);
    });
  size_t first_sorted = 0, first_kept = 0;  // where the class begins
  for (size_t i = 0; i < sorted.size(); ++i) {
    const Candidate & one = *sorted[i];
    if (sorted[first_sorted]->class_id != one.class_id) {
      first_sorted = i;
      first_kept = kept.size();
    }
    bool survives = true;
    if (frame->task == kObb) {
      for (size_t j = first_sorted; j < i && survives; ++j) {
        survives = probiou(*sorted[j], one) < frame->iou_threshold;
      }
    } else {
      for (size_t j = first_kept; j < kept.size() && survives; ++j) {
        survives = iou(*kept[j], one) <= frame->iou_threshold;
      }
    }
    if (survives) {
      kept.push_back(&one);
    }
  }
  std::sort(
    kept.begin(), kept.end(), [](const Candidate * one, const Candidate * other) {
      return better(*one, *other);
    });

  const int count = std::min<int>(kept.size(), frame->limit);
  for (int i = 0; i < count; ++i) {
    const Candidate & one = *kept[i];
    frame->scores[i] = one.score;
    frame->class_ids[i] = one.class_id;
    float * box = frame->boxes + 4 * i;
    if (frame->task == kObb) {
      box[0] = (one.box[0] - frame->left) / frame->scale_x;
      box[1] = (one.box[1] - frame->top) / frame->scale_y;
      box[2] = one.box[2] / frame->scale_x;
      box[3] = one.box[3] / frame->scale_y;
      frame->angles[i] = one.angle;
      continue;
    }
    for (int corner = 0; corner < 4; corner += 2) {
      const float x = (one.box[corner] - frame->left) / frame->scale_x;
      const float y = (one.box[corner + 1] - frame->top) / frame->scale_y;
      box[corner] = std::min(std::max(x, 0.0f), frame->source_width);
      box[corner + 1] = std::min(std::max(y, 0.0f), frame->source_height);
    }
    for (int k = 0; frame->task == kPose && k < frame->num_keypoints; ++k) {
      const float * stored = one.extra + 3 * k;
      float * point = frame->keypoints + 3 * (i * frame->num_keypoints + k);
      point[0] = ((stored[0] * 2 + one.column) * one.stride - frame->left) / frame->scale_x;
      point[1] = ((stored[1] * 2 + one.row) * one.stride - frame->top) / frame->scale_y;
      point[2] = sigmoid(stored[2]);
    }
  }
  return count;
}

}  // extern "C"
