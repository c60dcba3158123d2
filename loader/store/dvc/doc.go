// Package dvc reads artifacts that DVC keeps track of in a Git repository, so
// that one commit names code, data and model:
//
//	dvc:https://git.example/team/composers@v1.4#models/mozart.onnx
//	dvc:/srv/git/composers@2f1c9d0…#models/mozart
//
// At the revision (a tag, a branch or a commit) it reads the .dvc file beside the
// path, the dvc.lock of a pipeline that makes it, or that of a folder above it,
// and .dvc/config, which says where the files lie; then it fetches them by their
// hash from an S3 remote or, where the repository is a folder of this machine,
// from a local one. A single .onnx file is the artifact's model.onnx.
//
// The package promises that each file is held against its hash before its last
// byte is handed on; that of the repository only one commit is fetched, within
// bounds of size and time; and that nothing of it is run, checked out or followed:
// no hooks, links or submodules. Which servers and with which credentials S3 is
// asked is the process's own setting and not the repository's. It never writes.
//
//	repositories := dvc.New(dvc.Options{Transport: hosts.Transport(), Remote: remotes})
//	origin, err := repositories.Open(ctx, store.Ref{URI: "dvc:/srv/git/composers@v1.4#models/mozart"})
package dvc
