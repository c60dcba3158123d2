// Package remotes puts together the stores of other machines, for the gateway
// and for the operator's tool alike.
//
//	hosts, err := egress.Parse("10.0.0.0/8")
//	all, err := remotes.Open(hosts, os.Getenv)
//	origin, err := all.ByScheme["s3"].Open(ctx, store.Ref{URI: "s3://models/mozart/1"})
package remotes

import (
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/bucket"
	"github.com/segue-serving/segue/loader/store/dvc"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/mlflow"
	"github.com/segue-serving/segue/loader/store/oci"
	"github.com/segue-serving/segue/loader/store/web"
)

// Remotes are the stores of other machines.
type Remotes struct {
	// ByScheme has them by the scheme of their references.
	ByScheme map[string]store.Remote
	// MLflow is the one of mlflow:, which also says what a model's versions are.
	MLflow *mlflow.Server
}

// Open prepares all stores and connects to none. Hosts are those that a reference
// may name besides public ones; the environment holds credentials. What MLflow
// and DVC say lies in a bucket is read by the bucket's store.
func Open(hosts egress.Hosts, getenv func(string) string) (*Remotes, error) {
	plain := web.New(hosts, web.Environment(getenv))
	all := map[string]store.Remote{
		"s3": bucket.S3(hosts), "gs": bucket.GCS(), "azblob": bucket.Azure(),
		"oci": oci.New(hosts), "http": plain, "https": plain,
	}
	byScheme := func(scheme string) store.Remote { return all[scheme] }
	options := mlflow.FromEnvironment(getenv)
	options.Remote = byScheme
	server, err := mlflow.New(options)
	if err != nil {
		return nil, err
	}
	all[mlflow.Scheme] = server
	all[dvc.Scheme] = dvc.New(dvc.Options{Transport: hosts.Transport(), Credentials: dvc.Netrc(getenv), Remote: byScheme})
	return &Remotes{ByScheme: all, MLflow: server}, nil
}
