// Package dataset reads files of data as a model's tensors: NumPy's .npz and
// .npy, CSV, Parquet, and folders of requests of the Open Inference Protocol.
//
// A column or array belongs to the input or output of its name, and to one
// value of its rows where it is called name[3]; where a model has a single
// input and no column is called after it, the columns are its values in their
// order. Values are converted to the model's type where none is lost but
// digits. An empty cell is NaN or an empty text.
//
//	data, err := dataset.Open("train.parquet", signature, dataset.Options{Label: "species"})
//	defer data.Close()
//	for {
//		batch, err := data.Next()
//		if err == io.EOF {
//			break
//		}
//		err = builder.Add(drift.Rows{Inputs: batch.Inputs, Labels: batch.Labels})
//	}
//
// Files may come from anywhere: a size that a file claims is believed only
// where the file is as long, no row is larger than MaxRowBytes, and a file
// that is cut off, damaged or of another shape is an error that says where.
// The package starts no goroutine.
package dataset
