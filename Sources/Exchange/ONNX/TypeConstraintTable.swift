/// Element types that the operators of the default domain take, by version. Made by
/// `scripts/generate-type-constraints.py` from onnx 1.23.2, which also says how to
/// read a line.
let typeConstraintTable = """
  Abs 6 a>a a=3cfe
  Abs 13 a>a a=13cfe
  Acos 7 a>a a=c02
  Acos 22 a>a a=10c02
  Acosh 9 a>a a=c02
  Acosh 22 a>a a=10c02
  Add 7 aa>a a=3cc2
  Add 13 aa>a a=13cc2
  Add 14 aa>a a=13cfe
  AffineGrid 20 ab>a a=10c02 b=80
  And 7 aa>b a=200 b=200
  ArgMax 1 a>b a=3cfe b=80
  ArgMax 13 a>b a=13cfe b=80
  ArgMin 1 a>b a=3cfe b=80
  ArgMin 13 a>b a=13cfe b=80
  Asin 7 a>a a=c02
  Asin 22 a>a a=10c02
  Asinh 9 a>a a=c02
  Asinh 22 a>a a=10c02
  Atan 7 a>a a=c02
  Atan 22 a>a a=10c02
  Atanh 9 a>a a=c02
  Atanh 22 a>a a=10c02
  Attention 23 aabcab>aaba a=10c02 b=10c02 c=13efe
  Attention 24 aabcabd>aaba a=10c02 b=10c02 c=13efe d=80
  AveragePool 7 a>a a=c02
  AveragePool 22 a>a a=10c02
  BatchNormalization 7 aaaaa>aaaaa a=c02
  BatchNormalization 14 aaabb>abb a=10c02 b=10c02
  BatchNormalization 15 abbcc>acc a=10c02 b=10c02 c=10c02
  Bernoulli 15 a>b a=c02 b=13efe
  Bernoulli 22 a>b a=10c02 b=13efe
  BitCast 26 a>b a=7fffefe b=7fffefe
  BitShift 11 aa>a a=3014
  BitShift 28 aa>a a=30fc
  BitwiseAnd 18 aa>a a=30fc
  BitwiseNot 18 a>a a=30fc
  BitwiseOr 18 aa>a a=30fc
  BitwiseXor 18 aa>a a=30fc
  BlackmanWindow 17 a>b a=c0 b=13cfe
  Cast 6 a>b a=3efe b=3efe
  Cast 9 a>b a=3ffe b=3ffe
  Cast 13 a>b a=13ffe b=13ffe
  Cast 19 a>b a=1f3ffe b=1f3ffe
  Cast 21 a>b a=7f3ffe b=7f3ffe
  Cast 23 a>b a=ff3ffe b=ff3ffe
  Cast 24 a>b a=1ff3ffe b=1ff3ffe
  Cast 25 a>b a=7ff3ffe b=7ff3ffe
  Cast 28 a>b a=1fff3ffe b=1fff3ffe
  CastLike 15 ab>b a=13ffe b=13ffe
  CastLike 19 ab>b a=1f3ffe b=1f3ffe
  CastLike 21 ab>b a=7f3ffe b=7f3ffe
  CastLike 23 ab>b a=ff3ffe b=ff3ffe
  CastLike 24 ab>b a=1ff3ffe b=1ff3ffe
  CastLike 25 ab>b a=7ff3ffe b=7ff3ffe
  CausalConvWithState 27 aaaa>aa a=10402
  Ceil 6 a>a a=c02
  Ceil 13 a>a a=10c02
  Celu 12 a>a a=2
  Celu 28 a>a a=10c02
  CenterCropPad 18 ab>a a=1fffe b=c0
  Clip 6 a>a a=c02
  Clip 11 aaa>a a=c02
  Clip 12 aaa>a a=3cfe
  Clip 13 aaa>a a=13cfe
  Col2Im 18 abb>a a=1fffe b=80
  Compress 9 ab>a a=fffe b=200
  Compress 28 ab>a a=1fffe b=200
  Concat 4 a*>a a=fffe
  Concat 13 a*>a a=1fffe
  ConcatFromSequence 11 a>b a=20000000 b=fffe
  Constant 1 >a a=c02
  Constant 9 >a a=fffe
  Constant 13 >a a=1fffe
  Constant 19 >a a=1ffffe
  Constant 21 >a a=7ffffe
  Constant 23 >a a=fffffe
  Constant 24 >a a=1fffffe
  Constant 25 >a a=7fffffe
  ConstantOfShape 9 a>b a=80 b=3efe
  ConstantOfShape 20 a>b a=80 b=1f3efe
  ConstantOfShape 21 a>b a=80 b=7f3efe
  ConstantOfShape 23 a>b a=80 b=ff3efe
  ConstantOfShape 24 a>b a=80 b=1ff3efe
  ConstantOfShape 25 a>b a=80 b=7ff3efe
  Conv 1 aaa>a a=c02
  Conv 22 aaa>a a=10c02
  ConvInteger 10 abab>c a=c b=c c=40
  ConvTranspose 1 aaa>a a=c02
  ConvTranspose 22 aaa>a a=10c02
  Cos 7 a>a a=c02
  Cos 22 a>a a=10c02
  Cosh 9 a>a a=c02
  Cosh 22 a>a a=10c02
  CumProd 26 ab>a a=13cc2 b=c0
  CumSum 11 ab>a a=38c2 b=c0
  CumSum 14 ab>a a=13cc2 b=c0
  DFT 17 ab>a a=10c02 b=c0
  DFT 20 abc>a a=10c02 b=c0 c=80
  DeformConv 19 aaaaa>a a=c02
  DeformConv 22 aaaaa>a a=10c02
  DepthToSpace 1 a>a a=fffe
  DepthToSpace 13 a>a a=1fffe
  DequantizeLinear 10 aba>b a=4c b=2
  DequantizeLinear 19 aba>b a=1e004c b=10402
  DequantizeLinear 21 aba>b a=7e007c b=10402
  DequantizeLinear 23 aba>c a=fe007c b=10402 c=10402
  DequantizeLinear 24 aba>c a=fe007c b=1010402 c=10402
  DequantizeLinear 25 aba>c a=6fe007c b=1010402 c=10402
  DequantizeLinear 28 aba>c a=1efe007c b=1010402 c=10402
  Det 11 a>a a=c02
  Det 22 a>a a=10c02
  Div 7 aa>a a=3cc2
  Div 13 aa>a a=13cc2
  Div 14 aa>a a=13cfe
  Dropout 7 a>aa a=c02
  Dropout 10 a>ab a=c02 b=200
  Dropout 12 abc>ac a=c02 b=c02 c=200
  Dropout 13 abc>ac a=10c02 b=c02 c=200
  Dropout 22 abc>ac a=1f0c02 b=1f0c02 c=200
  DynamicQuantizeLinear 11 a>bcb a=2 b=4 c=2
  Einsum 12 a*>a a=3cfe
  Einsum 28 a*>a a=13cfe
  Elu 6 a>a a=c02
  Elu 22 a>a a=10c02
  Equal 7 aa>b a=2c0 b=200
  Equal 11 aa>b a=3efe b=200
  Equal 13 aa>b a=13efe b=200
  Equal 19 aa>b a=13ffe b=200
  Erf 9 a>a a=3cfe
  Erf 13 a>a a=10c02
  Exp 6 a>a a=c02
  Exp 13 a>a a=10c02
  Expand 8 ab>a a=fffe b=80
  Expand 13 ab>a a=1fffe b=80
  EyeLike 9 a>b a=3efe b=3efe
  EyeLike 22 a>b a=13efe b=13efe
  Flatten 1 a>a a=c02
  Flatten 9 a>a a=fffe
  Flatten 13 a>a a=1fffe
  Flatten 21 a>a a=7ffffe
  Flatten 23 a>a a=fffffe
  Flatten 24 a>a a=1fffffe
  Flatten 25 a>a a=7fffffe
  Floor 6 a>a a=c02
  Floor 13 a>a a=10c02
  GRU 7 aaaaba>aa a=c02 b=40
  GRU 22 aaaaba>aa a=10c02 b=40
  Gather 1 ab>a a=fffe b=c0
  Gather 13 ab>a a=1fffe b=c0
  GatherElements 11 ab>a a=fffe b=c0
  GatherElements 13 ab>a a=1fffe b=c0
  GatherND 11 ab>a a=fffe b=80
  GatherND 13 ab>a a=1fffe b=80
  Gelu 20 a>a a=10c02
  Gemm 7 aaa>a a=c02
  Gemm 9 aaa>a a=3cc2
  Gemm 13 aaa>a a=13cc2
  GlobalAveragePool 1 a>a a=c02
  GlobalAveragePool 22 a>a a=10c02
  GlobalLpPool 2 a>a a=c02
  GlobalLpPool 22 a>a a=10c02
  GlobalMaxPool 1 a>a a=c02
  GlobalMaxPool 22 a>a a=10c02
  Greater 7 aa>b a=c02 b=200
  Greater 9 aa>b a=3cfe b=200
  Greater 13 aa>b a=13cfe b=200
  GreaterOrEqual 12 aa>b a=3cfe b=200
  GreaterOrEqual 16 aa>b a=13cfe b=200
  GridSample 16 ab>a a=fffe b=c02
  GridSample 22 ab>a a=1fffe b=10c02
  GroupNormalization 21 aaa>a a=10c02
  HammingWindow 17 a>b a=c0 b=13cfe
  HannWindow 17 a>b a=c0 b=13cfe
  HardSigmoid 6 a>a a=c02
  HardSigmoid 22 a>a a=10c02
  HardSwish 14 a>a a=c02
  HardSwish 22 a>a a=10c02
  Hardmax 1 a>a a=c02
  Hardmax 13 a>a a=10c02
  Identity 1 a>a a=fffe
  Identity 13 a>a a=1fffe
  Identity 14 a>a a=2001fffe
  Identity 16 a>a a=6001fffe
  Identity 19 a>a a=601ffffe
  Identity 21 a>a a=607ffffe
  Identity 23 a>a a=60fffffe
  Identity 24 a>a a=61fffffe
  Identity 25 a>a a=67fffffe
  If 1 a>b+ a=200 b=fffe
  If 13 a>b+ a=200 b=2000fffe
  If 16 a>b+ a=200 b=6001fffe
  If 19 a>b+ a=200 b=601ffffe
  If 21 a>b+ a=200 b=607ffffe
  If 23 a>b+ a=200 b=60fffffe
  If 24 a>b+ a=200 b=61fffffe
  If 25 a>b+ a=200 b=67fffffe
  ImageDecoder 20 a>b a=4 b=4
  InstanceNormalization 6 aaa>a a=c02
  InstanceNormalization 22 aaa>a a=10c02
  IsInf 10 a>b a=802 b=200
  IsInf 20 a>b a=1f0c02 b=200
  IsNaN 9 a>b a=c02 b=200
  IsNaN 13 a>b a=10c02 b=200
  IsNaN 20 a>b a=1f0c02 b=200
  LRN 1 a>a a=c02
  LRN 13 a>a a=10c02
  LSTM 7 aaaabaaa>aaa a=c02 b=40
  LSTM 22 aaaabaaa>aaa a=10c02 b=40
  LayerNormalization 17 aaa>abb a=10c02 b=10002
  LeakyRelu 6 a>a a=c02
  LeakyRelu 16 a>a a=10c02
  Less 7 aa>b a=c02 b=200
  Less 9 aa>b a=3cfe b=200
  Less 13 aa>b a=13cfe b=200
  LessOrEqual 12 aa>b a=3cfe b=200
  LessOrEqual 16 aa>b a=13cfe b=200
  LinearAttention 27 aaabaa>ab a=10402 b=10402
  Log 6 a>a a=c02
  Log 13 a>a a=10c02
  LogSoftmax 1 a>a a=c02
  LogSoftmax 13 a>a a=10c02
  Loop 1 abc+>c+ a=80 b=200 c=fffe
  Loop 13 abc+>c+ a=80 b=200 c=2000fffe
  Loop 16 abc+>c+ a=80 b=200 c=6001fffe
  Loop 19 abc+>c+ a=80 b=200 c=601ffffe
  Loop 21 abc+>c+ a=80 b=200 c=607ffffe
  Loop 23 abc+>c+ a=80 b=200 c=60fffffe
  Loop 24 abc+>c+ a=80 b=200 c=61fffffe
  Loop 25 abc+>c+ a=80 b=200 c=67fffffe
  LpNormalization 1 a>a a=c02
  LpNormalization 22 a>a a=10c02
  LpPool 2 a>a a=c02
  LpPool 22 a>a a=10c02
  MatMul 1 aa>a a=c02
  MatMul 9 aa>a a=3cc2
  MatMul 13 aa>a a=13cc2
  MatMulInteger 10 abab>c a=c b=c c=40
  Max 6 a*>a a=c02
  Max 12 a*>a a=3cfe
  Max 13 a*>a a=13cfe
  MaxPool 1 a>a a=c02
  MaxPool 8 a>ab a=c02 b=80
  MaxPool 12 a>ab a=c0e b=80
  MaxPool 22 a>ab a=10c0e b=80
  MaxRoiPool 1 aa>a a=c02
  MaxRoiPool 22 aa>a a=10c02
  MaxUnpool 9 abb>a a=c02 b=80
  MaxUnpool 22 abb>a a=10c02 b=80
  Mean 6 a*>a a=c02
  Mean 13 a*>a a=10c02
  MeanVarianceNormalization 9 a>a a=c02
  MeanVarianceNormalization 13 a>a a=10c02
  MelWeightMatrix 17 aaabb>c a=c0 b=10c02 c=13cfe
  Min 6 a*>a a=c02
  Min 12 a*>a a=3cfe
  Min 13 a*>a a=13cfe
  Mish 18 a>a a=c02
  Mish 22 a>a a=10c02
  Mod 10 aa>a a=3cfe
  Mod 13 aa>a a=13cfe
  Mul 7 aa>a a=3cc2
  Mul 13 aa>a a=13cc2
  Mul 14 aa>a a=13cfe
  Multinomial 7 a>b a=c02 b=c0
  Multinomial 22 a>b a=10c02 b=c0
  Neg 6 a>a a=cea
  Neg 13 a>a a=10cea
  NegativeLogLikelihoodLoss 12 aba>a a=c02 b=c0
  NegativeLogLikelihoodLoss 22 aba>a a=10c02 b=c0
  NonMaxSuppression 10 aabaa>b a=2 b=80
  NonZero 9 a>b a=fffe b=80
  NonZero 13 a>b a=1fffe b=80
  Not 1 a>a a=200
  OneHot 9 abc>c a=3cfe b=3cfe c=fffe
  OneHot 28 abc>c a=3cfe b=3cfe c=1fffe
  Optional 15 a>b a=2000fffe b=40000000
  Optional 28 a>b a=3ffffffe b=40000000
  OptionalGetElement 15 a>b a=40000000 b=2000fffe
  OptionalGetElement 18 a>b a=6000fffe b=2000fffe
  OptionalGetElement 28 a>b a=7ffffffe b=3ffffffe
  OptionalHasElement 15 a>b a=40000000 b=200
  OptionalHasElement 18 a>b a=6000fffe b=200
  OptionalHasElement 28 a>b a=7ffffffe b=200
  Or 7 aa>b a=200 b=200
  PRelu 7 aa>a a=c02
  PRelu 9 aa>a a=3cc2
  PRelu 16 aa>a a=13cc2
  Pad 2 a>a a=c02
  Pad 11 aba>a a=3cfe b=80
  Pad 13 aba>a a=1fffe b=80
  Pad 18 abac>a a=1fffe b=80 c=c0
  Pad 21 abac>a a=7ffffe b=80 c=c0
  Pad 23 abac>a a=fffffe b=80 c=c0
  Pad 24 abac>a a=1fffffe b=80 c=c0
  Pad 25 abac>a a=7fffffe b=80 c=c0
  Pow 7 aa>a a=c02
  Pow 12 ab>a a=cc2 b=3cfe
  Pow 13 ab>a a=10cc2 b=3cfe
  Pow 15 ab>a a=10cc2 b=13cfe
  QLinearConv 10 abacbcbde>d a=c b=2 c=c d=c e=40
  QLinearMatMul 10 abacbcbd>d a=c b=2 c=c d=c
  QLinearMatMul 21 abacbcbd>d a=1e000c b=10402 c=1e000c d=1e000c
  QuantizeLinear 10 abc>c a=42 b=2 c=c
  QuantizeLinear 19 aab>b a=10442 b=1e000c
  QuantizeLinear 21 aab>b a=10442 b=7e003c
  QuantizeLinear 23 abc>c a=10442 b=10442 c=fe003c
  QuantizeLinear 24 abc>c a=10442 b=1010442 c=fe003c
  QuantizeLinear 25 abc>c a=10442 b=1010442 c=6fe003c
  QuantizeLinear 28 abc>c a=10442 b=1010442 c=1efe003c
  RMSNormalization 23 ab>b a=10c02 b=10c02
  RNN 7 aaaaba>aa a=c02 b=40
  RNN 22 aaaaba>aa a=10c02 b=40
  RandomNormal 1 >a a=c02
  RandomNormal 22 >a a=10c02
  RandomNormalLike 1 a>b a=fffe b=c02
  RandomNormalLike 22 a>b a=1fffe b=10c02
  RandomUniform 1 >a a=c02
  RandomUniform 22 >a a=10c02
  RandomUniformLike 1 a>b a=fffe b=c02
  RandomUniformLike 22 a>b a=1fffe b=10c02
  Range 11 aaa>a a=8e2
  Range 27 aaa>a a=10ce2
  Reciprocal 6 a>a a=c02
  Reciprocal 13 a>a a=10c02
  ReduceL1 1 a>a a=3cc2
  ReduceL1 13 a>a a=13cc2
  ReduceL1 18 ab>a a=13cc2 b=80
  ReduceL2 1 a>a a=3cc2
  ReduceL2 13 a>a a=13cc2
  ReduceL2 18 ab>a a=13cc2 b=80
  ReduceLogSum 1 a>a a=3cc2
  ReduceLogSum 13 a>a a=13cc2
  ReduceLogSum 18 ab>a a=13cc2 b=80
  ReduceLogSum 28 ab>a a=10c02 b=80
  ReduceLogSumExp 1 a>a a=3cc2
  ReduceLogSumExp 13 a>a a=13cc2
  ReduceLogSumExp 18 ab>a a=13cc2 b=80
  ReduceLogSumExp 28 ab>a a=10c02 b=80
  ReduceMax 1 a>a a=3cc2
  ReduceMax 12 a>a a=3cce
  ReduceMax 13 a>a a=13cce
  ReduceMax 18 ab>a a=13cce b=80
  ReduceMax 20 ab>a a=13ece b=80
  ReduceMean 1 a>a a=3cc2
  ReduceMean 13 a>a a=13cc2
  ReduceMean 18 ab>a a=13cc2 b=80
  ReduceMin 1 a>a a=3cc2
  ReduceMin 12 a>a a=3cce
  ReduceMin 13 a>a a=13cce
  ReduceMin 18 ab>a a=13cce b=80
  ReduceMin 20 ab>a a=13ece b=80
  ReduceProd 1 a>a a=3cc2
  ReduceProd 13 a>a a=13cc2
  ReduceProd 18 ab>a a=13cc2 b=80
  ReduceSum 1 a>a a=3cc2
  ReduceSum 13 ab>a a=13cc2 b=80
  ReduceSumSquare 1 a>a a=3cc2
  ReduceSumSquare 13 a>a a=13cc2
  ReduceSumSquare 18 ab>a a=13cc2 b=80
  RegexFullMatch 20 a>b a=100 b=200
  Relu 6 a>a a=c02
  Relu 13 a>a a=10c02
  Relu 14 a>a a=10cea
  Reshape 5 ab>a a=fffe b=80
  Reshape 13 ab>a a=1fffe b=80
  Reshape 19 ab>a a=1ffffe b=80
  Reshape 21 ab>a a=7ffffe b=80
  Reshape 23 ab>a a=fffffe b=80
  Reshape 24 ab>a a=1fffffe b=80
  Reshape 25 ab>a a=7fffffe b=80
  Resize 10 ab>a a=fffe b=2
  Resize 11 abcd>a a=fffe b=c02 c=2 d=80
  Resize 13 abcd>a a=1fffe b=c02 c=2 d=80
  ReverseSequence 10 ab>a a=fffe b=80
  ReverseSequence 28 ab>a a=1fffe b=80
  RoiAlign 10 aab>a a=c02 b=80
  RoiAlign 22 aab>a a=10c02 b=80
  RotaryEmbedding 23 aaab>a a=10402 b=80
  Round 11 a>a a=c02
  Round 22 a>a a=10c02
  STFT 17 abab>a a=10c02 b=c0
  Scan 8 ab+>b+ a=80 b=fffe
  Scan 9 a+>a+ a=fffe
  Scan 16 a+>a+ a=1fffe
  Scan 19 a+>a+ a=1ffffe
  Scan 21 a+>a+ a=7ffffe
  Scan 23 a+>a+ a=fffffe
  Scan 24 a+>a+ a=1fffffe
  Scan 25 a+>a+ a=7fffffe
  Scatter 9 aba>a a=fffe b=c0
  ScatterElements 11 aba>a a=fffe b=c0
  ScatterElements 13 aba>a a=1fffe b=c0
  ScatterND 11 aba>a a=fffe b=80
  ScatterND 13 aba>a a=1fffe b=80
  Selu 6 a>a a=c02
  Selu 22 a>a a=10c02
  SequenceAt 11 ab>c a=20000000 b=c0 c=fffe
  SequenceConstruct 11 a*>b a=fffe b=20000000
  SequenceEmpty 11 >a a=20000000
  SequenceErase 11 ab>a a=20000000 b=c0
  SequenceInsert 11 abc>a a=20000000 b=fffe c=c0
  SequenceLength 11 a>b a=20000000 b=80
  SequenceMap 17 ab+>a+ a=20000000 b=2000fffe
  Shape 1 a>b a=fffe b=80
  Shape 13 a>b a=1fffe b=80
  Shape 19 a>b a=1ffffe b=80
  Shape 21 a>b a=7ffffe b=80
  Shape 23 a>b a=fffffe b=80
  Shape 24 a>b a=1fffffe b=80
  Shape 25 a>b a=7fffffe b=80
  Shrink 9 a>a a=3cfe
  Sigmoid 6 a>a a=c02
  Sigmoid 13 a>a a=10c02
  Sign 9 a>a a=3cfe
  Sign 13 a>a a=13cfe
  Sin 7 a>a a=c02
  Sin 22 a>a a=10c02
  Sinh 9 a>a a=c02
  Sinh 22 a>a a=10c02
  Size 1 a>b a=fffe b=80
  Size 13 a>b a=1fffe b=80
  Size 19 a>b a=1ffffe b=80
  Size 21 a>b a=7ffffe b=80
  Size 23 a>b a=fffffe b=80
  Size 24 a>b a=1fffffe b=80
  Size 25 a>b a=7fffffe b=80
  Slice 1 a>a a=fffe
  Slice 10 abbbb>a a=fffe b=c0
  Slice 13 abbbb>a a=1fffe b=c0
  Softmax 1 a>a a=c02
  Softmax 13 a>a a=10c02
  SoftmaxCrossEntropyLoss 12 aba>aa a=c02 b=c0
  SoftmaxCrossEntropyLoss 13 aba>aa a=10c02 b=c0
  Softplus 1 a>a a=c02
  Softplus 22 a>a a=10c02
  Softsign 1 a>a a=c02
  Softsign 22 a>a a=10c02
  SpaceToDepth 1 a>a a=fffe
  SpaceToDepth 13 a>a a=1fffe
  Split 2 a>a* a=fffe
  Split 13 ab>a* a=1fffe b=80
  SplitToSequence 11 ab>c a=fffe b=c0 c=20000000
  SplitToSequence 24 ab>c a=1fffe b=c0 c=20000000
  Sqrt 6 a>a a=c02
  Sqrt 13 a>a a=10c02
  Squeeze 1 a>a a=fffe
  Squeeze 13 ab>a a=1fffe b=80
  Squeeze 21 ab>a a=7ffffe b=80
  Squeeze 23 ab>a a=fffffe b=80
  Squeeze 24 ab>a a=1fffffe b=80
  Squeeze 25 ab>a a=7fffffe b=80
  StringConcat 20 aa>a a=100
  StringNormalizer 10 a>a a=100
  StringSplit 20 a>bc a=100 b=100 c=80
  Sub 7 aa>a a=3cc2
  Sub 13 aa>a a=13cc2
  Sub 14 aa>a a=13cfe
  Sum 6 a*>a a=c02
  Sum 13 a*>a a=10c02
  SwiGLU 28 aa>a a=10c02
  Swish 24 a>a a=10c02
  Tan 7 a>a a=c02
  Tan 22 a>a a=10c02
  Tanh 6 a>a a=c02
  Tanh 13 a>a a=10c02
  TensorScatter 24 aab>a a=1fffffe b=80
  TfIdfVectorizer 9 a>b a=1c0 b=2
  ThresholdedRelu 10 a>a a=c02
  ThresholdedRelu 22 a>a a=10c02
  Tile 6 ab>a a=fffe b=80
  Tile 13 ab>a a=1fffe b=80
  TopK 1 a>ab a=c02 b=80
  TopK 10 ab>ac a=c02 b=80 c=80
  TopK 11 ab>ac a=3cfe b=80 c=80
  TopK 24 ab>ac a=13cfe b=80 c=80
  Transpose 1 a>a a=fffe
  Transpose 13 a>a a=1fffe
  Transpose 21 a>a a=7ffffe
  Transpose 23 a>a a=fffffe
  Transpose 24 a>a a=1fffffe
  Transpose 25 a>a a=7fffffe
  Trilu 14 ab>a a=1fffe b=80
  Unique 11 a>abbb a=fffe b=80
  Unique 28 a>abbb a=1fffe b=80
  Unsqueeze 1 a>a a=fffe
  Unsqueeze 13 ab>a a=1fffe b=80
  Unsqueeze 21 ab>a a=7ffffe b=80
  Unsqueeze 23 ab>a a=fffffe b=80
  Unsqueeze 24 ab>a a=1fffffe b=80
  Unsqueeze 25 ab>a a=7fffffe b=80
  Upsample 7 a>a a=fffe
  Upsample 9 ab>a a=fffe b=2
  Where 9 abb>b a=200 b=fffe
  Where 16 abb>b a=200 b=1fffe
  Xor 7 aa>b a=200 b=200
  """
