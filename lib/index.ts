/** What the package offers: names that stay. Everything else in lib/ may change. */
export { doctor, type DoctorReport } from './analysis/doctor.js'
export { readSafetensors, type SafeTensor } from './checkpoint/safetensors.js'
export { fromArrays, fromFiles, type ArraysOptions, type FilesOptions } from './data/arrays.js'
export { cifar10, cifar100, type Cifar10Options, type Cifar100Options } from './data/cifar.js'
export { customSource, type CustomSample, type CustomSource } from './data/custom.js'
export type { AugmentName, Dataset, DatasetDefaults, Splits } from './data/dataset.js'
export { decodeImage, type DecodeImageOptions } from './data/decode-image.js'
export { imageFolder, type FolderSplits, type ImageFolderOptions } from './data/image-folder.js'
export { loader, type LoaderBatch, type LoaderSettings } from './data/loader.js'
export { packed, type PackedOptions } from './data/packed.js'
export { parquetFolder, type ParquetOptions } from './data/parquet.js'
export { synthetic, type SyntheticOptions } from './data/synthetic.js'
export { SknetError, type SknetErrorCode, type SknetErrorDetails } from './errors.js'
export type { CifarOptions } from './model/cifar.js'
export type { NetworkDefinition } from './model/define.js'
export * as blocks from './model/define-blocks.js'
export { loadModel, type LoadOptions } from './model/load.js'
export { defineModel, type ForwardOptions, type LoadReport, type Model, type ModelOptions } from './model/model.js'
export type { OnnxOptions, OnnxReport } from './model/onnx/export.js'
export type { Prediction, PredictOptions } from './model/predict.js'
export type { Preprocessing } from './model/preprocessing.js'
export { createModel, listModels, sknet101, sknet26, sknet50, sknetCifar, type CreateOptions } from './model/registry.js'
export type { SaveOptions } from './model/save.js'
export type { SknetOptions } from './model/sknet.js'
export type { Init, Layer, ModelSpec, SkBranch } from './model/spec.js'
export type { Summary } from './model/summary.js'
export type { BadSample, DecodedImage, Effect, MemoryReport, TransformOptions } from './native.js'
export type { ParameterGroup } from './optim/groups.js'
export { scaleLearningRate } from './optim/scaling.js'
export { evaluate, type EvaluateOptions, type Evaluation } from './train/evaluate.js'
export type {
  CheckpointEvent,
  EndEvent,
  EpochEvent,
  Scores,
  StartEvent,
  StepEvent,
  TrainEvent,
  TrainResult,
  WarningEvent,
} from './train/events.js'
export type { PartialTrainOptions, TrainOptions } from './train/option-types.js'
export { findLearningRate, type LrFinding, type LrFindOptions, type LrPoint } from './train/lr-find.js'
export { recipes, type Recipe, type RecipeName } from './train/recipes.js'
export type { StepBatch } from './train/step-batch.js'
export { Trainer, type FitOptions, type TrainerOptions } from './train/trainer.js'
