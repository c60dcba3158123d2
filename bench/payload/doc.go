// Package payload turns the golden requests of an artifact's manifest into
// requests of the Open Inference Protocol, as JSON and with the binary tensor
// data extension, and checks answers against what each version must say.
//
// It promises that an answer passes only if it is that of the version which it
// names: the same bytes as a first answer that agreed with the manifest's
// golden answer, or numbers within the manifest's tolerance of it. It never
// sends anything.
//
//	manifest, err := payload.Read("configs/examples/quickstart/models/mozart/1")
//	samples, err := manifest.Samples()
//	requests := payload.Requests(samples, "/v2/models/mozart/infer", payload.Binary)
package payload
