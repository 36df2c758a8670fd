/*
 * The part of the published libdnn interface (RDK X3 and X5) that the stand-in implements.
 *
 * Written from the vendor's documentation of the structures and functions (RDK documentation,
 * "C/C++ DNN API": data structures, model, memory, inference and debugging pages).
 */
#ifndef STAND_IN_HB_ABI_H_
#define STAND_IN_HB_ABI_H_

#include <stddef.h>
#include <stdint.h>

#define HB_MAX_DIMENSIONS 8

enum { HB_LAYOUT_NHWC = 0, HB_LAYOUT_NCHW = 2, HB_LAYOUT_NONE = 255 };
enum { HB_TYPE_NV12 = 1, HB_TYPE_NV12_SEPARATE = 2 };
enum { HB_INVALIDATE = 1, HB_CLEAN = 2 };

enum {
  HB_OK = 0,
  HB_DNN_INVALID_ARGUMENT = -6000001,
  HB_DNN_INVALID_MODEL = -6000002,
  HB_DNN_INVALID_PACKED_DNN_HANDLE = -6000004,
  HB_DNN_INVALID_DNN_HANDLE = -6000005,
  HB_DNN_CAN_NOT_OPEN_FILE = -6000006,
  HB_DNN_OUT_OF_MEMORY = -6000007,
  HB_DNN_TIMEOUT = -6000008,
  HB_DNN_TASK_NUM_EXCEED_LIMIT = -6000009,
  HB_DNN_INVALID_TASK_HANDLE = -6000011,
  HB_DNN_RUN_TASK_FAILED = -6000012,
  HB_DNN_MODEL_IS_RUNNING = -6000013,
  HB_DNN_API_USE_ERROR = -6000015,
  HB_SYS_INVALID_ARGUMENT = -6000129,
  HB_SYS_OUT_OF_MEMORY = -6000130,
};

typedef void *hbPackedDNNHandle_t;
typedef void *hbDNNHandle_t;
typedef void *hbDNNTaskHandle_t;

typedef struct {
  uint64_t phyAddr;
  void *virAddr;
  uint32_t memSize;
} hbSysMem;

typedef struct {
  int32_t dimensionSize[HB_MAX_DIMENSIONS];
  int32_t numDimensions;
} hbDNNTensorShape;

typedef struct {
  int32_t shiftLen;
  uint8_t *shiftData;
} hbDNNQuantiShift;

typedef struct {
  int32_t scaleLen;
  float *scaleData;
  int32_t zeroPointLen;
  int8_t *zeroPointData;
} hbDNNQuantiScale;

typedef struct {
  hbDNNTensorShape validShape;
  hbDNNTensorShape alignedShape;
  int32_t tensorLayout;
  int32_t tensorType;
  hbDNNQuantiShift shift;
  hbDNNQuantiScale scale;
  int32_t quantiType;
  int32_t quantizeAxis;
  int32_t alignedByteSize;
  int32_t stride[HB_MAX_DIMENSIONS];
} hbDNNTensorProperties;

typedef struct {
  hbSysMem sysMem[4];
  hbDNNTensorProperties properties;
} hbDNNTensor;

typedef struct {
  int32_t bpuCoreId;
  int32_t dspCoreId;
  int32_t priority;
  int32_t more;
  int64_t customId;
  int32_t reserved1;
  int32_t reserved2;
} hbDNNInferCtrlParam;

/* Worked out by hand for LP64 with natural alignment: 64-bit Arm Linux, as x86-64 Linux. */
_Static_assert(sizeof(void *) == 8, "the boards are LP64");
_Static_assert(sizeof(hbSysMem) == 24, "hbSysMem");
_Static_assert(offsetof(hbSysMem, virAddr) == 8, "hbSysMem.virAddr");
_Static_assert(offsetof(hbSysMem, memSize) == 16, "hbSysMem.memSize");
_Static_assert(sizeof(hbDNNTensorShape) == 36, "hbDNNTensorShape");
_Static_assert(offsetof(hbDNNTensorShape, numDimensions) == 32, "numDimensions");
_Static_assert(sizeof(hbDNNQuantiShift) == 16, "hbDNNQuantiShift");
_Static_assert(sizeof(hbDNNQuantiScale) == 32, "hbDNNQuantiScale");
_Static_assert(offsetof(hbDNNQuantiScale, zeroPointData) == 24, "zeroPointData");
_Static_assert(sizeof(hbDNNTensorProperties) == 176, "hbDNNTensorProperties");
_Static_assert(offsetof(hbDNNTensorProperties, alignedShape) == 36, "alignedShape");
_Static_assert(offsetof(hbDNNTensorProperties, tensorLayout) == 72, "tensorLayout");
_Static_assert(offsetof(hbDNNTensorProperties, tensorType) == 76, "tensorType");
_Static_assert(offsetof(hbDNNTensorProperties, shift) == 80, "shift");
_Static_assert(offsetof(hbDNNTensorProperties, scale) == 96, "scale");
_Static_assert(offsetof(hbDNNTensorProperties, quantiType) == 128, "quantiType");
_Static_assert(offsetof(hbDNNTensorProperties, quantizeAxis) == 132, "quantizeAxis");
_Static_assert(offsetof(hbDNNTensorProperties, alignedByteSize) == 136, "alignedByteSize");
_Static_assert(offsetof(hbDNNTensorProperties, stride) == 140, "stride");
_Static_assert(sizeof(hbDNNTensor) == 272, "hbDNNTensor");
_Static_assert(offsetof(hbDNNTensor, properties) == 96, "hbDNNTensor.properties");
_Static_assert(sizeof(hbDNNInferCtrlParam) == 32, "hbDNNInferCtrlParam");
_Static_assert(offsetof(hbDNNInferCtrlParam, customId) == 16, "customId");

#endif /* STAND_IN_HB_ABI_H_ */
