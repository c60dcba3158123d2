// Package artifact says what a model version is on disk: a folder with
// model.onnx, its external data, and manifest.json, which names every file
// with its size and SHA-256, the signature of inputs and outputs, labels,
// golden requests with their answers, and where the model came from. The
// SHA-256 of manifest.json itself is the version's digest.
//
// The package promises that what Verify returns was read in full: every file
// that the manifest lists and every file that the ONNX graph may make an
// engine read lies inside the folder, is a regular file, and has the listed
// size and SHA-256. Parsers bound their memory by limits of their own and not
// by what a file claims. Errors name files relative to the artifact, never a
// place on the machine. A Verifier promises the same of an earlier time, as long
// as the file system says that nothing changed since.
//
// It never runs a model, never follows a path out of the folder, and changes
// nothing on disk but for Write.
//
//	art, err := artifact.Verify(ctx, "models/mozart/1")
//	if err != nil {
//		return fmt.Errorf("mozart/1: %w", err)
//	}
//	session, err := engine.Open(ctx, art.ModelPath, runtime.Options{})
package artifact
