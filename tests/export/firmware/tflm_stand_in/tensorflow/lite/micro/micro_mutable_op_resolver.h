/* The methods of TFLM's MicroMutableOpResolver that register built-in operators, in a resolver that counts them. */
#ifndef TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_
#define TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

class MicroOpResolver {
  public:
    virtual ~MicroOpResolver() {}
    virtual unsigned count() const = 0;
};

#define POTSTILL_STAND_IN_METHODS(method)                                                                              \
    method(Abs) method(Add) method(AddN) method(ArgMax) method(ArgMin) method(AssignVariable) method(AveragePool2D)    \
    method(BatchMatMul) method(BatchToSpaceNd) method(BroadcastArgs) method(BroadcastTo) method(CallOnce) method(Cast) \
    method(Ceil) method(Concatenation) method(Conv2D) method(Cos) method(CumSum) method(DepthToSpace)                  \
    method(DepthwiseConv2D) method(Dequantize) method(Div) method(Elu) method(EmbeddingLookup) method(Equal)           \
    method(Exp) method(ExpandDims) method(Fill) method(Floor) method(FloorDiv) method(FloorMod) method(FullyConnected) \
    method(Gather) method(GatherNd) method(Greater) method(GreaterEqual) method(HardSwish) method(If)                  \
    method(L2Normalization) method(L2Pool2D) method(LeakyRelu) method(Less) method(LessEqual) method(Log)              \
    method(LogicalAnd) method(LogicalNot) method(LogicalOr) method(Logistic) method(LogSoftmax) method(Maximum)        \
    method(MaxPool2D) method(Mean) method(Minimum) method(MirrorPad) method(Mul) method(Neg) method(NotEqual)          \
    method(Pack) method(Pad) method(PadV2) method(Prelu) method(Quantize) method(ReadVariable) method(ReduceMax)       \
    method(Relu) method(Relu6) method(Reshape) method(ResizeBilinear) method(ResizeNearestNeighbor) method(Round)      \
    method(Rsqrt) method(SelectV2) method(Shape) method(Sin) method(Slice) method(Softmax) method(SpaceToBatchNd)      \
    method(SpaceToDepth) method(Split) method(SplitV) method(Sqrt) method(Square) method(SquaredDifference)            \
    method(Squeeze) method(StridedSlice) method(Sub) method(Sum) method(Svdf) method(Tanh) method(Transpose)           \
    method(TransposeConv) method(UnidirectionalSequenceLSTM) method(Unpack) method(VarHandle) method(While)            \
    method(ZerosLike)

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
  public:
#define POTSTILL_STAND_IN_METHOD(name) \
    TfLiteStatus Add##name() { return registered_++ < tOpCount ? kTfLiteOk : kTfLiteError; }
    POTSTILL_STAND_IN_METHODS(POTSTILL_STAND_IN_METHOD)
#undef POTSTILL_STAND_IN_METHOD
    unsigned count() const override { return registered_; }

  private:
    unsigned registered_ = 0;
};

}  // namespace tflite

#endif
